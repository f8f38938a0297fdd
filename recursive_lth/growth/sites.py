"""Sites: where in a network something can be put in, and how it is put there.

A place in [0, 1] points along the network from input to output, so that the same number means the
same region while the network grows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS, WEIGHTED, Axis, Layer, only
from recursive_lth.errors import InputError


def at(choices: Sequence[str], place: float, what: str) -> str:
    """The choice at a relative place in [0, 1]."""
    if not choices:
        raise InputError(f"nothing can grow here: the network has no {what} of its own")
    return choices[min(int(place * len(choices)), len(choices) - 1)]


def sites(architecture: Architecture) -> tuple[str, ...]:
    """Activations after which a layer can be inserted, from input to output.

    Not those of joined streams, nor of features that stand for the pixels of a channel.
    """
    return tuple(
        name
        for name in architecture.order
        if architecture.layers[name].operation in ACTIVATIONS and _is_stream(architecture, name)
    )


def weight_layers(architecture: Architecture) -> tuple[str, ...]:
    """Layers with weights but the last, from input to output."""
    return tuple(
        name
        for name in architecture.order
        if architecture.layers[name].operation in WEIGHTED and name != architecture.output
    )


def stream(architecture: Architecture, name: str) -> Axis:
    """The symbol of the units that leave a layer, and how many channels each of them is."""
    return only(architecture.unit_rows[name])


def is_image(architecture: Architecture, name: str) -> bool:
    """True iff channels of pixels leave the layer, not features."""
    return len(architecture.shapes[name]) == 3


def reaches(architecture: Architecture, name: str, operations: Collection[str]) -> bool:
    """True iff the units after a layer reach one of these operations as they are."""
    following = list(architecture.graph.successors(name))
    while following:
        reader = following.pop()
        if architecture.layers[reader].operation in operations:
            return True
        if not architecture.layers[reader].width:
            following.extend(architecture.graph.successors(reader))
    return False


def weight_layer(
    architecture: Architecture, site: str, source: str, axis: Axis, *, bias: bool, kernel: int = 3
) -> Layer:
    """A weight layer that keeps the pixels at `site`, reads `source` and makes units of `axis`."""
    if is_image(architecture, site):
        return Layer(
            "conv", (source,), axis.symbol, kernel, padding=kernel // 2, bias=bias,
            multiple=axis.repeat,
        )  # fmt: skip
    return Layer("linear", (source,), axis.symbol, bias=bias, multiple=axis.repeat)


def insert(
    architecture: Architecture,
    site: str,
    end: str,
    layers: Mapping[str, Layer],
    widths: Mapping[str, int],
) -> Architecture:
    """The architecture in which all that read `site` read `end` instead, through new layers."""
    taken = [name for name in layers if name in architecture.layers]
    if taken:
        raise InputError(f"layers {taken} exist already: give the growth another label")
    rewired = {
        name: replace(layer, inputs=tuple(end if i == site else i for i in layer.inputs))
        for name, layer in architecture.layers.items()
        if site in layer.inputs
    }
    return architecture.edit(layers={**rewired, **layers}, widths=widths)


def _is_stream(architecture: Architecture, name: str) -> bool:
    row = architecture.unit_rows[name]
    return len(row) == 1 and (is_image(architecture, name) or row[0].repeat == 1)
