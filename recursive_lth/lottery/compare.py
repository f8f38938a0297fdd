"""Tickets of one run held against each other: overlaps between arms, pictures of first layers."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from recursive_lth.lottery.aggregate import TICKET
from recursive_lth.pruning.overlap import Overlap, overlap
from recursive_lth.statistics import average
from recursive_lth.ticket.ticket import Ticket

Load = Callable[[str], Ticket]  # a ticket of the run by digest
Line = Mapping[str, Any]
SAME_DENSITY = 1.1  # largest ratio of densities that count as one
MOST_IN_PAIRS = 6  # arms; of more, every two would be a table that no one reads


def overlaps(lines: Sequence[Line], load: Load) -> list[dict[str, Any]]:
    """At each level the overlap of all arms' tickets together, and of every two of a few arms.

    Arms whose tickets are not of one density there are left out.

    Only tickets of one replicate and one shape are compared; `shared` is a fraction of the
    connections that either, or any, keeps: the Jaccard index.
    """
    tickets = [line for line in lines if line["variant"] == TICKET and line["level"] > 0]
    names = list(dict.fromkeys(line["arm"] for line in tickets))
    pairs = combinations(names, 2) if len(names) <= MOST_IN_PAIRS else ()
    groups = [*pairs, *([tuple(names)] if len(names) > 2 else [])]
    found = []
    for level in sorted({line["level"] for line in tickets}):
        here = [line for line in tickets if line["level"] == level]
        tickets_here = {(line["arm"], line["replicate"]): load(line["digest"]) for line in here}
        for arms in groups:
            densities = [line["density"] for line in here if line["arm"] in arms]
            if not densities or max(densities) > SAME_DENSITY * min(densities):
                continue  # two masks of unlike size share little whatever they are
            cells = [
                overlap([tickets_here[arm, r].masks for arm in arms])
                for r in sorted({line["replicate"] for line in here})
                if _are_alike([tickets_here.get((arm, r)) for arm in arms])
            ]
            if cells:
                found.append(
                    {
                        "level": level,
                        "density": sum(densities) / len(densities),
                        "arms": list(arms),
                        "layers": {
                            name: _averaged([cell[name] for cell in cells])
                            for name in cells[0]
                            if name != "total"
                        },
                        "total": _averaged([cell["total"] for cell in cells]),
                    }
                )
    return found


def _are_alike(tickets: Sequence[Ticket | None]) -> bool:
    """True iff all are there, of one shape and in one basis, so that places mean the same."""
    first = tickets[0]
    return first is not None and all(
        other is not None
        and other.architecture == first.architecture
        and other.basis == first.basis
        for other in tickets
    )


def _averaged(cells: Sequence[Overlap]) -> dict[str, Any]:
    return {
        "jaccard": average(cell.jaccard for cell in cells),
        "expected": average(cell.expected for cell in cells),
    }


def pictures(lines: Sequence[Line], load: Load) -> list[dict[str, Any]]:
    """What the first layer keeps, for every level of the first replicate of each arm.

    A linear layer on images becomes the number of weights that remain at each pixel; a convolution
    the number that remain at each place of its kernels, over all channels.
    """
    found = []
    for line in lines:
        if line["variant"] != TICKET or line["replicate"] != 0:
            continue
        ticket = load(line["digest"])
        picture = _picture(ticket)
        if picture is not None:
            found.append({"arm": line["arm"], "level": line["level"], "replicate": 0, **picture})
    return found


def _picture(ticket: Ticket) -> dict[str, Any] | None:
    name = ticket.architecture.prunable[0]
    mask, spatial = ticket.masks[name], ticket.architecture.spatial
    if mask.dim() == 4:
        counts = mask.sum((0, 1))
        outgoing = mask.shape[0] * mask.shape[1]
    elif spatial and mask.shape[1] % (spatial[0] * spatial[1]) == 0:
        counts = mask.view(len(mask), -1, *spatial).sum((0, 1))
        outgoing = len(mask) * (mask.shape[1] // (spatial[0] * spatial[1]))
    else:
        return None
    return {
        "layer": name.removesuffix(".weight"),
        "height": counts.shape[0],
        "width": counts.shape[1],
        "counts": counts.tolist(),
        "outgoing": outgoing,
    }
