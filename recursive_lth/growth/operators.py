"""Operators: an architecture, a place and a ratio -> a Morph. They propose; nothing is moved here.

A place in [0, 1] points along the network from input to output, so that the same number means the
same region while the network grows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.errors import InputError
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, morph

Operator = Callable[..., Morph]  # (architecture, *, place, ratio, label)


def widen(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """More units on the width symbol at `place`: `ratio` new ones for each old one, at least one.

    Every tensor that runs over the symbol widens with it, a whole residual stream alike. `label` is
    unused: no layer is added.
    """
    symbol = _at(architecture.free_symbols, place, "width symbol")
    units = architecture.widths[symbol]
    new = max(1, round(ratio * units))
    after = architecture.edit(widths={symbol: units + new})
    return morph(architecture, after, {symbol: Ancestry(symbol, (*range(units), *(NEW,) * new))})


def deepen(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A weight layer and a ReLU of its own after the activation at `place` (Net2DeeperNet).

    Linear for features, a 3x3 convolution for images, neither with BatchNorm: so that an identity
    is exact in training mode too, where Chen et al. (2016, arXiv 1511.05641) are exact in
    evaluation only. `ratio` is unused: the new layer is as wide as its input.
    """
    site = _at(sites(architecture), place, "activation")
    symbol = architecture.unit_axes[site].symbol
    units = architecture.widths[symbol]
    own = symbol if _reaches_add(architecture, site) else label
    layers = {label: _weight_layer(architecture, site, site, own, bias=True)}
    layers[f"{label}_relu"] = Layer("relu", (label,))
    after = _insert(architecture, site, f"{label}_relu", layers, {own: units})
    return morph(architecture, after, {own: Ancestry(symbol, tuple(range(units)))})


def residual(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A residual block after the activation at `place`, post-activation (He et al. 2016).

    For images conv-norm-relu-conv-norm, for features linear-relu-linear, added to what the
    activation gave and followed by a ReLU. `ratio` is unused: the block is as wide as its stream.
    """
    site = _at(sites(architecture), place, "activation")
    symbol = architecture.unit_axes[site].symbol
    units = architecture.widths[symbol]
    is_image = len(architecture.shapes[site]) == 3
    layers: dict[str, Layer] = {}

    def weight_and_norm(number: int, source: str, own: str) -> str:
        name = f"{label}_{number}"
        layers[name] = _weight_layer(architecture, site, source, own, bias=not is_image)
        if is_image:
            layers[f"{name}_norm"] = Layer("batchnorm", (name,))
        return f"{name}_norm" if is_image else name

    layers[f"{label}_relu1"] = Layer("relu", (weight_and_norm(1, site, label),))
    branch = weight_and_norm(2, f"{label}_relu1", symbol)
    layers[f"{label}_add"] = Layer("add", (branch, site))
    layers[f"{label}_relu2"] = Layer("relu", (f"{label}_add",))
    after = _insert(architecture, site, f"{label}_relu2", layers, {label: units})
    return morph(architecture, after, {})


def sites(architecture: Architecture) -> tuple[str, ...]:
    """Activations after which a layer can be inserted, from input to output."""
    return tuple(
        name
        for name in architecture.order
        if architecture.layers[name].operation == "relu"
        and architecture.unit_axes[name].repeat == 1
    )


def _at(choices: Sequence[str], place: float, what: str) -> str:
    """The choice at a relative place in [0, 1]."""
    if not choices:
        raise InputError(f"nothing can grow here: the network has no {what} of its own")
    return choices[min(int(place * len(choices)), len(choices) - 1)]


def _weight_layer(
    architecture: Architecture, site: str, source: str, symbol: str, *, bias: bool
) -> Layer:
    """A weight layer that keeps the shape at `site` and reads from `source`."""
    if len(architecture.shapes[site]) == 3:
        return Layer("conv", (source,), symbol, kernel=3, padding=1, bias=bias)
    return Layer("linear", (source,), symbol, bias=bias)


def _reaches_add(architecture: Architecture, site: str) -> bool:
    """True iff the units after `site` reach an addition as they are: their symbol is bound."""
    following = list(architecture.graph.successors(site))
    while following:
        name = following.pop()
        if architecture.layers[name].operation == "add":
            return True
        if not architecture.layers[name].width:
            following.extend(architecture.graph.successors(name))
    return False


def _insert(
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


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {"widen": widen, "deepen": deepen, "residual": residual}
)
