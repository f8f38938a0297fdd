"""Stretching: a residual block put in again behind itself (Elastic Lottery Ticket Hypothesis)."""

from dataclasses import replace

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS
from recursive_lth.growth.sites import at, insert
from recursive_lth.ticket.morph import Morph, morph


def stretch(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A copy of the residual block at `place`, put in behind it (Chen et al. 2021, 2103.16547).

    The new layers name those they copy in `Morph.models`, from which weights, masks and BatchNorm
    can be taken. Only blocks whose shortcut is the identity. `ratio` is unused: one copy a growth.
    """
    found = blocks(architecture)
    end = at(tuple(found), place, "residual block with an identity shortcut")
    members = found[end]
    copies = {name: f"{label}_{name}" for name in members}
    source = _source(architecture, members)
    inner = {architecture.layers[name].width for name in members} - {""}
    outside = {layer.width for n, layer in architecture.layers.items() if n not in members}
    symbols = {symbol: f"{label}_{symbol}" for symbol in inner - outside}
    layers = {}
    for name, copy in copies.items():
        layer = architecture.layers[name]
        inputs = tuple(end if i == source else copies[i] for i in layer.inputs)
        layers[copy] = replace(layer, inputs=inputs, width=symbols.get(layer.width, layer.width))
    widths = {new: architecture.widths[old] for old, new in symbols.items()}
    after = insert(architecture, end, copies[end], layers, widths)
    return morph(architecture, after, {}, {copy: name for name, copy in copies.items()})


def blocks(architecture: Architecture) -> dict[str, tuple[str, ...]]:
    """Residual blocks with an identity shortcut: the layer each ends in -> its layers, in order.

    A block is what lies between an activation (or addition) and an addition that reads it as it
    is; an activation that alone reads the addition is its last layer.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in architecture.order:
        layer = architecture.layers[name]
        if layer.operation != "add" or len(layer.inputs) != 2:
            continue
        for source, branch in (layer.inputs, layer.inputs[::-1]):
            members = _between(architecture, source, branch)
            if members:
                end = _with_activation(architecture, name)
                order = [n for n in architecture.order if n in {*members, name, end}]
                found[end] = tuple(order)
                break
    return found


def _between(architecture: Architecture, source: str, branch: str) -> set[str]:
    """The layers on the way from `source` to `branch`; none where another way leads in or out."""
    members: set[str] = set()
    waiting = [branch]
    while waiting:
        name = waiting.pop()
        if name == source or name in members:
            continue
        if not architecture.layers[name].inputs:
            return set()
        members.add(name)
        waiting.extend(architecture.layers[name].inputs)
    graph = architecture.graph
    leaks = any(
        reader not in members for name in members - {branch} for reader in graph.successors(name)
    )
    return set() if leaks or graph.out_degree(branch) != 1 else members


def _with_activation(architecture: Architecture, name: str) -> str:
    """The activation that alone reads a layer, or the layer itself."""
    readers = list(architecture.graph.successors(name))
    if len(readers) == 1 and architecture.layers[readers[0]].operation in ACTIVATIONS:
        return readers[0]
    return name


def _source(architecture: Architecture, members: tuple[str, ...]) -> str:
    """The one layer that a block reads."""
    (source,) = {
        i for name in members for i in architecture.layers[name].inputs if i not in members
    }
    return source
