"""The only mover of tensors through a structural change: one loop over named axes."""

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from recursive_lth.architecture.layer import Axis, Row
from recursive_lth.errors import InputError
from recursive_lth.ticket.morph import NEW, Morph

FEW = 32  # blocks of a tensor that are copied one by one


class Run(NamedTuple):
    """`size` consecutive entries along an axis, and where they lie before, or NEW."""

    after: int
    before: int
    size: int


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
    found = {}
    for name in morph.after.tensors:
        shape = morph.after.shape(name)
        if not _is_heir(name, morph):
            found[name] = torch.zeros(shape, dtype=torch.bool)
            continue
        whole = torch.ones(shape, dtype=torch.bool)
        for dimension, sources in enumerate(_all_sources(name, morph)):
            if bool((sources == NEW).any()):
                whole &= _upright(sources != NEW, dimension, len(shape))
        found[name] = whole
    return found


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
    old, sources = tensors[name], _all_sources(name, morph)
    places = [(along != NEW).nonzero().flatten() for along in sources]
    runs = [_runs(along) for along in sources]
    if math.prod(map(len, runs)) > FEW:  # torn: gather what stays, so that it lies end to end
        for dimension, (along, place) in enumerate(zip(sources, places, strict=True)):
            old = _take(old, dimension, along[place].to(old.device))
            along[place] = torch.arange(len(place))
        runs = [_runs(along) for along in sources]
        if all(len(along) == 1 for along in runs):
            return old.to(fill)
    if math.prod(map(len, runs)) > FEW:
        moved = fill.clone()
        grid = (_upright(p.to(fill.device), d, len(places)) for d, p in enumerate(places))
        moved[tuple(grid)] = old.to(fill)
        return moved
    moved = torch.empty_like(fill)
    for block in itertools.product(*runs):
        after = tuple(slice(run.after, run.after + run.size) for run in block)
        before = tuple(slice(run.before, run.before + run.size) for run in block)
        is_new = any(run.before == NEW for run in block)
        moved[after] = fill[after] if is_new else old[before]
    return moved


def _runs(sources: Tensor) -> list[Run]:
    """The axis cut where the next entry is not the next one of before, or new after new."""
    here, there = sources[:-1], sources[1:]
    is_old = (here != NEW) & (there != NEW)
    goes_on = (is_old & (there == here + 1)) | ((here == NEW) & (there == NEW))
    starts = [0, *((~goes_on).nonzero().flatten() + 1).tolist()]
    ends = [*starts[1:], len(sources)]
    firsts = sources[starts].tolist()
    return [Run(s, f, e - s) for s, f, e in zip(starts, firsts, ends, strict=True)]


def _upright(along: Tensor, dimension: int, dimensions: int) -> Tensor:
    """A vector as a tensor of so many dimensions, along one of them."""
    return along.view([-1 if d == dimension else 1 for d in range(dimensions)])


def _all_sources(name: str, morph: Morph) -> list[Tensor]:
    """For each axis of a tensor `_sources`."""
    before, after = morph.before.tensors[name], morph.after.tensors[name]
    if len(before) != len(after):
        raise InputError(f"{name} has {len(before)} axes before and {len(after)} after")
    return [_sources(name, *rows, morph) for rows in zip(before, after, strict=True)]


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
