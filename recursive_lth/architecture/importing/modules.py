"""Layers of torch.nn as ours: one reader for each kind, and what is passed over."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from recursive_lth.architecture.importing.spec import (
    PASS,
    Spec,
    adaptive_pool,
    average_pool,
    need,
    pool,
    square,
)
from recursive_lth.architecture.network import EPSILON, MOMENTUM
from recursive_lth.errors import InputError

DROPPED = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    nn.FeatureAlphaDropout, nn.Identity,
)  # fmt: skip


def read_module(module: nn.Module) -> Spec:
    """What a layer of torch's does. Raises `InputError` where ours cannot do the same."""
    if isinstance(module, DROPPED):
        return PASS
    for kind, read in MODULES.items():
        if isinstance(module, kind):
            return read(module)
    name = type(module).__name__
    cure = CURES.get(name, "replace it, or keep it in a module of your own around ours")
    raise InputError(f"{name} is not among our layers: {cure}")


def _linear(module: Any) -> Spec:
    return Spec("linear", bias=module.bias is not None, channels=module.out_features)


def _conv(module: Any) -> Spec:
    need("padding_mode", module.padding_mode, "zeros")
    need("dilation", square("dilation", module.dilation), 1)
    kernel, stride = square("kernel_size", module.kernel_size), square("stride", module.stride)
    padding = module.padding
    if padding == "same" and kernel % 2 == 0:
        raise InputError(f'padding="same" needs an odd kernel, got {kernel}')
    if isinstance(padding, str):
        padding = kernel // 2 if padding == "same" else 0
    return Spec(
        "conv" if module.groups == 1 else "groupconv",
        kernel,
        stride,
        square("padding", padding),
        module.bias is not None,
        module.out_channels,
        module.groups,
    )


def _batchnorm(module: Any) -> Spec:
    need("eps", module.eps, EPSILON)
    need("momentum", module.momentum, MOMENTUM)
    need("affine", module.affine, True)
    need("track_running_stats", module.track_running_stats, True)
    return Spec("batchnorm")


def _activation(operation: str) -> Callable[[Any], Spec]:
    return lambda module: Spec(operation)


def _leaky_relu(module: Any) -> Spec:
    need("negative_slope", module.negative_slope, 0.01)
    return Spec("leakyrelu")


def _gelu(module: Any) -> Spec:
    need("approximate", module.approximate, "none")
    return Spec("gelu")


def _max_pool(module: Any) -> Spec:
    need("dilation", square("dilation", module.dilation), 1)
    need("return_indices", module.return_indices, False)
    return pool("maxpool", module.kernel_size, module.stride, module.padding, module.ceil_mode)


def _avg_pool(module: Any) -> Spec:
    return average_pool(
        module.kernel_size,
        module.stride,
        module.padding,
        module.ceil_mode,
        module.count_include_pad,
        module.divisor_override,
    )


def _flatten(module: Any) -> Spec:
    return Spec("flatten")  # what it does is judged by the shape that comes out


CURES: Mapping[str, str] = MappingProxyType(
    {
        "LayerNorm": "widening changes its statistics, use BatchNorm",
        "GroupNorm": "widening changes its statistics, use BatchNorm",
        "InstanceNorm2d": "use BatchNorm2d",
        "Softmax": "the loss takes logits, leave it away",
        "LogSoftmax": "the loss takes logits, leave it away",
        "AdaptiveMaxPool2d": "use AdaptiveAvgPool2d or MaxPool2d",
        "ELU": "use SiLU or GELU",
        "PReLU": "use LeakyReLU",
        "ConvTranspose2d": "our networks classify, they do not enlarge images",
    }
)
MODULES: Mapping[type[nn.Module], Callable[[Any], Spec]] = MappingProxyType(
    {
        nn.Linear: _linear,
        nn.Conv2d: _conv,
        nn.BatchNorm1d: _batchnorm,
        nn.BatchNorm2d: _batchnorm,
        nn.ReLU: _activation("relu"),
        nn.ReLU6: _activation("relu6"),
        nn.LeakyReLU: _leaky_relu,
        nn.GELU: _gelu,
        nn.SiLU: _activation("silu"),
        nn.Hardswish: _activation("hardswish"),
        nn.Tanh: _activation("tanh"),
        nn.Sigmoid: _activation("sigmoid"),
        nn.MaxPool2d: _max_pool,
        nn.AvgPool2d: _avg_pool,
        nn.AdaptiveAvgPool2d: lambda module: adaptive_pool(module.output_size),
        nn.Flatten: _flatten,
    }
)
