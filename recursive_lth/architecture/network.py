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
    place = {name: i for i, name in enumerate(architecture.order)}
    first = {"input", "flatten"}
    plan = []
    for name in architecture.order[1:]:
        layer = architecture.layers[name]
        source = architecture.layers[layer.inputs[0]]
        raw = source.operation == "input" or (
            source.operation == "flatten"
            and architecture.layers[source.inputs[0]].operation in first
        )
        is_dropped = layer.operation == "linear" and not raw
        plan.append((_operation(name, layer), [place[i] for i in layer.inputs], is_dropped))

    def forward(
        weights: Mapping[str, Tensor],
        batch: Tensor,
        *,
        training: bool = False,
        drop: Drop | None = None,
    ) -> tuple[Tensor, Weights]:
        values = [batch]
        statistics: Weights = {}
        for operation, sources, is_dropped in plan:
            inputs = [values[i] for i in sources]
            if is_dropped and drop is not None:
                inputs[0] = drop(inputs[0])
            values.append(operation(weights, inputs, statistics if training else None))
        return values[-1], statistics

    return forward


Run = Callable[[Mapping[str, Tensor], list[Tensor], Weights | None], Tensor]


def _operation(name: str, layer: Layer) -> Run:
    """One layer as a function of (weights, inputs, statistics to fill or None)."""
    weight, bias = f"{name}.weight", f"{name}.bias"
    k, s, p = layer.kernel, layer.stride, layer.padding
    match layer.operation:
        case "linear":
            return lambda w, x, _: F.linear(x[0], w[weight], w.get(bias))
        case "conv":
            return lambda w, x, _: F.conv2d(x[0], w[weight], w.get(bias), s, p)
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
    built = _Network(architecture)
    state = {name: tensor.detach().clone() for name, tensor in weights.items()}
    missing, unexpected = built.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise InputError(f"weights do not fit the architecture: {missing} {unexpected}")
    return built.to(next(iter(state.values())).dtype)


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
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            parent.add_module(leaf, _torch_layer(architecture, name))

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
