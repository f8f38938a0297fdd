"""Operators that put layers into a path: one layer, or a residual block."""

from collections.abc import Mapping

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Axis, Layer
from recursive_lth.growth.sites import at, insert, is_image, reaches, sites, stream, weight_layer
from recursive_lth.ticket.morph import Ancestry, Morph, morph

BINDING = frozenset({"add"})  # what reads several streams of one symbol
SHRINK = 4  # channels of a stream for each one of its bottleneck


def deepen(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A weight layer and an activation of its own after the activation at `place` (Net2DeeperNet).

    Linear for features, a 3x3 convolution for images, neither with BatchNorm: so that an identity
    is exact in training mode too, where Chen et al. (2016, arXiv 1511.05641) are exact in
    evaluation only. The activation is of the same kind as the one before; where that is not
    idempotent no identity is exact, and a residual form is. `ratio` is unused: the new layer is as
    wide as its input.
    """
    site = at(sites(architecture), place, "activation")
    axis = stream(architecture, site)
    units = architecture.widths[axis.symbol]
    own = axis if reaches(architecture, site, BINDING) else Axis(label, axis.repeat)
    activation = architecture.layers[site].operation
    end = f"{label}_{activation}"
    layers = {label: weight_layer(architecture, site, site, own, bias=True)}
    layers[end] = Layer(activation, (label,))
    after = insert(architecture, site, end, layers, {own.symbol: units})
    return morph(architecture, after, {own.symbol: Ancestry(axis.symbol, tuple(range(units)))})


def residual(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A basic residual block after the activation at `place` (He et al. 2016, arXiv 1512.03385).

    For images conv-norm-act-conv-norm, for features linear-act-linear, added to what the
    activation gave and followed by an activation of its kind. `ratio` is unused: the block is as
    wide as its stream.
    """
    return _block(architecture, place, label, is_bottleneck=False)


def bottleneck(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """Like `residual` with 1x1, 3x3 and 1x1 convolutions through a quarter of the channels.

    For features two linear layers through a quarter of the units.
    """
    return _block(architecture, place, label, is_bottleneck=True)


def residual_pre(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A pre-activation block after the activation at `place` (He et al. 2016, arXiv 1603.05027).

    For images norm-act-conv-norm-act-conv, for features act-linear-act-linear, added to what came
    in, with nothing after it: so it is exact whatever the activation is.
    """
    return _pre_block(architecture, place, label, is_bottleneck=False)


def bottleneck_pre(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """Like `residual_pre`, through a quarter of the channels."""
    return _pre_block(architecture, place, label, is_bottleneck=True)


def _block(architecture: Architecture, place: float, label: str, *, is_bottleneck: bool) -> Morph:
    site = at(sites(architecture), place, "activation")
    activation, has_norm = architecture.layers[site].operation, is_image(architecture, site)
    layers: dict[str, Layer] = {}
    source = site
    plan = _plan(architecture, site, label, is_bottleneck)
    for number, (axis, kernel) in enumerate(plan, start=1):
        name = f"{label}_{number}"
        layers[name] = weight_layer(
            architecture, site, source, axis, bias=not has_norm, kernel=kernel
        )
        source = name
        if has_norm:
            source = f"{name}_norm"
            layers[source] = Layer("batchnorm", (name,))
        if number < len(plan):
            layers[f"{label}_{activation}{number}"] = Layer(activation, (source,))
            source = f"{label}_{activation}{number}"
    end = f"{label}_{activation}{len(plan)}"
    layers[f"{label}_add"] = Layer("add", (source, site))
    layers[end] = Layer(activation, (f"{label}_add",))
    return _inserted(architecture, site, end, layers, label, is_bottleneck)


def _pre_block(
    architecture: Architecture, place: float, label: str, *, is_bottleneck: bool
) -> Morph:
    site = at(sites(architecture), place, "activation")
    activation, has_norm = architecture.layers[site].operation, is_image(architecture, site)
    layers: dict[str, Layer] = {}
    source = site
    plan = _plan(architecture, site, label, is_bottleneck)
    for number, (axis, kernel) in enumerate(plan, start=1):
        if has_norm:
            layers[f"{label}_{number}_norm"] = Layer("batchnorm", (source,))
            source = f"{label}_{number}_norm"
        layers[f"{label}_{activation}{number}"] = Layer(activation, (source,))
        source = f"{label}_{number}"
        layers[source] = weight_layer(
            architecture, site, f"{label}_{activation}{number}", axis, kernel=kernel,
            bias=not has_norm,
        )  # fmt: skip
    layers[f"{label}_add"] = Layer("add", (source, site))
    return _inserted(architecture, site, f"{label}_add", layers, label, is_bottleneck)


def _plan(
    architecture: Architecture, site: str, label: str, is_bottleneck: bool
) -> list[tuple[Axis, int]]:
    """What each weight layer of a block makes, and its kernel."""
    through, back = Axis(label), stream(architecture, site)
    if not is_bottleneck:
        return [(Axis(label, back.repeat), 3), (back, 3)]
    if is_image(architecture, site):
        return [(through, 1), (Axis(f"{label}_mid"), 3), (back, 1)]
    return [(through, 1), (back, 1)]


def _inserted(
    architecture: Architecture,
    site: str,
    end: str,
    layers: Mapping[str, Layer],
    label: str,
    is_bottleneck: bool,
) -> Morph:
    """The block in its place, its own symbols all new."""
    axis = stream(architecture, site)
    units = architecture.widths[axis.symbol]
    few = max(1, units * axis.repeat // SHRINK)
    made = {layer.width for layer in layers.values()} - {"", axis.symbol}
    widths = dict.fromkeys(made, few if is_bottleneck else units)
    return morph(architecture, insert(architecture, site, end, layers, widths), {})
