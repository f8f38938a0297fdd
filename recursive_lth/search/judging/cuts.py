"""Cuts: which candidates go on from a rung. Functions of one signature, one dict.

With several objectives a median is that of fronts (Deb et al. 2002, section III.A): the candidates
that none beats come first, then those that none but these beat, and so on. Where a number of them
go on, it is those whom the choice at the end would take first: whole fronts would keep places for
small growths that gain little and are never chosen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from recursive_lth.search.lineage import undominated
from recursive_lth.search.objectives import Merits


@dataclass(frozen=True)
class Rung:
    """A cohort at a rung that is not the last.

    `merits` are those of its living candidates there, without not growing; `others` those of all
    that were at this rung before, and of not growing. `worth` is what the choice at the end will go
    by among those that nobody beats. `gains` are each living one's at
    the rungs so far, reached at the numbers of `steps`, of `whole` in all.
    """

    merits: Mapping[int, Merits]
    others: Sequence[Merits]
    worth: Mapping[int, float]
    gains: Mapping[int, Sequence[float]]
    steps: Sequence[int]
    whole: int
    keep: float


Cut = Callable[[Rung], frozenset[int]]  # the numbers of those that go on


def none(rung: Rung) -> frozenset[int]:
    """All go on to the end."""
    return frozenset(rung.merits)


def halving(rung: Rung) -> frozenset[int]:
    """The best `keep` of the cohort, rounded up (Jamieson & Talwalkar 2016, arXiv 1502.07943)."""
    most = math.ceil(rung.keep * len(rung.merits) - 1e-9)
    return frozenset(ranked(rung.merits, rung.worth)[:most])


def at_median(rung: Rung) -> frozenset[int]:
    """Those that stand in the better half of all that were at this rung, not growing among them.

    With one objective: whose gain is not below the median (Golovin et al. 2017). A single one with
    not growing alone is no crowd: it goes on.
    """
    everyone = [*rung.merits.values(), *rung.others]
    if len(everyone) < 3:
        return none(rung)
    ranks = _ranks(everyone)
    middle = median(ranks)
    return frozenset(n for n, r in zip(rung.merits, ranks, strict=False) if r <= middle)


def curve(rung: Rung) -> frozenset[int]:
    """Those whose gain, drawn on to the end of the training, is not below the median there.

    Gains are drawn on in a straight line over the logarithm of the steps, through the last two
    rungs (a simple form of Domhan et al. 2015): from the second rung on. What is stopped before is
    what the median stops at the first.
    """
    if len(rung.steps) < 2:
        return at_median(rung)
    before, now = (math.log(step) for step in rung.steps[-2:])
    ahead = (math.log(rung.whole) - now) / (now - before)
    drawn = {n: g[-1] + ahead * (g[-1] - g[-2]) for n, g in rung.gains.items()}
    middle = median([*drawn.values(), 0.0])
    return frozenset(n for n, gain in drawn.items() if gain >= middle)


def ranked(merits: Mapping[int, Merits], worth: Mapping[int, float]) -> list[int]:
    """Numbers in the order in which the choice at the end would take them, were it to take all.

    Each time of those that no other left beats the one of most worth; ties go to the lower number.
    """
    left, order = sorted(merits), []
    while left:
        front = [left[i] for i in undominated([merits[n] for n in left])]
        order.append(max(front, key=lambda n: (worth[n], -n)))
        left.remove(order[-1])
    return order


def _ranks(merits: Sequence[Merits]) -> list[int]:
    """The number of the front of each; with one objective, how many fronts of better ones."""
    left, ranks, front = list(range(len(merits))), [0] * len(merits), 0
    while left:
        best = {left[i] for i in undominated([merits[i] for i in left])}
        for i in best:
            ranks[i] = front
        left, front = [i for i in left if i not in best], front + 1
    return ranks


CUTS: Mapping[str, Cut] = MappingProxyType(
    {"none": none, "median": at_median, "halving": halving, "curve": curve}
)
