"""Fresh values for every tensor of an architecture, as at the first birth."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.config import pick

Scheme = Callable[[Tensor, int, int, Generator], Tensor]


def kaiming_normal(empty: Tensor, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """Normal of variance 2 / fan_in (He et al. 2015, arXiv 1502.01852)."""
    return empty.normal_(0, math.sqrt(2 / fan_in), generator=generator)


def glorot_normal(empty: Tensor, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """Normal of variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""
    return empty.normal_(0, math.sqrt(2 / (fan_in + fan_out)), generator=generator)


def torch_uniform(empty: Tensor, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """Uniform in +-1 / sqrt(fan_in): the default of PyTorch's linear and convolution weights."""
    bound = 1 / math.sqrt(fan_in)
    return empty.uniform_(-bound, bound, generator=generator)


def fresh(architecture: Architecture, generator: Generator, scheme: str) -> Weights:
    """Initial values: weights by `scheme`, biases 0, norms the identity with unit statistics.

    Raises `InputError` where the scheme is unknown.
    """
    draw = pick(SCHEMES, scheme, "initialisation")
    prunable = set(architecture.prunable)
    values = {}
    for name in architecture.tensors:
        shape = architecture.shape(name)
        if name in prunable:
            field = math.prod(shape[2:])
            values[name] = draw(torch.empty(shape), shape[1] * field, shape[0] * field, generator)
            continue
        layer, _, part = name.rpartition(".")
        is_norm = architecture.layers[layer].operation == "batchnorm"
        is_one = is_norm and part in {"weight", "running_var"}
        values[name] = torch.full(shape, float(is_one))
    return values


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "kaiming_normal": kaiming_normal,
        "glorot_normal": glorot_normal,
        "torch_uniform": torch_uniform,
    }
)
