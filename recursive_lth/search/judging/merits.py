"""What a candidate is worth at a rung, larger being better: what cuts and the choice go by."""

from collections.abc import Mapping, Sequence

from recursive_lth.search.generation import Candidate
from recursive_lth.search.judging.cuts import Merits
from recursive_lth.search.objectives import OBJECTIVES


def merits_of(candidate: Candidate, objectives: Sequence[str], rung: int | None = None) -> Merits:
    """The gain first, at a rung or at the end, then the other objectives in their order."""
    gain = candidate.gain if rung is None else candidate.rungs[rung]
    others = [_signed(candidate.sizes, name) for name in objectives if name != "gain"]
    return gain or 0.0, *others


def worth_of(candidate: Candidate, objectives: Sequence[str], rung: int | None = None) -> float:
    """What the choice goes by: the gain, or with several objectives the gain a multiply-add."""
    gain = merits_of(candidate, objectives, rung)[0]
    return gain if len(objectives) == 1 else gain / candidate.sizes["multiply_adds"]


def _signed(sizes: Mapping[str, int], name: str) -> float:
    return float(sizes[name] if OBJECTIVES[name] == "maximize" else -sizes[name])
