"""Random architectures, weights and masks, built through the public constructors.

Widths, kernels and images are small, so that a slow twin can visit every entry of every tensor.
"""

from dataclasses import dataclass, field, replace

import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS, SLIDES, Axis, Layer, Row
from recursive_lth.architecture.network import Weights
from recursive_lth.growth.birth import Batch
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.ticket.masks import Masks

SEEDS = st.integers(0, 2**31)


@dataclass
class _Sketch:
    """Layers so far, and what the last of them hands on."""

    draw: DrawFn
    last: str = "input"
    row: Row = (Axis("input"),)
    pixels: tuple[int, ...] = ()
    layers: dict[str, Layer] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, layer: Layer) -> str:
        self.layers[name] = layer
        self.last = name
        if layer.width:
            self.row = (Axis(layer.width, layer.multiple),)
        if layer.operation == "groupconv":
            self.row = (Axis(self.row[0].symbol, layer.multiple),)
        if layer.operation in SLIDES:
            span = 2 * layer.padding - layer.kernel
            self.pixels = tuple((n + span) // layer.stride + 1 for n in self.pixels)
        return name

    def weighted(self, name: str, axis: Axis, *, is_same: bool = False) -> str:
        """A linear layer, or a convolution; `is_same` keeps the number of pixels."""
        self.widths.setdefault(axis.symbol, self.draw(st.integers(1, 4)))
        bias = self.draw(st.booleans())
        if not self.pixels:
            layer = Layer("linear", (self.last,), axis.symbol, bias=bias, multiple=axis.repeat)
            return self.add(name, layer)
        window = self.window(is_same=is_same)
        layer = Layer("conv", (self.last,), axis.symbol, *window, bias, axis.repeat)
        return self.add(name, layer)

    def window(self, *, is_same: bool) -> tuple[int, int, int]:
        """Kernel, stride and padding that fit."""
        kernel = self.draw(st.sampled_from((1, 3) if is_same else (1, 2, 3)))
        fits = min(self.pixels) >= kernel
        padding = kernel // 2 if is_same or not fits else self.draw(st.integers(0, 1))
        return kernel, 1 if is_same else self.draw(st.integers(1, 2)), padding

    def grouped(self, name: str) -> str:
        """A convolution of a group for each unit: depthwise where a unit is one channel."""
        bias, multiple = self.draw(st.booleans()), self.draw(st.integers(1, 2))
        window = self.window(is_same=False)
        layer = Layer("groupconv", (self.last,), "", *window, bias=bias, multiple=multiple)
        return self.add(name, layer)

    def plain(self, name: str, operation: str) -> str:
        """A layer without units of its own."""
        return self.add(name, Layer(operation, (self.last,)))  # type: ignore[arg-type]

    def activate(self, name: str) -> str:
        """ReLU half of the time, or any other."""
        return self.plain(name, self.draw(st.sampled_from(("relu",) * 6 + ACTIVATIONS)))

    def norm(self, name: str, *, likely: bool) -> None:
        if likely and self.draw(st.booleans()):
            self.plain(name, "batchnorm")

    def pool(self, name: str) -> None:
        if min(self.pixels) >= 2:
            stride, padding = self.draw(st.integers(1, 2)), self.draw(st.integers(0, 1))
            layer = Layer("maxpool", (self.last,), "", 2, stride, padding)
            is_mean = self.draw(st.booleans())
            self.add(name, replace(layer, operation="avgpool") if is_mean else layer)

    def residual(self, name: str, *, likely: bool) -> None:
        """last + branch(last), both on the symbol of `last`, added in either order."""
        source, (stream,) = self.last, self.row
        if self.draw(st.booleans()):  # pre-activation: the source is read by two
            self.activate(f"{name}.pre")
        self.weighted(f"{name}.one", Axis(f"{name}.inner"), is_same=True)
        self.norm(f"{name}.norm", likely=likely)
        self.activate(f"{name}.relu")
        self.weighted(f"{name}.two", stream, is_same=True)
        self.norm(f"{name}.norm_two", likely=likely)
        ends = (self.last, source)
        self.add(f"{name}.sum", Layer("add", self.draw(st.permutations(ends).map(tuple))))

    def joined(self, name: str, *, likely: bool) -> None:
        """Two or three streams joined: one read from `last`, with `last` itself or another."""
        streams = [(self.last, self.row)]
        for part in ("left", "right")[: self.draw(st.integers(1, 2))]:
            self.last, self.row = streams[0]
            self.weighted(f"{name}.{part}", Axis(f"{name}.{part}"), is_same=True)
            self.norm(f"{name}.{part}_norm", likely=likely)
            streams.append((self.last, self.row))
        if len(streams) == 3 and self.draw(st.booleans()):
            del streams[0]
        streams = self.draw(st.permutations(streams))
        self.add(f"{name}.concat", Layer("concat", tuple(source for source, _ in streams)))
        self.row = tuple(axis for _, row in streams for axis in row)


@st.composite
def architectures(
    draw: DrawFn, *, is_image: bool | None = None, has_norms: bool | None = None
) -> Architecture:
    """Perceptrons and convolutional networks: pools, norms, groups, joined and residual streams."""
    norms = draw(st.booleans()) if has_norms is None else has_norms
    images = draw(st.booleans()) if is_image is None else is_image
    spatial = (draw(st.integers(3, 6)), draw(st.integers(3, 6))) if images else ()
    sketch = _Sketch(draw, pixels=spatial)
    sketch.widths["input"] = draw(st.integers(1, 3))
    sketch.layers["input"] = Layer("input", width="input")
    _blocks(sketch, "a", norms=norms, needs_stem=False)
    if images:
        if draw(st.integers(0, 4)) == 0:
            sketch.add("shrink", Layer("adaptivepool", (sketch.last,), kernel=2))
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


KINDS = ("plain", "residual", "pool", "grouped", "joined")


def _blocks(sketch: _Sketch, prefix: str, *, norms: bool, needs_stem: bool) -> None:
    if needs_stem or sketch.draw(st.booleans()):  # else the stream is the input's own symbol
        multiple = sketch.draw(st.sampled_from((1, 1, 2))) if sketch.pixels else 1
        sketch.weighted(f"{prefix}.stem", Axis(f"{prefix}.stream", multiple))
    for i in range(sketch.draw(st.integers(0, 2))):
        match sketch.draw(st.sampled_from(KINDS)):
            case "residual" if len(sketch.row) == 1:
                sketch.residual(f"{prefix}{i}", likely=norms)
            case "pool" if sketch.pixels:
                sketch.pool(f"{prefix}{i}.pool")
            case "grouped" if sketch.pixels and len(sketch.row) == 1:
                sketch.grouped(f"{prefix}{i}.grouped")
            case "joined":
                sketch.joined(f"{prefix}{i}", likely=norms)
            case _:
                sketch.weighted(f"{prefix}{i}.plain", Axis(f"{prefix}{i}.units"))
                sketch.norm(f"{prefix}{i}.plain_norm", likely=norms)
        sketch.activate(f"{prefix}{i}.relu_out")


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


NO_EVIDENCE = Evidence(torch.Generator())  # for scores that look at the ticket alone
