"""Is it still a winning ticket? Decided on validation data alone."""

from collections.abc import Sequence
from typing import NamedTuple

from recursive_lth.config import Acceptance
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import last_accepted, tickets

ROUNDING = 1e-12  # exactly the margin is within it


class Verdict(NamedTuple):
    """Accepted or not, and why in one sentence."""

    accepted: bool
    words: str


def accept(
    rule: Acceptance, lineage: Sequence[Generation], accuracy: float, density: float
) -> Verdict:
    """The margin rule: sparse enough, and at most `margin` below the best winning ticket so far.

    The first ticket is held against the dense start network, as Zhang (2021, arXiv 2109.03862)
    holds all of them; comparing with the best so far keeps small losses from adding up.
    """
    winners = tickets(lineage)
    rivals = winners or [last_accepted(lineage)]
    reference = max(turn.val_accuracy for turn in rivals)
    if density > rule.max_density:
        return Verdict(
            False, f"rejected: density {density:.3f} is above the bound {rule.max_density:g}"
        )
    kind = "dense" if lineage[0].density == 1 else "given"
    rival = "best so far" if winners else f"{kind} start"
    change = f"{100 * (accuracy - reference):+.2f} points to the {rival}"
    if reference - accuracy > rule.margin + ROUNDING:
        return Verdict(False, f"rejected: {change}, margin {100 * rule.margin:g}")
    return Verdict(True, f"accepted: {change}")
