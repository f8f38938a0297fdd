"""Architecture -> a pure forward over a dict of tensors, and a plain `nn.Module` of it.

The forward closes over structure only, never over tensors, so `torch.func.grad`,
`torch.func.vmap` and `torch.compile` apply to it as it stands.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.errors import InputError

Weights = dict[str, Tensor]
Drop = Callable[[Tensor], Tensor]
EPSILON = 1e-5  # BatchNorm's, as in PyTorch
MOMENTUM = 0.1  # share of the batch in BatchNorm's running statistics


class Forward(Protocol):
    """(weights, batch) -> (logits, updated BatchNorm statistics); changes nothing it is given."""

    def __call__(
        self,
        weights: Mapping[str, Tensor],
        batch: Tensor,
        *,
        training: bool = False,
        drop: Drop | None = None,
    ) -> tuple[Tensor, Weights]: ...


@lru_cache(maxsize=64)
def network(architecture: Architecture) -> Forward:
    """The pure forward of an architecture.

    `batch` is (samples, channels, height, width) or (samples, features); logits are
    (samples, classes). With `training`, BatchNorm uses the batch and the second result holds its
    new running statistics; otherwise that is empty. `drop` is applied to what each linear layer
    reads, save the network's own input (Srivastava et al. 2014).
    """
    layers, order = architecture.layers, architecture.order
    place = {name: i for i, name in enumerate(order)}
    last_reader = {i: name for name in order for i in layers[name].inputs}
    plan = []
    for name in order[1:]:
        layer = layers[name]
        is_dropped = layer.operation == "linear" and not _reads_input(architecture, name)
        finished = [place[i] for i in dict.fromkeys(layer.inputs) if last_reader[i] == name]
        plan.append(
            (_operation(name, layer), [place[i] for i in layer.inputs], is_dropped, finished)
        )

    def forward(
        weights: Mapping[str, Tensor],
        batch: Tensor,
        *,
        training: bool = False,
        drop: Drop | None = None,
    ) -> tuple[Tensor, Weights]:
        values = {0: batch}
        statistics: Weights = {}
        for number, (operation, sources, is_dropped, finished) in enumerate(plan, start=1):
            inputs = [values[i] for i in sources]
            if is_dropped and drop is not None:
                inputs[0] = drop(inputs[0])
            for i in finished:  # no later layer reads it: its memory may go
                del values[i]
            values[number] = operation(weights, inputs, statistics if training else None)
        return values[len(plan)], statistics

    return forward


def memory_format(architecture: Architecture) -> torch.memory_format:
    """How batches should lie in memory: channels last where convolutions read them.

    The same numbers; a training step of a small ConvNet takes two thirds of the time on a CPU.
    """
    has_convolution = any(layer.operation == "conv" for layer in architecture.layers.values())
    return torch.channels_last if has_convolution else torch.contiguous_format


def _reads_input(architecture: Architecture, name: str) -> bool:
    """True iff a layer reads the network's own input, flattened or not."""
    source = architecture.layers[name].inputs[0]
    while architecture.layers[source].operation == "flatten":
        source = architecture.layers[source].inputs[0]
    return source == architecture.input


Run = Callable[[Mapping[str, Tensor], list[Tensor], Weights | None], Tensor]


def _operation(name: str, layer: Layer) -> Run:
    """One layer as a function of (weights, inputs, statistics to fill or None)."""
    weight, bias = f"{name}.weight", f"{name}.bias" if layer.bias else ""
    k, s, p = layer.kernel, layer.stride, layer.padding
    match layer.operation:
        case "linear":
            return lambda w, x, _: F.linear(x[0], w[weight], w[bias] if bias else None)
        case "conv":
            return lambda w, x, _: F.conv2d(x[0], w[weight], w[bias] if bias else None, s, p)
        case "batchnorm":
            return lambda w, x, statistics: _batchnorm(name, w, x[0], statistics)
        case "relu":
            return lambda w, x, _: F.relu(x[0])
        case "maxpool":
            return lambda w, x, _: F.max_pool2d(x[0], k, s, p)
        case "meanpool":
            return lambda w, x, _: x[0].mean((-2, -1))
        case "flatten":
            return lambda w, x, _: x[0].flatten(1)
        case "add":
            return lambda w, x, _: sum(x[1:], start=x[0])
        case _:
            raise InputError(f"layer {name}: an input layer reads nothing")


def _batchnorm(
    name: str, weights: Mapping[str, Tensor], x: Tensor, statistics: Weights | None
) -> Tensor:
    """BatchNorm (Ioffe & Szegedy 2015) that hands its new statistics back, storing nothing."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    mean, var = (weights[f"{name}.{field}"] for field in STATISTICS)
    if statistics is None:
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, EPSILON)
    count = x.numel() // x.shape[1]
    if count < 2:
        raise InputError(f"{name}: BatchNorm needs at least 2 values a channel to train")
    out, batch_mean, inverse = torch.native_batch_norm(
        x, weight, bias, None, None, True, MOMENTUM, EPSILON
    )
    with torch.no_grad():
        batch_var = (inverse.detach().pow(-2) - EPSILON) * (count / (count - 1))
        statistics[f"{name}.running_mean"] = torch.lerp(mean, batch_mean.detach(), MOMENTUM)
        statistics[f"{name}.running_var"] = torch.lerp(var, batch_var, MOMENTUM)
    return out


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
            if layer.operation == "add":
                values[name] = sum(inputs[1:], start=inputs[0])
            else:
                values[name] = self.get_submodule(name)(inputs[0])
        return values[self.architecture.output]


def _add(parent: nn.Module, part: str, child: nn.Module, name: str) -> None:
    if hasattr(parent, part):
        raise InputError(f"layer {name}: {part!r} is an attribute of torch's modules, rename it")
    parent.add_module(part, child)


def _torch_layer(architecture: Architecture, name: str) -> nn.Module:
    layer = architecture.layers[name]
    shape = architecture.shapes[layer.inputs[0]]
    units = architecture.shapes[name][0]
    match layer.operation:
        case "linear":
            return nn.Linear(shape[0], units, bias=layer.bias)
        case "conv":
            return nn.Conv2d(
                shape[0], units, layer.kernel, layer.stride, layer.padding, bias=layer.bias
            )
        case "batchnorm":
            made = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
            return made(units, eps=EPSILON, momentum=MOMENTUM)
        case "relu":
            return nn.ReLU()
        case "maxpool":
            return nn.MaxPool2d(layer.kernel, layer.stride, layer.padding)
        case "meanpool":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "flatten":
            return nn.Flatten()
        case _:
            return nn.Identity()
