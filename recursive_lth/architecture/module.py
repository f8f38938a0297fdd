"""Architecture -> a plain `nn.Module` of ordinary torch layers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import EPSILON, MOMENTUM
from recursive_lth.errors import InputError


def module(architecture: Architecture, weights: Mapping[str, Tensor]) -> nn.Module:
    """A plain `nn.Module` with ordinary layers, the same names and a copy of the weights."""
    with torch.random.fork_rng(devices=[]):  # torch's layers draw weights, which are replaced
        built = _Network(architecture)
    for name in architecture.tensors:
        shape = architecture.shape(name)
        if name not in weights or tuple(weights[name].shape) != shape:
            raise InputError(f"weights lack {name} of shape {shape}")
    if unexpected := sorted(set(weights) - set(architecture.tensors)):
        raise InputError(f"weights hold {unexpected}, which the architecture lacks")
    built.to(next(iter(weights.values())).dtype)  # before loading, or float64 would be rounded
    built.load_state_dict(dict(weights), strict=False)  # lacks BatchNorm's num_batches_tracked
    return built


class Add(nn.Module):
    """The sum of what comes in."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return sum(inputs[1:], start=inputs[0])


class Concat(nn.Module):
    """What comes in, one after the other along the channels."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, 1)


class _Network(nn.Module):
    """Ordinary torch layers wired as the architecture says."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        for name in architecture.order[1:]:
            parent: nn.Module = self
            *path, leaf = name.split(".")
            for part in path:
                if part not in parent._modules:
                    _add(parent, part, nn.Module(), name)
                parent = parent.get_submodule(part)
            _add(parent, leaf, _torch_layer(architecture, name), name)

    def forward(self, batch: Tensor) -> Tensor:
        values = {self.architecture.input: batch}
        for name in self.architecture.order[1:]:
            layer = self.architecture.layers[name]
            inputs = [values[i] for i in layer.inputs]
            values[name] = self.get_submodule(name)(*inputs)
        return values[self.architecture.output]


def _add(parent: nn.Module, part: str, child: nn.Module, name: str) -> None:
    if hasattr(parent, part):
        raise InputError(f"layer {name}: {part!r} is an attribute of torch's modules, rename it")
    parent.add_module(part, child)


def _torch_layer(architecture: Architecture, name: str) -> nn.Module:
    layer = architecture.layers[name]
    shape = architecture.shapes[layer.inputs[0]]
    units = architecture.shapes[name][0]
    window = (layer.kernel, layer.stride, layer.padding)
    match layer.operation:
        case "linear":
            return nn.Linear(shape[0], units, bias=layer.bias)
        case "conv":
            return nn.Conv2d(shape[0], units, *window, bias=layer.bias)
        case "groupconv":
            groups = shape[0] // architecture.shape(f"{name}.weight")[1]
            return nn.Conv2d(shape[0], units, *window, groups=groups, bias=layer.bias)
        case "batchnorm":
            made = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
            return made(units, eps=EPSILON, momentum=MOMENTUM)
        case "maxpool":
            return nn.MaxPool2d(*window)
        case "avgpool":
            return nn.AvgPool2d(*window)
        case "adaptivepool":
            return nn.AdaptiveAvgPool2d(layer.kernel)
        case "meanpool":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "flatten":
            return nn.Flatten()
        case "add":
            return Add()
        case "concat":
            return Concat()
        case activation:
            return TORCH_ACTIVATIONS[activation]()


TORCH_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "leakyrelu": nn.LeakyReLU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "hardswish": nn.Hardswish,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
    }
)
