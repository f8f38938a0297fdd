"""How many weights each layer keeps, where that follows from its shape and not from scores."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from recursive_lth.architecture.cost import size
from recursive_lth.architecture.erk import erk
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import CONVOLUTIONS
from recursive_lth.errors import InputError

Share = Callable[[Architecture], dict[str, float]]  # relative densities, scaled to any total
OUTPUT_LEAST = 0.2  # what uniform+ leaves the output layer


def uniform_plus(architecture: Architecture) -> dict[str, float]:
    """One density for all, save a first convolution, which stays dense (Gale et al. 2019).

    Of the output layer at least a fifth remains (arXiv 1902.09574, section 5): see `layer_targets`.
    """
    first = architecture.prunable[0]
    is_convolution = architecture.layers[first.removesuffix(".weight")].operation in CONVOLUTIONS
    return {
        name: math.inf if name == first and is_convolution else 1.0
        for name in architecture.prunable
    }


def layer_targets(
    architecture: Architecture,
    scope: str,
    keep: int,
    *,
    most: Mapping[str, int],
    floor: int = 0,
) -> dict[str, int]:
    """Whole numbers of weights to keep, one for each layer, that sum to exactly `keep`.

    `most` is what each layer has left: one that would get more keeps that, and the rest is shared
    out again, as Evci et al. do with layers that would be more than dense. `floor` is the least a
    layer keeps, where it has as many. Raises `InputError` where `keep` cannot be met.
    """
    low = least_of(architecture, scope, most, floor)
    if not sum(low.values()) <= keep <= sum(most.values()):
        raise InputError(
            f"pruning cannot keep {keep} weights: the layers have {sum(most.values())} left and "
            f"must keep {sum(low.values())} by their floors; change the density or layer_floor"
        )
    share = SHARES[scope](architecture)
    wish = {name: share[name] * size(architecture, name) for name in most}
    real = _shared_out(wish, keep, low, most)
    return _rounded(real, keep, low, most)


def least_of(
    architecture: Architecture, scope: str, most: Mapping[str, int], floor: int
) -> dict[str, int]:
    """The fewest weights that each layer keeps, of what it has left."""
    low = {name: min(floor, n) for name, n in most.items()}
    if scope == "uniform_plus":
        output = f"{architecture.output}.weight"
        least = math.ceil(OUTPUT_LEAST * size(architecture, output))
        low[output] = min(most[output], max(low[output], least))
    return low


def _shared_out(
    wish: Mapping[str, float], keep: int, low: Mapping[str, int], most: Mapping[str, int]
) -> dict[str, float]:
    """min(most, max(low, factor * wish)) of each layer, with the factor that makes them sum up."""

    def at(factor: float) -> dict[str, float]:
        def of(name: str) -> float:
            wanted = math.inf if math.isinf(wish[name]) else factor * wish[name]
            return min(most[name], max(low[name], wanted))

        return {name: of(name) for name in wish}

    if sum(at(0.0).values()) >= keep:  # layers that are dense by right take more than there is
        return _spare_the_dense(wish, keep, low, most)
    small, large = 0.0, max(most[n] / w for n, w in wish.items() if math.isfinite(w) and w > 0)
    for _ in range(200):
        middle = (small + large) / 2
        small, large = (middle, large) if sum(at(middle).values()) < keep else (small, middle)
    return at(large)


def _spare_the_dense(
    wish: Mapping[str, float], keep: int, low: Mapping[str, int], most: Mapping[str, int]
) -> dict[str, float]:
    """The others at their least, and what is left for the layers that should have stayed dense."""
    left = keep - sum(low[n] for n in wish if math.isfinite(wish[n]))
    right = [n for n in wish if math.isinf(wish[n])]
    whole = max(1, sum(most[n] for n in right))
    return {
        n: float(low[n]) if n not in right else max(low[n], left * most[n] / whole) for n in wish
    }


def _rounded(
    real: Mapping[str, float], keep: int, low: Mapping[str, int], most: Mapping[str, int]
) -> dict[str, int]:
    """Whole numbers near the real ones with the sum `keep`: the largest remainders go up."""
    whole = {n: min(most[n], max(low[n], math.floor(r + 1e-9))) for n, r in real.items()}
    names = list(real)
    order = sorted(names, key=lambda n: (-(real[n] - whole[n]), names.index(n)))
    while (missing := keep - sum(whole.values())) != 0:
        step = 1 if missing > 0 else -1
        for name in order if step > 0 else reversed(order):
            if missing and low[name] <= whole[name] + step <= most[name]:
                whole[name] += step
                missing -= step
    return whole


SHARES: Mapping[str, Share] = MappingProxyType({"erk": erk, "uniform_plus": uniform_plus})
