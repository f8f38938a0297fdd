"""One layer: its operation, where its input comes from, and the symbol of the width it makes.

Every axis of every tensor carries a width symbol. Only `input`, `linear` and `conv` layers
introduce units and so name a symbol; the others hand on the symbol of their input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from recursive_lth.errors import InputError

Operation = Literal[
    "input", "linear", "conv", "batchnorm", "relu", "maxpool", "meanpool", "flatten", "add"
]
Shape = tuple[int, ...]  # of one sample: (features,) or (channels, height, width)

WEIGHTED = frozenset({"linear", "conv"})
MAKES_UNITS = WEIGHTED | {"input"}
SLIDES = frozenset({"conv", "maxpool"})
FIELDS = {"inputs": tuple, "width": str, "kernel": int, "stride": int, "padding": int, "bias": bool}


class Axis(NamedTuple):
    """One axis of a tensor: `repeat` consecutive entries for each unit of `symbol`."""

    symbol: str
    repeat: int = 1


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation of the network; `kernel`, `stride`, `padding` are in pixels, both ways alike.

    `meanpool` averages over all pixels. `width` is the symbol of the units that come out and is
    empty for operations that make none. A field that an operation does not read keeps its default,
    so that one network has one text.
    """

    operation: Operation
    inputs: tuple[str, ...] = ()
    width: str = ""
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    bias: bool = True

    def __post_init__(self) -> None:
        if self.operation not in get_args(Operation):
            raise InputError(
                f"operation must be one of {', '.join(get_args(Operation))}, got {self.operation!r}"
            )
        self._check_types()
        if (self.width != "") != (self.operation in MAKES_UNITS):
            need = "needs a" if self.operation in MAKES_UNITS else "takes no"
            raise InputError(f"a {self.operation} layer {need} width symbol, got {self.width!r}")
        if self.kernel < 1 or self.stride < 1 or self.padding < 0:
            raise InputError(
                f"kernel and stride must be >= 1 and padding >= 0, "
                f"got {self.kernel}, {self.stride}, {self.padding}"
            )
        if self.operation not in SLIDES and (self.kernel, self.stride, self.padding) != (1, 1, 0):
            raise InputError(f"a {self.operation} layer takes no kernel, stride or padding")
        if self.operation not in WEIGHTED and not self.bias:
            raise InputError(f"a {self.operation} layer takes no bias=False")
        if self.operation == "maxpool" and 2 * self.padding > self.kernel:
            raise InputError(
                f"a maxpool's padding must be at most half its kernel {self.kernel}, "
                f"got {self.padding}"
            )
        least, most = {"input": (0, 0), "add": (2, 99)}.get(self.operation, (1, 1))
        if not least <= len(self.inputs) <= most:
            raise InputError(f"a {self.operation} layer cannot have inputs {self.inputs}")

    def _check_types(self) -> None:
        """JSON's 3.0, true and "3" compare like numbers, but make another text and other shapes."""
        for field, kind in FIELDS.items():
            value: Any = getattr(self, field)
            names = value if field == "inputs" else ()
            if type(value) is not kind or any(type(name) is not str for name in names):
                raise InputError(f"{field} must be {kind.__name__}, got {value!r}")


def kernel_symbol(name: str) -> str:
    """The symbol of the two kernel axes of convolution `name`."""
    return f"{name}.kernel"


def output_shape(layer: Layer, shapes: Sequence[Shape], units: int) -> Shape:
    """The shape of one sample after `layer`; `units` is the size of its own width symbol.

    Raises `InputError` where the operation does not fit the shape that comes in.
    """
    shape = shapes[0]
    if layer.operation in {"conv", "maxpool", "meanpool"} and len(shape) != 3:
        raise InputError(f"needs (channels, height, width), got {shape}")
    match layer.operation:
        case "linear":
            if len(shape) != 1:
                raise InputError(f"needs (features,), got {shape}: put a flatten before it")
            return (units,)
        case "conv" | "maxpool":
            channels = units if layer.operation == "conv" else shape[0]
            pixels = [(n + 2 * layer.padding - layer.kernel) // layer.stride + 1 for n in shape[1:]]
            if min(pixels) < 1:
                raise InputError(f"kernel {layer.kernel} does not fit into {shape}")
            return (channels, *pixels)
        case "meanpool":
            return shape[:1]
        case "flatten":
            size = 1
            for n in shape:
                size *= n
            return (size,)
        case "add":
            if any(other != shape for other in shapes):
                raise InputError(f"adds unlike shapes {', '.join(map(str, shapes))}")
            return shape
        case _:
            return shape


def output_axis(layer: Layer, axes: Sequence[Axis], shape: Shape) -> Axis:
    """The named axis that runs over the units (or features) that come out of `layer`.

    `shape` is the shape of its first input. Raises `InputError` where an `add` would join streams
    that do not share one symbol.
    """
    if layer.width:
        return Axis(layer.width)
    if layer.operation == "flatten" and len(shape) == 3:
        return Axis(axes[0].symbol, axes[0].repeat * shape[1] * shape[2])
    if any(axis != axes[0] for axis in axes):
        names = ", ".join(axis.symbol for axis in axes)
        raise InputError(f"adds unlike width symbols {names}: give them one name")
    return axes[0]


def tensor_axes(name: str, layer: Layer, source: Axis) -> dict[str, tuple[Axis, ...]]:
    """The named axes of every tensor of a layer that reads along `source`, in PyTorch's order."""
    out = Axis(layer.width)
    match layer.operation:
        case "linear":
            weight: tuple[Axis, ...] = (out, source)
        case "conv":
            kernel = Axis(kernel_symbol(name))
            weight = (out, source, kernel, kernel)
        case "batchnorm":
            fields = ("weight", "bias", "running_mean", "running_var")
            return {f"{name}.{field}": (source,) for field in fields}
        case _:
            return {}
    tensors = {f"{name}.weight": weight}
    if layer.bias:
        tensors[f"{name}.bias"] = (out,)
    return tensors
