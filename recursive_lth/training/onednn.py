"""Large dense products by oneDNN, which PyTorch carries on a CPU beside its BLAS.

For float32 PyTorch asks the BLAS, which most packages take from Intel: on processors of other
makers it has been seen at half the speed of oneDNN, which looks at what the processor can do and
not at who made it. PyTorch calls oneDNN so in the programs it compiles, by an operator that has no
public name: whether it is there and right is looked up before it is used. Overheads are larger than
those of the BLAS, so that small products stay there, and so do their bits.
"""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recursive_lth.architecture.cost import size
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Run, Weights

LEAST_WORK = 8_000_000  # multiply-adds of a batch below which overheads decide


def able(architecture: Architecture, batch_size: int) -> tuple[str, ...]:
    """The linear layers whose batch is work enough for it, from input to output."""
    layers = architecture.layers
    names = (name for name in architecture.order if layers[name].operation == "linear")
    return tuple(n for n in names if size(architecture, f"{n}.weight") * batch_size >= LEAST_WORK)


@cache
def is_there() -> bool:
    """True iff this PyTorch has the operator, and it multiplies, also what lies otherwise."""
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(40, 40, generator=draw) for _ in range(2))
    corner = (slice(30), slice(20))
    pairs = [(left, right), (left.t(), right), (left, right.t()), (left[corner], right[corner])]
    try:
        found = [_times(a, b) for a, b in pairs]
    except (AttributeError, RuntimeError, TypeError):
        return False
    near = partial(torch.allclose, rtol=1e-4, atol=1e-4)
    return all(near(out, a @ b.t()) for out, (a, b) in zip(found, pairs, strict=True))


def product(left: Tensor, right: Tensor) -> Tensor:
    """`left` (n, k) times `right` (m, k) transposed: (n, m).

    Once differentiable; both may be transposed views.
    """
    return _Product.apply(left, right)  # type: ignore[no-any-return]


def linear(name: str, *, is_turned: bool) -> Run:
    """A linear layer by oneDNN; where it `is_turned` its output lies feature by feature."""
    weight, bias = f"{name}.weight", f"{name}.bias"

    def run(w: Mapping[str, Tensor], x: list[Tensor], statistics: Weights | None) -> Tensor:
        out = product(w[weight], x[0]).t() if is_turned else product(x[0], w[weight])
        return out + w[bias] if bias in w else out

    return run


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        return _times(left, right)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, Tensor | None]:
        left, right = ctx.saved_tensors
        of_left, of_right = ctx.needs_input_grad
        return (
            _times(above, right.t()) if of_left else None,
            _times(above.t(), left.t()) if of_right else None,
        )


def _times(left: Tensor, right: Tensor) -> Tensor:
    """What `product` gives, without gradients; in other precisions by the BLAS."""
    if left.dtype != torch.float32 or left.device.type != "cpu":
        return left @ right.t()
    found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return found
