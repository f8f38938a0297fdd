"""Architecture -> a pure forward over a dict of tensors.

The forward closes over structure only, never over tensors, so `torch.func.grad`,
`torch.func.vmap` and `torch.compile` apply to it as it stands.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.architecture.layer import CONVOLUTIONS, Layer
from recursive_lth.errors import InputError

Weights = dict[str, Tensor]
Drop = Callable[[Tensor], Tensor]
Watch = Callable[[str, Tensor], Tensor]  # (layer, its output) -> what its readers see
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
        watch: Watch | None = None,
    ) -> tuple[Tensor, Weights]: ...


Run = Callable[[Mapping[str, Tensor], list[Tensor], Weights | None], Tensor]


@lru_cache(maxsize=64)
def network(architecture: Architecture) -> Forward:
    """The pure forward of an architecture.

    `batch` is (samples, channels, height, width) or (samples, features); logits are
    (samples, classes). With `training`, BatchNorm uses the batch and the second result holds its
    new running statistics; otherwise that is empty. `drop` is applied to what each linear layer
    reads, save the network's own input (Srivastava et al. 2014); `watch` sees the output of every
    layer but the input, and what it returns takes the output's place.
    """
    return network_with(architecture, {})


def network_with(architecture: Architecture, kernels: Mapping[str, Run]) -> Forward:
    """The same forward, in which some layers are computed by functions of their own.

    A kernel takes (weights, inputs, statistics or None) and gives the layer's output; in `weights`
    it finds what its maker has put there for it.
    """
    layers, order = architecture.layers, architecture.order
    place = {name: i for i, name in enumerate(order)}
    last_reader = {i: name for name in order for i in layers[name].inputs}
    plan = []
    for name in order[1:]:
        layer = layers[name]
        is_dropped = layer.operation == "linear" and not reads_input(architecture, name)
        finished = [place[i] for i in dict.fromkeys(layer.inputs) if last_reader[i] == name]
        sources = [place[i] for i in layer.inputs]
        run = kernels.get(name) or operation(name, layer)
        plan.append((name, run, sources, is_dropped, finished))

    def forward(
        weights: Mapping[str, Tensor],
        batch: Tensor,
        *,
        training: bool = False,
        drop: Drop | None = None,
        watch: Watch | None = None,
    ) -> tuple[Tensor, Weights]:
        values = {0: batch}
        statistics: Weights = {}
        for number, (name, run, sources, is_dropped, finished) in enumerate(plan, start=1):
            inputs = [values[i] for i in sources]
            if is_dropped and drop is not None:
                inputs[0] = drop(inputs[0])
            for i in finished:  # no later layer reads it: its memory may go
                del values[i]
            output = run(weights, inputs, statistics if training else None)
            values[number] = output if watch is None else watch(name, output)
        return values[len(plan)], statistics

    return forward


def memory_format(architecture: Architecture) -> torch.memory_format:
    """How batches should lie in memory: channels last where convolutions read them.

    The same numbers; a training step of a small ConvNet takes two thirds of the time on a CPU.
    """
    has_convolution = any(layer.operation in CONVOLUTIONS for layer in architecture.layers.values())
    return torch.channels_last if has_convolution else torch.contiguous_format


def reads_input(architecture: Architecture, name: str) -> bool:
    """True iff a layer reads the network's own input, flattened or not."""
    source = architecture.layers[name].inputs[0]
    while architecture.layers[source].operation == "flatten":
        source = architecture.layers[source].inputs[0]
    return source == architecture.input


FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "relu": F.relu,
        "relu6": F.relu6,
        "leakyrelu": F.leaky_relu,
        "gelu": F.gelu,
        "silu": F.silu,
        "hardswish": F.hardswish,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
    }
)


def operation(name: str, layer: Layer) -> Run:
    """One layer as a function of (weights, inputs, statistics to fill or None)."""
    weight, bias = f"{name}.weight", f"{name}.bias" if layer.bias else ""
    k, s, p = layer.kernel, layer.stride, layer.padding
    match layer.operation:
        case "linear":
            return lambda w, x, _: F.linear(x[0], w[weight], w[bias] if bias else None)
        case "conv":
            return lambda w, x, _: F.conv2d(x[0], w[weight], w[bias] if bias else None, s, p)
        case "groupconv":
            return lambda w, x, _: F.conv2d(
                x[0], w[weight], w[bias] if bias else None, s, p, 1, _groups(x[0], w[weight])
            )
        case "batchnorm":
            return lambda w, x, statistics: _batchnorm(name, w, x[0], statistics)
        case "maxpool":
            return lambda w, x, _: F.max_pool2d(x[0], k, s, p)
        case "avgpool":
            return lambda w, x, _: F.avg_pool2d(x[0], k, s, p)
        case "adaptivepool":
            return lambda w, x, _: F.adaptive_avg_pool2d(x[0], k)
        case "meanpool":
            return lambda w, x, _: x[0].mean((-2, -1))
        case "flatten":
            return lambda w, x, _: x[0].flatten(1)
        case "add":
            return lambda w, x, _: sum(x[1:], start=x[0])
        case "concat":
            return lambda w, x, _: torch.cat(x, 1)
        case activation if activation in FUNCTIONS:
            function = FUNCTIONS[activation]
            return lambda w, x, _: function(x[0])
        case _:
            raise InputError(f"layer {name}: an input layer reads nothing")


def _groups(x: Tensor, weight: Tensor) -> int:
    """How many groups a grouped convolution has: its input's channels over those of a group."""
    return int(x.shape[1] // weight.shape[1])


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
