"""What a search is after: the values of candidates, comparable from generation to generation."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from recursive_lth.search.generation import Candidate
from recursive_lth.search.lineage import undominated

Direction = Literal["maximize", "minimize"]
OBJECTIVES: Mapping[str, Direction] = MappingProxyType(  # and which way is better
    {"gain": "maximize", "multiply_adds": "minimize", "weights": "minimize"}
)

Merits = tuple[float, ...]  # larger is better; the gain comes first
Merit = tuple[tuple[float, ...], tuple[float, ...]]


def merits(generation: Sequence[Candidate], objectives: Sequence[str]) -> list[Merit]:
    """For each candidate of one generation the values of its objectives, and the gain at each rung.

    A gain is that over not growing, in units of the generation's largest: gains shrink as a lineage
    goes on, and early generations would outweigh all later ones. Multiply-adds and weights are
    those that remain right after growth, relative to the parent's (candidate 0). An infeasible
    growth is not made, so that its gain is 0, that of not growing. One that is failed or waiting
    has no values.
    """
    unit = max((abs(c.gain) for c in generation if c.gain is not None), default=0.0) or 1.0

    def merit(candidate: Candidate) -> Merit:
        gain = 0.0 if candidate.status == "infeasible" else candidate.gain
        if gain is None or candidate.status in {"failed", "waiting"}:
            return (), ()
        values = [
            gain / unit if name == "gain" else _relative(candidate, generation[0], name)
            for name in objectives
        ]
        return tuple(values), tuple(rung / unit for rung in candidate.rungs)

    return [merit(candidate) for candidate in generation]


def preferred(generation: Sequence[Candidate], objectives: Sequence[str]) -> Candidate:
    """The candidate that goes on, out of those judged to the end, of which not growing is one.

    Where they have raced it is one of those that ran to the race's end: a gain of one seed, or of
    few, flatters whom it has put ahead, and the means of the others have lost that.
    After the gain alone it is the one of the largest. After several objectives it is, of those
    that no other equals in all and beats in one, the one of the largest gain for each multiply-add
    of its network. Ties go to the earlier one.
    """
    judged = [one for one in generation if one.status == "judged"]
    most = max(len(one.replicates) for one in judged)
    judged = [one for one in judged if len(one.replicates) == most]
    front = undominated([merits_of(one, objectives) for one in judged])
    best = max(front, key=lambda i: (worth_of(judged[i], objectives), -judged[i].number))
    return judged[best]


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


def _relative(candidate: Candidate, parent: Candidate, name: str) -> float:
    return candidate.sizes[name] / parent.sizes[name]
