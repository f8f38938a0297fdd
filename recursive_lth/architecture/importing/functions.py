"""Functions and methods of tensors as layers of ours: one reader for each name."""

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F

from recursive_lth.architecture.importing.spec import (
    PASS,
    Spec,
    adaptive_pool,
    average_pool,
    need,
    pool,
)
from recursive_lth.architecture.importing.trace import DROPOUTS, Shape
from recursive_lth.errors import InputError

APART = (
    "channels cannot be parted, shuffled or put in another shape, let each stream be made by a "
    "layer of its own"
)
ONE_PIXEL = "to take the one pixel behind a pool use .flatten(1)"
Reader = Callable[..., Spec]  # called as torch's function is, with shapes in place of tensors


def read_function(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Spec:
    """What a function or (as a string) method does, given shapes in place of tensors.

    Raises `InputError` where no layer of ours does the same.
    """
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    read = METHODS.get(target) if isinstance(target, str) else FUNCTIONS.get(target)
    if read is None:
        cure = CURES.get(name.strip("_"), "write it with layers and functions that we have")
        raise InputError(f"{name}() is not among our operations: {cure}")
    more = dict(kwargs)
    args = (more.pop("input"), *args) if "input" in more else args
    try:
        return read(*args, **more)
    except TypeError:
        raise InputError(f"{name}() is called with arguments that have no meaning here") from None


def changes_its_input(target: Any, kwargs: Mapping[str, Any]) -> bool:
    """True iff a function or method works in place.

    `inplace` is always among `kwargs`: torch.nn.functional hands it to a tracer by name, however
    it was given.
    """
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    is_asked = kwargs.get("inplace") is True or target is operator.iadd
    return is_asked or (name.endswith("_") and not name.endswith("__"))


def _activation(operation: str) -> Reader:
    return lambda x, inplace=False: Spec(operation)


def _leaky_relu(x: Shape, negative_slope: float = 0.01, inplace: bool = False) -> Spec:
    need("negative_slope", negative_slope, 0.01)
    return Spec("leakyrelu")


def _gelu(x: Shape, *, approximate: str = "none") -> Spec:
    need("approximate", approximate, "none")
    return Spec("gelu")


def _max_pool(
    x: Shape,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Spec:
    need("dilation", dilation, 1)
    need("return_indices", return_indices, False)
    return pool("maxpool", kernel_size, stride, padding, ceil_mode)


def _avg_pool(
    x: Shape,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Spec:
    return average_pool(
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _adaptive_pool(x: Shape, output_size: Any) -> Spec:
    return adaptive_pool(output_size)


def _mean(x: Shape, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Spec:
    dims = (dim,) if isinstance(dim, int) else tuple(dim or ())
    if len(x) != 4 or sorted(d % 4 for d in dims) != [2, 3]:
        raise InputError(f"mean() over {dim} of shape {x} is none over all pixels: use dim=(2, 3)")
    need("dtype", dtype, None)
    return Spec("adaptivepool") if keepdim else Spec("meanpool")


def _reshape(x: Shape, *args: Any, **kwargs: Any) -> Spec:
    return Spec("flatten")  # what it does is judged by the shape that comes out


def _squeeze(x: Shape, dim: Any = None) -> Spec:
    dims = () if dim is None else tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if any(d % len(x) == 0 for d in dims):
        raise InputError(f"squeeze() of the samples' axis is no layer: {ONE_PIXEL}")
    return Spec("flatten")


def _getitem(x: Any, index: Any) -> Spec:
    """What takes an axis of one pixel away; all other indexing parts something."""
    given = list(index) if isinstance(index, tuple) else [index]
    if isinstance(x, Shape):
        where = given.index(...) if ... in given else len(given)
        whole = [slice(None)] * (len(x) - len(given) + given.count(...))
        axes = [*given[:where], *whole, *given[where + 1 :]]
        if len(axes) == len(x) and all(
            axis == slice(None) or (place > 1 and type(axis) is int and x[place] == 1)
            for place, axis in enumerate(axes)
        ):
            return Spec("flatten")
    raise InputError(f"getitem() is not among our operations: {APART}; {ONE_PIXEL}")


def _add(x: Any, other: Any, *, alpha: Any = 1) -> Spec:
    need("alpha", alpha, 1)
    numbers = [value for value in (x, other) if not isinstance(value, Shape)]
    if not numbers:
        return Spec("add")
    if numbers == [0]:  # where sum() begins
        return PASS
    raise InputError(f"add() of the constant {numbers[0]} is no layer: give a layer a bias")


def _cat(tensors: Any, dim: Any = 0, axis: Any = None) -> Spec:
    dim = dim if axis is None else axis
    if not isinstance(tensors, (tuple, list)) or not all(isinstance(t, Shape) for t in tensors):
        raise InputError("cat() must join a list of tensors that layers give")
    if dim % len(tensors[0]) != 1:
        raise InputError(f"cat() must join channels or features, dim=1, got dim={dim}")
    return Spec("concat") if len(tensors) > 1 else PASS


def _dropout(x: Shape, p: float = 0.5, training: bool = True, inplace: bool = False) -> Spec:
    return Spec("dropout") if training and p else PASS


def _pass(x: Shape, **kwargs: Any) -> Spec:
    return PASS


FUNCTIONS: Mapping[Any, Reader] = MappingProxyType(
    {
        **dict.fromkeys((F.relu, F.relu_, torch.relu, torch.relu_), _activation("relu")),
        F.relu6: _activation("relu6"),
        F.leaky_relu: _leaky_relu,
        F.leaky_relu_: _leaky_relu,
        F.gelu: _gelu,
        F.silu: _activation("silu"),
        F.hardswish: _activation("hardswish"),
        **dict.fromkeys((F.tanh, torch.tanh, torch.tanh_), _activation("tanh")),
        **dict.fromkeys((F.sigmoid, torch.sigmoid, torch.sigmoid_), _activation("sigmoid")),
        F.max_pool2d: _max_pool,
        torch.max_pool2d: _max_pool,
        F.avg_pool2d: _avg_pool,
        F.adaptive_avg_pool2d: _adaptive_pool,
        torch.mean: _mean,
        torch.flatten: _reshape,
        torch.reshape: _reshape,
        torch.squeeze: _squeeze,
        operator.getitem: _getitem,
        **dict.fromkeys((operator.add, operator.iadd, torch.add), _add),
        **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _cat),
        **dict.fromkeys(DROPOUTS, _dropout),
    }
)
METHODS: Mapping[str, Reader] = MappingProxyType(
    {
        **dict.fromkeys(("relu", "relu_"), _activation("relu")),
        **dict.fromkeys(("tanh", "tanh_"), _activation("tanh")),
        **dict.fromkeys(("sigmoid", "sigmoid_"), _activation("sigmoid")),
        "mean": _mean,
        **dict.fromkeys(("flatten", "view", "reshape"), _reshape),
        "squeeze": _squeeze,
        **dict.fromkeys(("add", "add_"), _add),
        **dict.fromkeys(("contiguous", "clone"), _pass),
    }
)
CURES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("chunk", "split", "transpose", "permute", "narrow", "unbind"),
            APART,
        ),
        **dict.fromkeys(
            ("mul", "imul", "truediv", "matmul", "bmm", "scaled_dot_product_attention"),
            "gates, scales and attention are not supported, leave them away or use a layer",
        ),
        **dict.fromkeys(("softmax", "log_softmax"), "the loss takes logits, leave it away"),
        **dict.fromkeys(
            ("layer_norm", "group_norm"), "widening changes its statistics, use nn.BatchNorm"
        ),
        **dict.fromkeys(
            ("linear", "conv2d", "batch_norm"), "call a layer such as nn.Linear, which has a name"
        ),
        "sub": "use an addition: the layer before can learn the sign",
        "pad": "use the padding of a convolution",
        "interpolate": "our networks classify, they do not enlarge images",
    }
)
