"""Squeezing: a growth undone, whatever operator added to the network."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import NEW, Morph
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import ancestors_along

READS = 1  # the axis of a weight along which units are read


def squeeze(ticket: Ticket, change: Morph) -> Ticket:
    """The ticket without what `change`, the growth that led to its shape, had added.

    Exact where what was added does nothing, as when it was just born by a preserving
    initialisation. Of units that were split the first copy stays, with the outgoing weights of all
    of them: exact while the copies are alike. No morph leads back: where a growth has given one
    symbol two heirs, as `deepen` does, two symbols would become one.

    Raises `InputError` where the ticket has another shape than the growth led to, or the growth
    has added nothing, as re-wiring does, or removed units or layers: nothing can bring those back.
    """
    if ticket.architecture != change.after:
        raise InputError("cannot squeeze: the ticket is not of the shape that this growth led to")
    if change.before == change.after:
        raise InputError("cannot squeeze: the growth has added nothing, it exchanged weights")
    masks = {n: m > 0 for n, m in _back(ticket.masks, change).items()}
    return Ticket(
        change.before,
        weights=masking.apply(_back(ticket.weights, change), masks),
        rewind=_back(ticket.rewind, change),
        masks=masks,
        births=_back(ticket.births, change, adds_up=False),
        parent=ticket.digest,
        skeleton={n: t > 0 for n, t in _back(ticket.skeleton, change).items()},
    )


def _back(
    tensors: Mapping[str, Tensor], change: Morph, *, adds_up: bool = True
) -> dict[str, Tensor]:
    """Every tensor before the growth, from its first heirs; copies that are read add up."""
    old = {n for n in change.before.tensors if n in tensors}
    if gone := set(change.before.tensors) - set(change.after.tensors):
        raise InputError(f"cannot squeeze: the growth has removed {sorted(gone)}")
    found = {}
    for name in old:
        value, kind = tensors[name], tensors[name].dtype
        value = value.double() if kind.is_floating_point else value.int()
        for dimension in range(value.dim()):
            sources = ancestors_along(change, name, dimension)
            size = change.before.shape(name)[dimension]
            if set(range(size)) - set(sources.tolist()):
                raise InputError(f"cannot squeeze: the growth has removed units of {name}")
            if dimension == READS and adds_up:
                value = _summed(value, sources, size)
            else:
                value = value.index_select(dimension, _firsts(sources, size))
        found[name] = value.to(kind)
    return found


def _summed(tensor: Tensor, sources: Tensor, size: int) -> Tensor:
    """Along the axis read, the sum of all entries that come from the same one before."""
    places = (sources != NEW).nonzero().flatten()
    empty = tensor.new_zeros(tensor.shape[0], size, *tensor.shape[2:])
    return empty.index_add(READS, sources[places], tensor.index_select(READS, places))


def _firsts(sources: Tensor, size: int) -> Tensor:
    """For each entry before the growth the first after it that comes from it."""
    first = torch.full((size,), len(sources))
    places = (sources != NEW).nonzero().flatten()
    return first.scatter_reduce(0, sources[places], places, "amin")
