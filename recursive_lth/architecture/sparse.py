"""Sparse linear layers: only remaining weights are held, and only they are computed with.

The matrix is in compressed sparse rows (CSR), beside it its transpose; the mask is their pattern,
so that no pruned weight can come back. Activations flow as (samples, features) views of memory
that lies feature by feature, which is what the kernels want: layers in a row copy nothing.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recursive_lth.architecture.turning import laid
from recursive_lth.errors import InputError

with warnings.catch_warnings():  # PyTorch says once, of the first of them, that they are new
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1), check_invariants=False)

SHORT = 256  # samples


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which entries of a matrix (out, in) are there, in row-major order and by columns.

    `places` are their flat numbers, (n,) int64, ascending. `starts` and `columns` say the same as
    CSR, `starts_turned` and `rows` for the transpose, whose n-th entry is number `turn[n]`.
    """

    shape: tuple[int, int]
    places: Tensor
    starts: Tensor
    columns: Tensor
    starts_turned: Tensor
    rows: Tensor
    turn: Tensor

    @staticmethod
    def of(mask: Tensor) -> "Pattern":
        """The pattern of a bool mask (out, in), on the mask's device."""
        if mask.dim() != 2:
            raise InputError(f"a pattern is that of a matrix, got shape {tuple(mask.shape)}")
        rows, columns = mask.nonzero(as_tuple=True)
        return Pattern.at((mask.shape[0], mask.shape[1]), rows, columns)

    @staticmethod
    def blocks(masks: Sequence[Tensor], out: int, width: int, read: Sequence[int]) -> "Pattern":
        """The pattern of masks (<= out, <= width), each in a block so large, one below the other.

        `read` says for each which block of columns it lies in: down the diagonal where none share.
        """
        rows, columns = [], []
        for number, mask in enumerate(masks):
            found = mask.nonzero(as_tuple=True)
            rows.append(found[0] + number * out)
            columns.append(found[1] + read[number] * width)
        shape = (out * len(masks), width * (1 + max(read)))
        return Pattern.at(shape, torch.cat(rows), torch.cat(columns))

    @staticmethod
    def at(shape: tuple[int, int], rows: Tensor, columns: Tensor) -> "Pattern":
        """The pattern of entries in row-major order, by their rows and columns, (n,) int64."""
        out, width = shape
        turn = columns.argsort(stable=True)
        return Pattern(
            shape,
            rows * width + columns,
            _starts(rows, out),
            columns.int(),
            _starts(columns, width),
            rows[turn].int(),
            turn,
        )

    def pack(self, tensor: Tensor) -> Tensor:
        """The entries of a tensor of this many elements that are there, (n,)."""
        return tensor.reshape(-1)[self.places]

    def unpack(self, values: Tensor) -> Tensor:
        """The matrix with these entries, and 0 elsewhere."""
        whole = values.new_zeros(self.shape[0] * self.shape[1])
        return whole.index_copy_(0, self.places, values).view(self.shape)


def _starts(sorted_rows: Tensor, rows: int) -> Tensor:
    """Where each row begins among entries sorted by row, and the end, (rows + 1,) int32."""
    counts = torch.bincount(sorted_rows, minlength=rows)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()


def sparse_linear(
    x: Tensor, values: Tensor, bias: Tensor | None, pattern: Pattern, *, is_rectified: bool = False
) -> Tensor:
    """What a linear layer gives for x (samples, in): (samples, out), a view of (out, samples).

    `values` (n,) are the weights of the pattern, in its order. Once differentiable in x, values and
    bias; the gradient of the values is computed for them alone. Where it `is_rectified` the ReLU
    that follows is done in place: the same bits with less memory to go through.
    """
    return sparse_product(x.t(), values, bias, pattern, is_rectified=is_rectified).t()


def sparse_product(
    x: Tensor, values: Tensor, bias: Tensor | None, pattern: Pattern, *, is_rectified: bool = False
) -> Tensor:
    """The matrix times x (in, samples) plus bias (out,), maybe rectified: (out, samples)."""
    if not torch.is_autocast_enabled(x.device.type):
        return _SparseProduct.apply(x, values, bias, pattern, is_rectified)  # type: ignore[no-any-return]
    with torch.autocast(x.device.type, enabled=False):  # there are no kernels but in full precision
        x = x.to(values)
        return _SparseProduct.apply(x, values, bias, pattern, is_rectified)  # type: ignore[no-any-return]


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        values: Tensor,
        bias: Tensor | None,
        pattern: Pattern,
        is_rectified: bool,
    ) -> Tensor:
        x = laid(x)
        out = product(pattern, values, x)
        if bias is not None:
            out += bias[:, None]
        if is_rectified:
            out.relu_()
        ctx.save_for_backward(x, values, out if is_rectified else None)
        ctx.pattern = pattern
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        x, values, out = ctx.saved_tensors
        pattern, above = ctx.pattern, laid(above)
        of_x, of_values, of_bias, *_ = ctx.needs_input_grad
        if out is not None:
            above = torch.ops.aten.threshold_backward(above, out, 0)
        below = product_turned(pattern, values, above) if of_x else None
        found = gradient(pattern, above, x) if of_values else None
        return below, found, above.sum(1) if of_bias else None, None, None


def product(pattern: Pattern, values: Tensor, x: Tensor) -> Tensor:
    """The matrix times x (in, samples), which lies end to end: (out, samples)."""
    return _product(pattern.starts, pattern.columns, values, pattern.shape, x)


def product_turned(pattern: Pattern, values: Tensor, x: Tensor) -> Tensor:
    """The transpose times x (out, samples): (in, samples)."""
    turn, shape = values.index_select(0, pattern.turn), pattern.shape[::-1]
    return _product(pattern.starts_turned, pattern.rows, turn, shape, x)


def gradient(pattern: Pattern, above: Tensor, x: Tensor) -> Tensor:
    """That of the values (n,), where `above` (out, samples) is that of what x has come to."""
    found = torch.zeros(len(pattern.places), dtype=x.dtype, device=x.device)
    matrix = _csr(pattern.starts, pattern.columns, found, pattern.shape)  # a copy costs more
    torch.sparse.sampled_addmm(matrix, above, x.t(), beta=0.0, out=matrix)
    return found


def _product(
    starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int], x: Tensor
) -> Tensor:
    """A matrix of compressed rows times x.

    A bag of embeddings is the same: each row of the result is a sum of rows of x, with weights. In
    float32 on a CPU its kernels take .6 to .9 of the time of CSR's while rows are short, and more
    than theirs once they are long.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[1] <= SHORT:
        plain = (x.detach(), columns, starts, False, 0, False, values.detach(), True)
        return torch.embedding_bag(*plain)[0]
    out = x.new_empty(shape[0], x.shape[1])  # `mm` would fill it with zeros, and copy them
    return torch.addmm(out, _csr(starts, columns, values, shape), x, beta=0.0, out=out)


def _csr(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
