"""The only mover of tensors through a structural change: one loop over named axes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.layer import Axis
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


def _is_heir(name: str, morph: Morph) -> bool:
    """True iff an entry of the tensor has an ancestor, as far as names and units go."""
    return name in morph.before.tensors and all(
        morph.origin[axis.symbol].symbol for axis in morph.after.tensors[name]
    )


def _move(name: str, tensors: Mapping[str, Tensor], morph: Morph, fill: Tensor) -> Tensor:
    if name not in tensors:
        raise InputError(f"{name} has ancestors, but is not among the tensors to move")
    old = tensors[name]
    axes_before, axes_after = morph.before.tensors[name], morph.after.tensors[name]
    if len(axes_before) != len(axes_after):
        raise InputError(f"{name} has {len(axes_before)} axes before and {len(axes_after)} after")
    places: list[Tensor] = []  # per axis: which entries after have an ancestor
    for dimension, (before, after) in enumerate(zip(axes_before, axes_after, strict=True)):
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


def _sources(name: str, before: Axis, after: Axis, morph: Morph) -> Tensor:
    """For each entry along an axis after the morph its entry before, or NEW."""
    ancestry = morph.origin[after.symbol]
    units = torch.tensor(ancestry.units)
    if not ancestry.symbol:
        return units.repeat_interleave(after.repeat)
    if ancestry.symbol != before.symbol or after.repeat != before.repeat:
        raise InputError(
            f"{name} runs over {before.symbol} x {before.repeat} before and inherits from "
            f"{ancestry.symbol} x {after.repeat}: name the axis's own symbol in the origin"
        )
    entries = units[:, None] * after.repeat + torch.arange(after.repeat)
    return torch.where(units[:, None] == NEW, NEW, entries).flatten()


def _take(tensor: Tensor, dimension: int, sources: Tensor) -> Tensor:
    """`index_select`, saved where it would change nothing."""
    size = tensor.shape[dimension]
    if len(sources) == size and bool((sources == torch.arange(size, device=sources.device)).all()):
        return tensor
    return tensor.index_select(dimension, sources)
