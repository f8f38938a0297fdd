"""What a candidate is worth at a rung, larger being better: what cuts and the choice go by."""

from collections.abc import Mapping, Sequence

from recursive_lth.search.generation import Candidate
from recursive_lth.search.judging.cuts import Merits
from recursive_lth.search.lineage import undominated
from recursive_lth.search.objectives import OBJECTIVES

LEAST_DEARER = 1e-3  # a share below which a growth counts as free


def merits_of(candidate: Candidate, objectives: Sequence[str], rung: int | None = None) -> Merits:
    """The gain first, at a rung or at the end, then the other objectives in their order."""
    gain = candidate.gain if rung is None else candidate.rungs[rung]
    others = [_signed(candidate.sizes, name) for name in objectives if name != "gain"]
    return gain or 0.0, *others


def _signed(sizes: Mapping[str, int], name: str) -> float:
    return float(sizes[name] if OBJECTIVES[name] == "maximize" else -sizes[name])


def best_of(candidates: Sequence[Candidate], objectives: Sequence[str]) -> int:
    """The number of the candidate to go on with; not growing, number 0, is one of them.

    After gain alone it is that of the largest gain. After other objectives too it is, of those of
    the first front that gain anything, the one that gains most for each share by which it makes
    the network dearer, in all the other objectives together; not growing where none gains. Ties
    go to the lowest number.
    """
    if len(objectives) == 1:
        return max(candidates, key=lambda c: (c.gain or 0.0, -c.number)).number
    parent = next(c for c in candidates if c.number == 0)
    merits = [merits_of(c, objectives) for c in candidates]
    front = [candidates[i] for i in undominated(merits)]
    paying = [c for c in front if (c.gain or 0.0) > 0]

    def worth(candidate: Candidate) -> tuple[float, float, int]:
        names = [name for name in objectives if name != "gain"]
        dearer = sum(candidate.sizes[n] / parent.sizes[n] - 1 for n in names)
        gain = candidate.gain or 0.0
        return gain / max(dearer, LEAST_DEARER), gain, -candidate.number

    return max(paying, key=worth, default=parent).number
