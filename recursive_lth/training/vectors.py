"""Rows of a block of samples as vectors of the processor, for compiled steps.

A row is BLOCK numbers that lie end to end, and one vector to LLVM, which splits it into registers.
Sums stay there, and their order is written out, so that they are the same bits wherever and however
they are compiled. Numba turns these builders of instructions into functions (`intrinsic`).
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = 64  # samples
NUMBER = ir.IntType(32)


@intrinsic
def add_rows(
    typing: Any,
    out: Any,
    at: Any,
    rows: Any,
    places: Any,
    start: Any,
    end: Any,
    values: Any,
    x: Any,
) -> Any:
    """Add to row `at` of `out` the rows of x from `start` to `end`, each times its value."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> Any:
        kinds = signature.args
        target = _row(context, builder, kinds[0], given[0], given[1])
        total = cgutils.alloca_once_value(builder, _load(builder, target))
        with cgutils.for_range_slice(builder, given[4], given[5], given[4].type(1)) as (n, _):
            row, place = (_item(context, builder, kinds[k], given[k], n) for k in (2, 3))
            value = _item(context, builder, kinds[6], given[6], builder.zext(place, ir.IntType(64)))
            read = _load(builder, _row(context, builder, kinds[7], given[7], row))
            product = builder.fmul(_spread(builder, value, read.type), read)
            builder.store(builder.fadd(builder.load(total), product), total)
        _store(builder, builder.load(total), target)
        return context.get_dummy_value()

    return types.void(out, at, rows, places, start, end, values, x), build


@intrinsic
def multiply_rows(
    typing: Any, slope: Any, at: Any, rows: Any, start: Any, end: Any, x: Any, found: Any
) -> Any:
    """Put down in `found` the products of row `at` and the rows of x from `start` to `end`."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> Any:
        kinds = signature.args
        lead = _load(builder, _row(context, builder, kinds[0], given[0], given[1]))
        with cgutils.for_range_slice(builder, given[3], given[4], given[3].type(1)) as (n, _):
            row = _item(context, builder, kinds[2], given[2], n)
            read = _load(builder, _row(context, builder, kinds[5], given[5], row))
            target = _place(context, builder, kinds[6], given[6], n)
            builder.store(_sum(builder, builder.fmul(lead, read)), target)
        return context.get_dummy_value()

    return types.void(slope, at, rows, start, end, x, found), build


@intrinsic
def sum_of_row(typing: Any, x: Any, at: Any) -> Any:
    """The sum of row `at` of x."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> Any:
        row = _row(context, builder, signature.args[0], given[0], given[1])
        return _sum(builder, _load(builder, row))

    return x.dtype(x, at), build


def _place(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, n: Any) -> Any:
    """Where the n-th number of an array that lies end to end is."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [n])


def _item(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, n: Any) -> Any:
    """The n-th number itself."""
    return builder.load(_place(context, builder, kind, array, n))


def _row(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, n: Any) -> Any:
    """Where the n-th row begins, as a place of a vector."""
    wide = ir.IntType(64)
    first = builder.mul(builder.zext(n, wide) if n.type.width < wide.width else n, wide(BLOCK))
    vector = ir.VectorType(context.get_data_type(kind.dtype), BLOCK)
    return builder.bitcast(_place(context, builder, kind, array, first), vector.as_pointer())


def _load(builder: ir.IRBuilder, place: Any) -> Any:
    """The vector that lies there, wherever that is."""
    found = builder.load(place)
    found.align = 4
    return found


def _store(builder: ir.IRBuilder, vector: Any, place: Any) -> None:
    builder.store(vector, place).align = 4


def _spread(builder: ir.IRBuilder, number: Any, kind: Any) -> Any:
    """A vector of one number."""
    none = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(none, number, NUMBER(0))
    return builder.shuffle_vector(first, none, _vector([0] * BLOCK))


def _sum(builder: ir.IRBuilder, vector: Any) -> Any:
    """The sum of a vector: its halves are added until one number is left."""
    while (length := vector.type.count) > 1:
        none, numbers = ir.Constant(vector.type, ir.Undefined), list(range(length))
        low, high = _vector(numbers[: length // 2]), _vector(numbers[length // 2 :])
        halves = (builder.shuffle_vector(vector, none, half) for half in (low, high))
        vector = builder.fadd(*halves)
    return builder.extract_element(vector, NUMBER(0))


def _vector(numbers: list[int]) -> Any:
    """A constant one."""
    return ir.Constant(ir.VectorType(NUMBER, len(numbers)), numbers)
