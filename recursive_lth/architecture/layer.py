"""One layer: its operation, where its input comes from, and the symbol of the width it makes.

Every axis of every tensor carries a width symbol. Only `input`, `linear` and `conv` layers
introduce units and so name a symbol; the others hand on the symbol of their input. A `concat` lays
streams one after the other, so an axis is a row of segments.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from recursive_lth.errors import InputError

Activation = Literal[
    "relu", "relu6", "leakyrelu", "gelu", "silu", "hardswish", "tanh", "sigmoid"
]  # fmt: skip
Operation = Literal[
    "input", "linear", "conv", "groupconv", "batchnorm", Activation, "maxpool", "avgpool",
    "adaptivepool", "meanpool", "flatten", "add", "concat",
]  # fmt: skip
Shape = tuple[int, ...]  # of one sample: (features,) or (channels, height, width)

OPERATIONS: tuple[str, ...] = get_args(Operation)
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
IDEMPOTENT = frozenset({"relu", "relu6"})  # f(f(x)) = f(x), and never negative
CONVOLUTIONS = frozenset({"conv", "groupconv"})
WEIGHTED = CONVOLUTIONS | {"linear"}
MAKES_UNITS = frozenset({"input", "linear", "conv"})
POOLS = frozenset({"maxpool", "avgpool"})
SLIDES = CONVOLUTIONS | POOLS
JOINS = frozenset({"add", "concat"})
FIELDS = {
    "inputs": tuple,
    "width": str,
    "kernel": int,
    "stride": int,
    "padding": int,
    "bias": bool,
    "multiple": int,
}


class Axis(NamedTuple):
    """A segment of an axis: `repeat` consecutive entries for each unit of `symbol`."""

    symbol: str
    repeat: int = 1


Row = tuple[Axis, ...]  # one axis of a tensor: its segments, one after the other


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation of the network; `kernel`, `stride`, `padding` are in pixels, both ways alike.

    `width` is the symbol of the units that come out and is empty for operations that make none;
    each unit is `multiple` channels (or features). A `groupconv` has one group for each unit that
    comes in, and makes `multiple` channels of it: of units of one channel it is depthwise.
    `meanpool` averages over all pixels, `adaptivepool` to `kernel` x `kernel` of them. A field that
    an operation does not read keeps its default, so that one network has one text.
    """

    operation: Operation
    inputs: tuple[str, ...] = ()
    width: str = ""
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    bias: bool = True
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise InputError(
                f"operation must be one of {', '.join(OPERATIONS)}, got {self.operation!r}"
            )
        self._check_types()
        if (self.width != "") != (self.operation in MAKES_UNITS):
            need = "needs a" if self.operation in MAKES_UNITS else "takes no"
            raise InputError(f"a {self.operation} layer {need} width symbol, got {self.width!r}")
        if self.kernel < 1 or self.stride < 1 or self.padding < 0 or self.multiple < 1:
            raise InputError(
                f"kernel, stride and multiple must be >= 1 and padding >= 0, got "
                f"{self.kernel}, {self.stride}, {self.multiple} and {self.padding}"
            )
        window = (self.kernel, self.stride, self.padding)
        if self.operation == "adaptivepool":
            window = (1, *window[1:])
        if self.operation not in SLIDES and window != (1, 1, 0):
            raise InputError(f"a {self.operation} layer takes no kernel, stride or padding")
        if self.operation not in WEIGHTED and (not self.bias or self.multiple != 1):
            raise InputError(f"a {self.operation} layer takes no bias=False and no multiple")
        if self.operation in POOLS and 2 * self.padding > self.kernel:
            raise InputError(
                f"a {self.operation}'s padding must be at most half its kernel {self.kernel}, "
                f"got {self.padding}"
            )
        least, most = (2, 99) if self.operation in JOINS else (1, 1)
        if self.operation == "input":
            least, most = 0, 0
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


def group_symbol(name: str) -> str:
    """The symbol of the channels that each group of grouped convolution `name` reads."""
    return f"{name}.group"


def output_shape(layer: Layer, shapes: Sequence[Shape], units: int) -> Shape:
    """The shape of one sample after `layer`, which has `units` of its own or for its groups.

    Raises `InputError` where the operation does not fit the shape that comes in.
    """
    shape = shapes[0]
    if layer.operation in SLIDES | {"meanpool", "adaptivepool"} and len(shape) != 3:
        raise InputError(f"needs (channels, height, width), got {shape}")
    match layer.operation:
        case "linear":
            if len(shape) != 1:
                raise InputError(f"needs (features,), got {shape}: put a flatten before it")
            return (units * layer.multiple,)
        case "conv" | "groupconv" | "maxpool" | "avgpool":
            channels = units * layer.multiple if layer.operation in WEIGHTED else shape[0]
            pixels = [(n + 2 * layer.padding - layer.kernel) // layer.stride + 1 for n in shape[1:]]
            if min(pixels) < 1:
                raise InputError(f"kernel {layer.kernel} does not fit into {shape}")
            return (channels, *pixels)
        case "adaptivepool":
            return (shape[0], layer.kernel, layer.kernel)
        case "meanpool":
            return shape[:1]
        case "flatten":
            return (math.prod(shape),)
        case "add":
            if any(other != shape for other in shapes):
                raise InputError(f"adds unlike shapes {', '.join(map(str, shapes))}")
            return shape
        case "concat":
            if any(other[1:] != shape[1:] for other in shapes):
                raise InputError(f"joins unlike pixels {', '.join(map(str, shapes))}")
            return (sum(other[0] for other in shapes), *shape[1:])
        case _:
            return shape


def output_row(layer: Layer, rows: Sequence[Row], shape: Shape) -> Row:
    """The named axis that runs over the units (or features) that come out of `layer`.

    `shape` is the shape of its first input. Raises `InputError` where an `add` would join streams
    that do not share one symbol, or a `groupconv` reads several streams.
    """
    if layer.width:
        return (Axis(layer.width, layer.multiple),)
    match layer.operation:
        case "groupconv":
            return (Axis(only(rows[0]).symbol, layer.multiple),)
        case "flatten" if len(shape) == 3:
            return tuple(Axis(a.symbol, a.repeat * shape[1] * shape[2]) for a in rows[0])
        case "concat":
            return tuple(axis for row in rows for axis in row)
    if any(row != rows[0] for row in rows):
        names = ", ".join("+".join(axis.symbol for axis in row) for row in rows)
        raise InputError(f"adds unlike width symbols {names}: give them one name")
    return rows[0]


def only(row: Row) -> Axis:
    """The one segment of an axis. Raises `InputError` where streams are joined in it."""
    if len(row) != 1:
        names = ", ".join(axis.symbol for axis in row)
        raise InputError(f"needs a single stream, got {names} joined")
    return row[0]


def tensor_rows(name: str, layer: Layer, source: Row) -> dict[str, tuple[Row, ...]]:
    """The named axes of every tensor of a layer that reads along `source`, in PyTorch's order."""
    out: Row = (Axis(layer.width, layer.multiple),)
    kernel: Row = (Axis(kernel_symbol(name)),)
    match layer.operation:
        case "linear":
            weight: tuple[Row, ...] = (out, source)
        case "conv":
            weight = (out, source, kernel, kernel)
        case "groupconv":
            out = (Axis(only(source).symbol, layer.multiple),)
            weight = (out, (Axis(group_symbol(name)),), kernel, kernel)
        case "batchnorm":
            fields = ("weight", "bias", "running_mean", "running_var")
            return {f"{name}.{field}": (source,) for field in fields}
        case _:
            return {}
    tensors = {f"{name}.weight": weight}
    if layer.bias:
        tensors[f"{name}.bias"] = (out,)
    return tensors
