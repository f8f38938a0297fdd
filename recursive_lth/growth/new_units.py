"""New units of a widened width: the weights that feed them and those that read them, as matrices.

A row of such a matrix is a new unit. What enters it are the entries, over all layers that make
units of its symbol, that come from old units; what leaves it those that lead to old units. Weights
from one new unit to another, as a layer has that reads the symbol it makes, belong to neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Row
from recursive_lth.architecture.network import Weights
from recursive_lth.errors import InputError
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, morph
from recursive_lth.ticket.transplant import inherited_along

QUIET = 1e-20  # > 0, so that torch.relu has slope 1 there; beside other numbers it is nothing

Places = Mapping[str, Tensor]  # by tensor: flat indices (units, entries) of what is each unit's own


@dataclass(frozen=True)
class NewUnits:
    """The places of all that is new units' own, one row a unit.

    `incoming` and `outgoing` weights; `loops` from new units to new ones; `channelwise` weights of
    grouped convolutions on the way, (units, channels, kernel entries); `biases` of layers and
    norms.
    """

    symbol: str
    count: int
    incoming: Places
    outgoing: Places
    loops: Places
    channelwise: Places
    biases: Places


def new_units(change: Morph) -> NewUnits:
    """The new units of the one symbol that a change has widened.

    Raises `InputError` where it has widened none, or several.
    """
    symbols = [
        symbol
        for symbol, ancestry in change.origin.items()
        if symbol in change.after.widths and ancestry.symbol and NEW in ancestry.units
    ]
    if len(symbols) != 1:
        raise InputError(f"needs one widened symbol, got {symbols or 'none'}: use widen")
    symbol, after = symbols[0], change.after
    new = torch.tensor([i for i, u in enumerate(change.origin[symbol].units) if u == NEW])
    incoming, outgoing, loops, channelwise, biases = {}, {}, {}, {}, {}
    for name, rows in after.tensors.items():
        layer, _, part = name.rpartition(".")
        is_made, is_read = (
            any(axis.symbol == symbol for axis in row)
            for row in (rows[0], rows[1] if len(rows) > 1 else ())
        )
        if part == "bias" and is_made:
            biases[name] = _places(after, name, 0, symbol, new)
        if name not in after.prunable:
            continue
        if is_made and after.layers[layer].operation == "groupconv":
            channels = _places(after, name, 0, symbol, new)
            multiple = rows[0][0].repeat
            channelwise[name] = channels.view(len(new), multiple, -1)
        elif is_made:
            from_old = inherited_along(change, name, 1)
            incoming[name] = _places(after, name, 0, symbol, new, from_old)
            if is_read:
                loops[name] = _places(after, name, 0, symbol, new, ~from_old)
        if is_read:
            outgoing[name] = _places(after, name, 1, symbol, new, inherited_along(change, name, 0))
    return NewUnits(symbol, len(new), incoming, outgoing, loops, channelwise, biases)


def probing(architecture: Architecture, symbol: str, count: int) -> Morph:
    """The change that adds `count` units to a symbol."""
    units = architecture.widths[symbol]
    after = architecture.edit(widths={symbol: units + count})
    return morph(architecture, after, {symbol: Ancestry(symbol, (*range(units), *[NEW] * count))})


def gather(tensors: Mapping[str, Tensor], places: Places) -> Tensor:
    """The matrix (units, entries) of what lies at places, tensor after tensor."""
    return torch.cat([tensors[name].flatten()[where] for name, where in places.items()], 1)


def scatter(tensors: Weights, places: Places, matrix: Tensor) -> Weights:
    """The tensors with the rows of a matrix at the places of the first units: `gather` undone."""
    result, start = dict(tensors), 0
    for name, where in places.items():
        width = where.shape[1]
        flat = tensors[name].flatten().clone()
        part = matrix[:, start : start + width]
        flat = flat.index_put((where[: len(matrix)],), part.to(flat))
        result[name] = flat.view(tensors[name].shape)
        start += width
    return result


def silent(values: Weights, places: Places, count: int) -> Weights:
    """The values with 0 at the places of the first `count` units."""
    for name, where in places.items():
        rows = where[:count].flatten(1)
        values = scatter(values, {name: where.flatten(1)}, torch.zeros(rows.shape))
    return values


def quiet(values: Weights, units: NewUnits, count: int) -> Weights:
    """The values with the first `count` units silent: all weights 0, each activation open.

    Their biases, and the betas of their norms, are `QUIET`; grouped convolutions hand them on as
    they are (a one at the centre of each kernel, as Evci et al. do). So each puts out f(QUIET),
    about 0 where f(0) = 0, and a piecewise linear f has the slope that it has on the right of 0.
    """
    for places in (units.incoming, units.outgoing, units.loops):
        values = silent(values, places, count)
    for name, where in units.biases.items():
        values = scatter(values, {name: where}, torch.full(where[:count].shape, QUIET))
    for name, where in units.channelwise.items():
        kernel = torch.zeros(values[name].shape[1:])
        kernel[0, kernel.shape[1] // 2, kernel.shape[2] // 2] = 1
        rows = kernel.flatten().expand(count, where.shape[1], -1).flatten(1)
        values = scatter(values, {name: where.flatten(1)}, rows)
    return values


def only_quiet(change: Morph, units: NewUnits) -> Weights:
    """Float64 values after a widening with all new units quiet; of use for new entries alone."""
    values = {n: torch.ones(change.after.shape(n)).double() for n in change.after.tensors}
    values |= {n: torch.zeros_like(t) for n, t in values.items() if n.endswith(".running_mean")}
    return quiet(values, units, units.count)


def _places(
    architecture: Architecture,
    name: str,
    dimension: int,
    symbol: str,
    units: Tensor,
    others: Tensor | None = None,
) -> Tensor:
    """Flat indices (units, entries) along one axis; of the other axis only the entries `others`."""
    shape = architecture.shape(name)
    index = torch.arange(torch.Size(shape).numel()).view(shape).movedim(dimension, 0)
    along = _along(architecture, architecture.tensors[name][dimension], symbol, units)
    found = index[along]  # (units, repeats, other axis, kernel...)
    return (found if others is None else found[:, :, others]).flatten(1)


def _along(architecture: Architecture, row: Row, symbol: str, units: Tensor) -> Tensor:
    """Where units lie along an axis: (units, entries)."""
    found, start = [], 0
    for axis in row:
        if axis.symbol == symbol:
            found.append(start + units[:, None] * axis.repeat + torch.arange(axis.repeat))
        start += architecture.symbols[axis.symbol] * axis.repeat
    return torch.cat(found, 1)
