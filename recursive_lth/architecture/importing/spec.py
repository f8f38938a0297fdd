"""One operation as it was read, before its width has a name; and checks of windows."""

from dataclasses import dataclass
from typing import Any

from recursive_lth.errors import InputError


@dataclass(frozen=True)
class Spec:
    """What a layer of ours needs to know; `channels` are those it makes, in so many `groups`.

    `operation` is one of ours, or "pass" for what hands on its input, or "dropout" for what does
    so in evaluation only if told.
    """

    operation: str
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    bias: bool = True
    channels: int = 0
    groups: int = 1


PASS = Spec("pass")


def square(what: str, value: Any) -> int:
    """The one number of a pair that is the same both ways. Raises `InputError` where it is not."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) == 1:
        pair *= 2
    if len(pair) != 2 or pair[0] != pair[1] or type(pair[0]) is not int:
        raise InputError(f"{what} must be the same number both ways, got {value}")
    return int(pair[0])


def need(what: str, value: Any, ours: Any) -> None:
    """Raise `InputError` unless an option has the one value that our layers have."""
    if value != ours:
        raise InputError(f"{what} must be {ours} as in our layers, got {value}")


def pool(operation: str, kernel: Any, stride: Any, padding: Any, ceil_mode: Any) -> Spec:
    """A pooling whose windows are whole."""
    need("ceil_mode", bool(ceil_mode), False)
    kernel = square("kernel_size", kernel)
    is_default = stride is None or stride == []
    return Spec(
        operation,
        kernel,
        kernel if is_default else square("stride", stride),
        square("padding", padding),
    )


def average_pool(
    kernel: Any, stride: Any, padding: Any, ceil_mode: Any, counts_rim: Any, divisor: Any
) -> Spec:
    """Average pooling that divides by the whole window, rim included."""
    found = pool("avgpool", kernel, stride, padding, ceil_mode)
    if found.padding:
        need("count_include_pad", bool(counts_rim), True)
    need("divisor_override", divisor, None)
    return found


def adaptive_pool(size: Any) -> Spec:
    """Average pooling to a square of so many pixels."""
    return Spec("adaptivepool", square("output_size", size))
