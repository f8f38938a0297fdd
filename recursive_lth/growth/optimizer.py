"""What becomes of the optimizer's state when a ticket grows."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from recursive_lth.growth.birth import Division
from recursive_lth.growth.grow import Sprout
from recursive_lth.ticket.moments import State, move_state, newborn, warm_up
from recursive_lth.ticket.morph import Morph

Inherit = Callable[[State, Sprout, int], State]  # of the parent, its growth, warm-up's steps
RESET = "reset"


def reset(state: State, sprout: Sprout, warmup: int) -> State:
    """Nothing: every training begins with a fresh optimizer."""
    return {}


def carry(state: State, sprout: Sprout, warmup: int) -> State:
    """Moments move with their weights; new weights begin at age 0, as in a fresh optimizer.

    Shen et al. (2022, arXiv 2203.06211) grow the optimizer with the network too; the age of each
    entry is ours: zero moments under an old count of steps move 3.2 times a step at once and 6.5
    times at the twelfth.
    """
    return move_state(state, sprout.morph, shares=shares_of(sprout), reborn=sprout.revived)


def carry_warmup(state: State, sprout: Sprout, warmup: int) -> State:
    """As `carry`, and the rate of new weights rises over `warmup` steps; that of the old does not.

    Fresh second moments are noisy, which is what warm-up mends (Ma & Yarats 2021, arXiv
    1910.04209); those of inherited weights are not fresh, and a growth that preserves the function
    leaves them where they were. Yao et al. (2023, arXiv 2305.02869) let the outputs of new units
    rise instead. `training.warmup` is for all weights.
    """
    is_new = newborn(sprout.morph, sprout.revived)
    return warm_up(carry(state, sprout, warmup), is_new, warmup)


def carry_path(state: State, sprout: Sprout, warmup: int) -> State:
    """As `carry`, and copies of split units stay on the parent's path, to the last places.

    Chen et al. (2016, arXiv 1511.05641) do not correct the rates; `ticket/moments.py` derives them.
    A network that is only split then never learns more than its parent would: a control.
    """
    return move_state(
        state, sprout.morph, shares=shares_of(sprout), reborn=sprout.revived, keeps_path=True
    )


def shares_of(sprout: Sprout) -> dict[str, Tensor]:
    """For each symbol that was split the share of each of its units, (units,) in float64."""
    return _by_symbol(sprout.morph, sprout.divided)


def _by_symbol(morph: Morph, divided: Mapping[str, Division]) -> dict[str, Tensor]:
    """Shares by symbol, read off the tensors whose weights are shared out by them."""
    found: dict[str, Tensor] = {}
    for name, division in divided.items():
        start = 0
        for axis in morph.after.tensors[name][1]:
            end = start + morph.after.symbols[axis.symbol] * axis.repeat
            part = division.shares[start : end : axis.repeat]
            start = end
            if bool((part != 1).any()):
                found[axis.symbol] = part.double()
    return found


INHERIT: Mapping[str, Inherit] = MappingProxyType(
    {RESET: reset, "carry": carry, "carry_warmup": carry_warmup, "carry_path": carry_path}
)
