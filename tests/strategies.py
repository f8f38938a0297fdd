"""Random architectures, weights, masks and morphs, built through the public constructors.

Widths, kernels and images are small, so that a slow twin can visit every entry of every tensor.
"""

from dataclasses import dataclass, field, replace

import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Axis, Layer
from recursive_lth.architecture.network import Weights
from recursive_lth.growth.birth import Batch
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, morph

SEEDS = st.integers(0, 2**31)


@dataclass
class _Sketch:
    """Layers so far, and what the last of them hands on."""

    draw: DrawFn
    last: str = "input"
    symbol: str = "input"
    pixels: tuple[int, ...] = ()
    layers: dict[str, Layer] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, layer: Layer) -> str:
        self.layers[name] = layer
        self.last = name
        if layer.width:
            self.symbol = layer.width
        if layer.operation in {"conv", "maxpool"}:
            span = 2 * layer.padding - layer.kernel
            self.pixels = tuple((n + span) // layer.stride + 1 for n in self.pixels)
        return name

    def weighted(self, name: str, symbol: str, *, is_same: bool = False) -> str:
        """A linear layer, or a convolution; `is_same` keeps the number of pixels."""
        self.widths.setdefault(symbol, self.draw(st.integers(1, 4)))
        bias = self.draw(st.booleans())
        if not self.pixels:
            return self.add(name, Layer("linear", (self.last,), symbol, bias=bias))
        kernel = self.draw(st.sampled_from((1, 3) if is_same else (1, 2, 3)))
        fits = min(self.pixels) >= kernel
        padding = kernel // 2 if is_same or not fits else self.draw(st.integers(0, 1))
        stride = 1 if is_same else self.draw(st.integers(1, 2))
        layer = Layer("conv", (self.last,), symbol, kernel, stride, padding, bias)
        return self.add(name, layer)

    def plain(self, name: str, operation: str) -> str:
        """A layer without units of its own."""
        return self.add(name, Layer(operation, (self.last,)))  # type: ignore[arg-type]

    def norm(self, name: str, *, likely: bool) -> None:
        if likely and self.draw(st.booleans()):
            self.plain(name, "batchnorm")

    def pool(self, name: str) -> None:
        if min(self.pixels) >= 2:
            stride, padding = self.draw(st.integers(1, 2)), self.draw(st.integers(0, 1))
            layer = Layer("maxpool", (self.last,), "", 2, stride, padding)
            self.add(name, layer)

    def residual(self, name: str, *, likely: bool) -> None:
        """last + branch(last), both on the symbol of `last`, added in either order."""
        source, stream = self.last, self.symbol
        if self.draw(st.booleans()):  # pre-activation: the source is read by two
            self.plain(f"{name}.pre", "relu")
        self.weighted(f"{name}.one", f"{name}.inner", is_same=True)
        self.norm(f"{name}.norm", likely=likely)
        self.plain(f"{name}.relu", "relu")
        ends = (self.weighted(f"{name}.two", stream, is_same=True), source)
        self.add(f"{name}.sum", Layer("add", self.draw(st.permutations(ends).map(tuple))))


@st.composite
def architectures(
    draw: DrawFn, *, is_image: bool | None = None, has_norms: bool | None = None
) -> Architecture:
    """Perceptrons and convolutional networks with pools, flattens, norms and residual streams."""
    norms = draw(st.booleans()) if has_norms is None else has_norms
    images = draw(st.booleans()) if is_image is None else is_image
    spatial = (draw(st.integers(3, 6)), draw(st.integers(3, 6))) if images else ()
    sketch = _Sketch(draw, pixels=spatial)
    sketch.widths["input"] = draw(st.integers(1, 3))
    sketch.layers["input"] = Layer("input", width="input")
    _blocks(sketch, "a", norms=norms, needs_stem=False)
    if images:
        sketch.plain("flat", draw(st.sampled_from(("flatten", "meanpool"))))
        sketch.pixels = ()
        sketch.norm("flat_norm", likely=norms)
    if draw(st.booleans()):
        _blocks(sketch, "z", norms=norms, needs_stem=True)
    if norms and not any(layer.operation == "batchnorm" for layer in sketch.layers.values()):
        sketch.plain("last_norm", "batchnorm")
    sketch.widths["classes"] = draw(st.integers(2, 4))
    sketch.add("output", Layer("linear", (sketch.last,), "classes", bias=draw(st.booleans())))
    order = draw(st.permutations(sorted(sketch.layers)))
    return Architecture({n: sketch.layers[n] for n in order}, sketch.widths, spatial)


def _blocks(sketch: _Sketch, prefix: str, *, norms: bool, needs_stem: bool) -> None:
    if needs_stem or sketch.draw(st.booleans()):  # else the stream is the input's own symbol
        sketch.weighted(f"{prefix}.stem", f"{prefix}.stream")
    for i in range(sketch.draw(st.integers(0, 2))):
        match sketch.draw(st.sampled_from(("plain", "residual", "pool"))):
            case "residual":
                sketch.residual(f"{prefix}{i}", likely=norms)
            case "pool" if sketch.pixels:
                sketch.pool(f"{prefix}{i}.pool")
            case _:
                sketch.weighted(f"{prefix}{i}.plain", f"{prefix}{i}.units")
                sketch.norm(f"{prefix}{i}.plain_norm", likely=norms)
        sketch.plain(f"{prefix}{i}.relu_out", "relu")


def normal_weights(architecture: Architecture, seed: int) -> Weights:
    """Standard normal float64 for every tensor, variances in [1/2, 3/2]."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for name in architecture.tensors:
        shape = architecture.shape(name)
        drawn[name] = torch.randn(shape, dtype=torch.float64, generator=generator)
        if name.endswith("running_var"):
            drawn[name] = torch.rand(shape, dtype=torch.float64, generator=generator) + 0.5
    return drawn


def random_batch(architecture: Architecture, samples: int, seed: int) -> Tensor:
    """Standard normal float64 inputs."""
    shape = (samples, *architecture.shapes[architecture.input])
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_samples(architecture: Architecture, samples: int, seed: int) -> Batch:
    """Such inputs with labels that go through the classes in turn."""
    labels = torch.arange(samples) % architecture.classes
    return Batch(random_batch(architecture, samples, seed), labels)


def exact_masks(architecture: Architecture, kept: dict[str, int], seed: int) -> Masks:
    """Masks that keep exactly `kept[name]` weights of each prunable tensor, places at random."""
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name in architecture.prunable:
        shape = architecture.shape(name)
        flat = torch.zeros(torch.Size(shape).numel(), dtype=torch.bool)
        flat[torch.randperm(len(flat), generator=generator)[: kept[name]]] = True
        masks[name] = flat.reshape(shape)
    return masks


@st.composite
def kept_counts(draw: DrawFn, architecture: Architecture) -> dict[str, int]:
    """How many weights each prunable tensor keeps, from none to all."""
    sizes = {n: torch.Size(architecture.shape(n)).numel() for n in architecture.prunable}
    return {name: draw(st.integers(0, size)) for name, size in sizes.items()}


@st.composite
def unit_origins(draw: DrawFn, units: int, *, is_injective: bool) -> tuple[int, ...]:
    """A removal, reordering and widening (and, unless injective, a split) of `units` units."""
    if is_injective:
        old = draw(st.permutations(range(units)))[: draw(st.integers(0, units))]
    else:
        old = draw(st.lists(st.integers(0, units - 1), max_size=units + 2))
    new = draw(st.integers(0 if old else 1, 2))
    return tuple(draw(st.permutations([*old, *[NEW] * new])))


@st.composite
def morphs(
    draw: DrawFn, before: Architecture, tag: str = "new", *, is_injective: bool = True
) -> Morph:
    """A random change: units of any free symbol, a larger kernel, new layers, a symbol's name.

    `tag` begins the names of what is new and must be fresh.
    """
    after, changed = before, dict[str, Ancestry]()
    for symbol in before.free_symbols:
        if draw(st.booleans()):
            units = draw(unit_origins(before.widths[symbol], is_injective=is_injective))
            changed[symbol] = Ancestry(symbol, units)
            after = after.edit(widths={symbol: len(units)})
    convolutions = sorted(n for n, layer in before.layers.items() if layer.operation == "conv")
    has_larger_kernel, has_insertion, has_new_name = (draw(st.booleans()) for _ in range(3))
    if convolutions and has_larger_kernel:
        name = draw(st.sampled_from(convolutions))
        layer = before.layers[name]
        wider = replace(layer, kernel=layer.kernel + 2, padding=layer.padding + 1)
        after = after.edit({name: wider})
        changed[f"{name}.kernel"] = Ancestry(f"{name}.kernel", (NEW, *range(layer.kernel), NEW))
    if has_insertion:
        after = draw(insertions(after, tag))
        if (own := f"{tag}.own") in after.widths:  # what read the old symbol reads this one now
            source = after.unit_rows[after.layers[f"{tag}.layer"].inputs[0]][0].symbol
            same = Ancestry(source, tuple(range(before.widths[source])))
            changed[own] = changed.get(source, same)
    if before.free_symbols and has_new_name:
        old = draw(st.sampled_from(before.free_symbols))
        units = tuple(range(before.widths[old]))
        changed[f"{tag}.name"] = Ancestry(old, changed.pop(old, Ancestry(old, units)).units)
        after = renamed(after, old, f"{tag}.name")
    return morph(before, after, changed)


def renamed(architecture: Architecture, old: str, new: str) -> Architecture:
    """The same network with symbol `old` called `new`."""
    layers = {
        n: replace(layer, width=new) if layer.width == old else layer
        for n, layer in architecture.layers.items()
    }
    widths = {new if s == old else s: n for s, n in architecture.widths.items()}
    return Architecture(layers, widths, architecture.spatial)


@st.composite
def insertions(draw: DrawFn, architecture: Architecture, tag: str) -> Architecture:
    """A norm, a layer on the old symbol or its own, or a residual branch, after a random layer."""
    places = [n for n in architecture.order if n not in {architecture.output, architecture.input}]
    place = draw(st.sampled_from(places or [architecture.input]))
    (axis,), shape = architecture.unit_rows[place], architecture.shapes[place]
    readers = {
        n: replace(layer, inputs=tuple(f"{tag}.end" if i == place else i for i in layer.inputs))
        for n, layer in architecture.layers.items()
        if place in layer.inputs
    }
    weighted = Layer("linear", (place,), axis.symbol)
    if len(shape) == 3:
        weighted = replace(weighted, operation="conv", kernel=3, padding=1)
    kind = draw(st.sampled_from(("norm", "layer", "own", "branch")))
    widths = {}
    if kind == "norm" or axis != Axis(axis.symbol):  # repeated units: a layer would end the repeat
        added = {f"{tag}.end": Layer("batchnorm", (place,))}
    elif kind in {"layer", "own"}:
        if kind == "own" and not _reaches_add(architecture, place):
            weighted = replace(weighted, width=f"{tag}.own")
            widths = {f"{tag}.own": architecture.widths[axis.symbol]}
        added = {f"{tag}.layer": weighted, f"{tag}.end": Layer("relu", (f"{tag}.layer",))}
    else:
        widths = {f"{tag}.units": draw(st.integers(1, 3))}
        added = {
            f"{tag}.one": replace(weighted, width=f"{tag}.units"),
            f"{tag}.two": replace(weighted, inputs=(f"{tag}.one",)),
            f"{tag}.end": Layer("add", (place, f"{tag}.two")),
        }
    return architecture.edit({**readers, **added}, widths)


def _reaches_add(architecture: Architecture, place: str) -> bool:
    """True iff the units after `place` are added to others before a layer makes new ones."""
    following = [n for n, layer in architecture.layers.items() if place in layer.inputs]
    return any(
        architecture.layers[n].operation == "add"
        or (not architecture.layers[n].width and _reaches_add(architecture, n))
        for n in following
    )


NO_EVIDENCE = Evidence(torch.Generator())  # for scores that look at the ticket alone
