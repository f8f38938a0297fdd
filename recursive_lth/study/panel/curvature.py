"""How sharp the loss is around a network: the Hessian's top and trace, and SAM's rise.

All are of a `landscape`: the remaining weights, biases and norms, with BatchNorm's statistics
fixed. They are not the same for networks of one function but other scales (Dinh et al. 2017,
arXiv 1703.04933): compare networks of one family.
"""

import math
from collections.abc import Callable

import torch
from scipy.linalg import eigh_tridiagonal
from torch import Generator, Tensor

from recursive_lth.errors import InputError
from recursive_lth.study.panel.landscape import Landscape

Product = Callable[[Tensor], Tensor]  # a symmetric matrix times a vector (entries,)
RHO = 0.05  # radius of SAM's ball, as Foret et al. use for most data


def largest_eigenvalue(
    around: Landscape, generator: Generator, *, products: int = 50, tolerance: float = 1e-3
) -> float:
    """The largest eigenvalue of the loss's Hessian: nats per squared unit of weight.

    By Lanczos's recurrence from a normal draw, until the error is within `tolerance` of the value
    or `products` are spent (each about two forward and backward passes; ten to thirty are usual).
    It never exceeds the true one but for rounding.
    """
    start = torch.randn(len(around.point), generator=generator, dtype=torch.float64)
    here = start.to(around.point) * around.is_live
    return lanczos(around.product, here, products=products, tolerance=tolerance)


def hessian_trace(around: Landscape, generator: Generator, *, probes: int = 10) -> float:
    """The trace of the loss's Hessian, estimated: nats per squared unit of weight.

    Each probe is one product, about two forward and backward passes.
    """
    if probes < 1:
        raise InputError(f"a trace needs 1 probe or more, got {probes}")
    return hutchinson(around.product, around.is_live.to(around.point), generator, probes=probes)


def sam_sharpness(around: Landscape, *, rho: float = RHO) -> float:
    """How many nats the loss rises within a distance `rho`, to first order; 0 where it is flat.

    L(w + rho g / |g|) - L(w), the sharpness that Foret et al. (2021, arXiv 2010.01412) minimise.
    A forward and backward pass and two forward ones.
    """
    gradient = around.gradient(around.point)
    size = gradient.norm()
    if not float(size):
        return 0.0
    return around.loss(around.point + rho * gradient / size) - around.loss(around.point)


def lanczos(product: Product, start: Tensor, *, products: int, tolerance: float) -> float:
    """The largest eigenvalue of a symmetric matrix that the start vector is not orthogonal to.

    The three-term recurrence without re-orthogonalisation holds three vectors; what it loses in
    orthogonality brings copies of values found, not wrong ones (Paige 1980). What the last entry of
    an eigenvector says bounds the distance from a true value. 0 for a start of 0.
    """
    size = float(start.norm())
    if not size:
        return 0.0
    before, here = torch.zeros_like(start), start / size
    diagonal: list[float] = []
    beside: list[float] = []
    value = 0.0
    for _ in range(products):
        there = product(here)
        diagonal.append(float(there @ here))
        if not math.isfinite(diagonal[-1]):
            return math.nan
        there = there - diagonal[-1] * here - (beside[-1] if beside else 0.0) * before
        step = float(there.norm())
        values, vectors = eigh_tridiagonal(diagonal, beside)
        value, error = float(values[-1]), step * abs(float(vectors[-1, -1]))
        is_whole = step <= torch.finfo(start.dtype).eps * max(abs(values[0]), abs(values[-1]))
        if is_whole or error <= tolerance * abs(value):
            break
        beside.append(step)
        before, here = here, there / step
    return value


def hutchinson(product: Product, like: Tensor, generator: Generator, *, probes: int) -> float:
    """The trace of a symmetric matrix, from random signs where `like` is 1 and 0 where it is 0.

    The mean of v.Hv over draws of signs v is unbiased (Hutchinson 1989), with the least variance
    among draws of independent entries: none for a diagonal matrix.
    """
    found = []
    for _ in range(probes):
        signs = torch.randint(0, 2, like.shape, generator=generator) * 2 - 1
        vector = signs.to(like) * like
        found.append(float(vector @ product(vector)))
    return math.fsum(found) / probes
