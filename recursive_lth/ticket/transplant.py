"""The only mover of tensors through a structural change: one loop over named axes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.layer import Axis, Row
from recursive_lth.errors import InputError
from recursive_lth.ticket.morph import NEW, Morph


def transplant(
    tensors: Mapping[str, Tensor], morph: Morph, new: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors after the morph: each entry from its ancestor, or from `new` where it has none.

    `new` has a tensor of the shape after for every name of the result; `tensors` has those of the
    shape before (none of them for the first network). Weights, masks, rewind weights, BatchNorm
    statistics, optimizer moments and birth generations all move like this, with another `new`. An
    entry is inherited iff a tensor of its name existed and all its axes come from ancestors.

    Raises `InputError` where an axis would inherit from an axis of another symbol, a tensor has
    not the shape before or after, or one with ancestors is not given.
    """
    for group, architecture, given in (
        ("tensors", morph.before, tensors),
        ("new", morph.after, new),
    ):
        for name, tensor in given.items():
            if name not in architecture.tensors:
                raise InputError(f"{group} hold {name}, which the architecture lacks")
            if tuple(tensor.shape) != architecture.shape(name):
                raise InputError(
                    f"{group}/{name} must have shape {architecture.shape(name)}, "
                    f"got {tuple(tensor.shape)}"
                )
    return {
        name: _move(name, tensors, morph, fill) if _is_heir(name, morph) else fill.clone()
        for name, fill in new.items()
    }


def inherited(morph: Morph) -> dict[str, Tensor]:
    """For each tensor after the morph a bool tensor, true where the entry has an ancestor."""
    old = {n: torch.ones(morph.before.shape(n), dtype=torch.bool) for n in morph.before.tensors}
    new = {n: torch.zeros(morph.after.shape(n), dtype=torch.bool) for n in morph.after.tensors}
    return transplant(old, morph, new)


def inherited_along(morph: Morph, name: str, dimension: int) -> Tensor:
    """For each entry along one axis of a tensor after the morph: does it have an ancestor?"""
    return ancestors_along(morph, name, dimension) != NEW


def ancestors_along(morph: Morph, name: str, dimension: int) -> Tensor:
    """For each entry along one axis of a tensor after the morph its entry before, or NEW."""
    row = morph.after.tensors[name][dimension]
    if not _is_heir(name, morph):
        return torch.full((morph.after.shape(name)[dimension],), NEW)
    return _sources(name, morph.before.tensors[name][dimension], row, morph)


def _is_heir(name: str, morph: Morph) -> bool:
    """True iff an entry of the tensor has an ancestor, as far as names and units go."""
    return name in morph.before.tensors and all(
        any(morph.origin[axis.symbol].symbol for axis in row) for row in morph.after.tensors[name]
    )


def _move(name: str, tensors: Mapping[str, Tensor], morph: Morph, fill: Tensor) -> Tensor:
    if name not in tensors:
        raise InputError(f"{name} has ancestors, but is not among the tensors to move")
    old = tensors[name]
    rows_before, rows_after = morph.before.tensors[name], morph.after.tensors[name]
    if len(rows_before) != len(rows_after):
        raise InputError(f"{name} has {len(rows_before)} axes before and {len(rows_after)} after")
    places: list[Tensor] = []  # per axis: which entries after have an ancestor
    for dimension, (before, after) in enumerate(zip(rows_before, rows_after, strict=True)):
        sources = _sources(name, before, after, morph)
        place = (sources != NEW).nonzero().flatten()
        places.append(place)
        old = _take(old, dimension, sources[place].to(old.device))
    if all(len(place) == size for place, size in zip(places, fill.shape, strict=True)):
        return old.to(fill, copy=True)
    moved = fill.clone()
    grid = torch.meshgrid(places, indexing="ij") if len(places) > 1 else tuple(places)
    moved[tuple(index.to(fill.device) for index in grid)] = old.to(fill)
    return moved


def _sources(name: str, before: Row, after: Row, morph: Morph) -> Tensor:
    """For each entry along an axis after the morph its entry before, or NEW.

    A segment after the change comes from the segment before that its symbol comes from, the second
    of a symbol from the second; one that was not there before is new.
    """
    starts: dict[Axis, list[int]] = {}
    place = 0
    for axis in before:
        starts.setdefault(axis, []).append(place)
        place += morph.before.symbols[axis.symbol] * axis.repeat
    found, strangers = [], []
    for axis in after:
        ancestry = morph.origin[axis.symbol]
        units = torch.tensor(ancestry.units)[:, None]
        known = starts.get(Axis(ancestry.symbol, axis.repeat))
        entries = units * axis.repeat + torch.arange(axis.repeat)
        if known:
            entries = torch.where(units == NEW, NEW, entries + known.pop(0))
        else:
            entries = torch.full_like(entries, NEW)
            strangers += [f"{ancestry.symbol} x {axis.repeat}"] if ancestry.symbol else []
        found.append(entries.flatten())
    if len(strangers) == len(after):
        there = " + ".join(f"{axis.symbol} x {axis.repeat}" for axis in before)
        raise InputError(
            f"{name} runs over {there} before and inherits from {' + '.join(strangers)}: name the "
            "axis's own symbol in the origin"
        )
    return torch.cat(found)


def _take(tensor: Tensor, dimension: int, sources: Tensor) -> Tensor:
    """`index_select`, saved where it would change nothing."""
    size = tensor.shape[dimension]
    if len(sources) == size and bool((sources == torch.arange(size, device=sources.device)).all()):
        return tensor
    return tensor.index_select(dimension, sources)
