"""How many connections tickets share, against how many any two masks of their size would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import torch
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import inherited, transplant

TOTAL = "total"


@dataclass(frozen=True)
class Overlap:
    """Connections that all masks keep and that any keeps; `expected` of `jaccard` by size alone.

    `jaccard` is shared / union, and 0 where nothing remains. `expected` is the ratio of the mean
    numbers, not the mean ratio, of masks drawn at random with as many weights in each layer.
    """

    shared: int
    union: int
    jaccard: float
    expected: float


def overlap(masks: Sequence[Mapping[str, Tensor]]) -> dict[str, Overlap]:
    """The overlap of two or more masks, layer by layer and in `total`.

    Of a layer with n places and kept shares p, q, ... chance shares n * p * q * ... connections and
    leaves n * (1 - p)(1 - q)... unused. Of many masks `jaccard` is the fraction of connections in
    any that are in all: so we read the 9.34 % which tickets of all importances share in
    Vandersmissen & Oramas (2023, arXiv 2302.11244), whose definition we have not seen.

    Raises `InputError` where the masks have not the same shapes.
    """
    first = masks[0]
    for other in masks[1:]:
        if {n: m.shape for n, m in other.items()} != {n: m.shape for n, m in first.items()}:
            raise InputError(
                "masks of networks of different shape do not overlap place by place: compare them "
                "through their origins (overlap_through)"
            )
    numbers = {name: _numbers([m[name] for m in masks]) for name in first}
    sums = torch.tensor(list(numbers.values()), dtype=torch.float64).sum(0)
    found = {name.removesuffix(".weight"): _overlap(*n) for name, n in numbers.items()}
    return found | {TOTAL: _overlap(*(float(n) for n in sums))}


def _numbers(masks: Sequence[Tensor]) -> tuple[float, float, float, float]:
    """Shared and united connections of one layer, and what chance would make of both."""
    places = masks[0].numel()
    shares = [float(m.double().mean()) for m in masks]
    by_chance, unused = float(places), float(places)
    for share in shares:
        by_chance, unused = by_chance * share, unused * (1 - share)
    return (
        float(reduce(and_, masks).sum()),
        float(reduce(or_, masks).sum()),
        by_chance,
        places - unused,
    )


def _overlap(shared: float, union: float, by_chance: float, united: float) -> Overlap:
    return Overlap(
        int(shared),
        int(union),
        shared / union if union else 0.0,
        by_chance / united if united else 0.0,
    )


def overlap_through(before: Masks, after: Masks, change: Morph) -> dict[str, Overlap]:
    """The overlap of tickets of different shape, over the connections that have an ancestor.

    `before` and `after` are masks of the networks that `change` leads between; each connection of
    the later one is held against the one it comes from. Layers without any ancestor are left out.
    """
    nothing = masking.none(after)
    moved = transplant(before, change, nothing)
    heirs = inherited(change)
    names = [n for n in after if bool(heirs[n].any())]
    if not names:
        raise InputError("no connection of the later ticket comes from the earlier one")
    return overlap([{n: moved[n][heirs[n]] for n in names}, {n: after[n][heirs[n]] for n in names}])
