"""Orthonormal bases in which weight tensors can be trained and pruned, and the way back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import pi
from types import MappingProxyType

import torch
from torch import Tensor

Transform = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Basis:
    """`encode` takes a weight tensor to its coefficients, `decode` back; both keep the norm."""

    encode: Transform
    decode: Transform


def _same(tensor: Tensor) -> Tensor:
    return tensor


@lru_cache(maxsize=64)
def cosines(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The orthonormal DCT-II matrix (size, size): row k is the cosine of frequency k.

    It is kept for later calls, which may want a gradient: so never an inference tensor.
    """
    with torch.inference_mode(False):
        k = torch.arange(size, dtype=torch.float64)[:, None]
        n = torch.arange(size, dtype=torch.float64)[None, :]
        matrix = torch.cos(pi * (n + 0.5) * k / size) * (2 / size) ** 0.5
        matrix[0] /= 2**0.5
        found: Tensor = matrix.to(device, dtype)
    return found


def dct(tensor: Tensor) -> Tensor:
    """The orthonormal DCT-II of a tensor along every axis, units and channels as well as pixels.

    Generalised tickets prune in a basis of the parameter space (Alabdulmohsin et al. 2021, arXiv
    2107.06825), the DCT among them; that every axis is transformed is our choice.
    """
    for axis, size in enumerate(tensor.shape):
        matrix = cosines(size, tensor.dtype, tensor.device)
        tensor = torch.tensordot(tensor, matrix, dims=([axis], [1])).movedim(-1, axis)
    return tensor


def inverse_dct(tensor: Tensor) -> Tensor:
    """The tensor whose DCT-II this is: the DCT-III along every axis."""
    for axis, size in enumerate(tensor.shape):
        matrix = cosines(size, tensor.dtype, tensor.device)
        tensor = torch.tensordot(tensor, matrix, dims=([axis], [0])).movedim(-1, axis)
    return tensor


BASES: Mapping[str, Basis] = MappingProxyType(
    {"identity": Basis(_same, _same), "dct": Basis(dct, inverse_dct)}
)
