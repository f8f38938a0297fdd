"""A training step of a sparse perceptron, compiled: unit by unit, block by block of samples.

The units of all layers are numbered in one row, behind the pixels, and what they read is one sparse
matrix. A thread takes BLOCK samples through the whole network and back, so that what it reads again
lies in its own cache; members of a population go side by side. A row of a block is one vector to
LLVM, which splits it into the processor's registers.

What a block adds to a gradient is kept apart, and no sum is left to the compiler to order: neither
the number of threads decides a step's bits, nor whether code was compiled now or kept on disk.
Numba keeps it beside this file and looks at this file alone: all that is compiled stands here.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = 64  # samples
INDEX = ir.IntType(32)  # of what a shuffle takes


class Layers(NamedTuple):
    """The members' first units in each layer, (layers, members + 1), and which are rectified.

    Rows of activations are pixels and then units, layer by layer; rows of slopes are units.
    """

    first: np.ndarray
    is_rectified: np.ndarray  # (layers,) bool


class Side(NamedTuple):
    """What units read: of activations, or of the slopes of those that read them.

    Unit n takes `rows` from `starts[n]` to `starts[n + 1]`, each times the value at its `place`.
    Values lie in the order in which units read activations.
    """

    starts: np.ndarray  # (units + 1,) int64
    rows: np.ndarray  # (n,) uint32
    places: np.ndarray  # (n,) uint32


def _compiled(function: Any = None, *, is_parallel: bool = False) -> Any:
    """Compiled at its first call, and kept on disk where there is a place for it."""
    if function is None:
        return partial(_compiled, is_parallel=is_parallel)
    how: dict[str, Any] = {"error_model": "numpy", "nogil": True, "parallel": is_parallel}
    try:
        return njit(function, cache=True, **how)
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        return njit(function, **how)


def use_threads(count: int) -> None:
    """Let `step_on_threads` have so many, of those that the process may have."""
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


@_compiled
def step(layers, read, readers, values, biases, images, rows, labels, smoothing, room):
    """Losses (blocks, members) and gradients of one batch, into `room`.

    Each stream's batch is `rows` (streams, samples) of images (n, features); labels are (members,
    samples). The room is for activations (blocks, pixels + units, BLOCK) and slopes (blocks, units,
    BLOCK), for gradients of values and of biases, (blocks, ...), and for losses. Beyond the samples
    pixels and slopes are 0.
    """
    blocks = len(room[0])
    for task in range(len(rows) * blocks):
        _draw(images, rows, room[0], task)
    for task in range(len(labels) * blocks):
        _learn(layers, read, readers, values, biases, labels, smoothing, room, task)


@_compiled(is_parallel=True)
def step_on_threads(layers, read, readers, values, biases, images, rows, labels, smoothing, room):
    """The same bits."""
    blocks = len(room[0])
    for task in prange(len(rows) * blocks):
        _draw(images, rows, room[0], task)
    for task in prange(len(labels) * blocks):
        _learn(layers, read, readers, values, biases, labels, smoothing, room, task)


@_compiled
def _draw(images, rows, activations, task):
    """Turn a block of a stream, some features at a time: what is written stays near."""
    stream, block = task // len(activations), task % len(activations)
    seen, begin, features = activations[block], block * BLOCK, images.shape[1]
    samples = min(BLOCK, rows.shape[1] - begin)
    for feature in range(0, features, 16):
        for sample in range(samples):
            image = images[rows[stream, begin + sample]]
            for n in range(feature, min(features, feature + 16)):
                seen[stream * features + n, sample] = image[n]


@_compiled
def _learn(layers, read, readers, values, biases, labels, smoothing, room, task):
    """A block of samples through one member and back."""
    activations, slopes, of_values, of_biases, losses = room
    member, block = task // len(activations), task % len(activations)
    seen, above = activations[block], slopes[block]
    _forward(layers, read, member, values, biases, seen)
    begin, first, end = block * BLOCK, layers.first[-1, member], layers.first[-1, member + 1]
    logits = seen[len(seen) - len(above) + first : len(seen) - len(above) + end]
    losses[block, member] = _cross_entropy(
        labels[member], begin, smoothing, logits, above[first:end]
    )
    _backward(
        layers, read, readers, member, values, seen, above, of_values[block], of_biases[block]
    )


@_compiled
def _forward(layers, read, member, values, biases, seen):
    pixels, zero = len(seen) - len(biases), seen.dtype.type(0)
    for layer in range(len(layers.first)):
        for unit in range(layers.first[layer, member], layers.first[layer, member + 1]):
            start, end = read.starts[unit], read.starts[unit + 1]
            out = seen[pixels + unit]
            out[:] = biases[unit]
            add_rows(seen, pixels + unit, read.rows, read.places, start, end, values, seen)
            if layers.is_rectified[layer]:
                for n in range(BLOCK):
                    out[n] = zero if out[n] < zero else out[n]


@_compiled
def _backward(layers, read, readers, member, values, seen, slopes, of_values, of_biases):
    pixels, zero, last = len(seen) - len(slopes), seen.dtype.type(0), len(layers.first) - 1
    for layer in range(last, -1, -1):
        for unit in range(layers.first[layer, member], layers.first[layer, member + 1]):
            slope, out = slopes[unit], seen[pixels + unit]
            if layer < last:
                start, end = readers.starts[unit], readers.starts[unit + 1]
                slope[:] = zero
                add_rows(slopes, unit, readers.rows, readers.places, start, end, values, slopes)
            if layers.is_rectified[layer]:
                for n in range(BLOCK):
                    slope[n] = zero if out[n] <= zero else slope[n]
            of_biases[unit] = sum_of_row(slopes, unit)
            start, end = read.starts[unit], read.starts[unit + 1]
            multiply_rows(slopes, unit, read.rows, start, end, seen, of_values)


@_compiled
def _cross_entropy(labels, begin, smoothing, logits, slopes):
    """A block's share of the mean loss, and its slopes; `smoothing` as Szegedy et al. 2016."""
    samples, classes, total = len(labels), len(logits), 0.0
    for n in range(min(BLOCK, samples - begin)):
        top = logits[0, n]
        for label in range(1, classes):
            top = max(top, logits[label, n])
        whole = logits.dtype.type(0)
        for label in range(classes):
            slopes[label, n] = math.exp(logits[label, n] - top)
            whole += slopes[label, n]
        log, right = math.log(whole) + top, labels[begin + n]
        total += (1 - smoothing) * (log - logits[right, n])
        for label in range(classes):
            if smoothing > 0:  # else what is infinitely unlikely costs nothing
                total += smoothing / classes * (log - logits[label, n])
            slopes[label, n] = (slopes[label, n] / whole - smoothing / classes) / samples
        slopes[right, n] -= (1 - smoothing) / samples
    return total / samples


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
    """The vector that lies there. Rows begin where a number may, not where a vector would."""
    found = builder.load(place)
    found.align = 4
    return found


def _store(builder: ir.IRBuilder, vector: Any, place: Any) -> None:
    builder.store(vector, place).align = 4


def _spread(builder: ir.IRBuilder, number: Any, kind: Any) -> Any:
    """A vector of one number."""
    none = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(none, number, INDEX(0))
    return builder.shuffle_vector(first, none, _indices([0] * BLOCK))


def _sum(builder: ir.IRBuilder, vector: Any) -> Any:
    """The sum of a vector: its halves are added until one number is left."""
    while (length := vector.type.count) > 1:
        none, numbers = ir.Constant(vector.type, ir.Undefined), list(range(length))
        low, high = _indices(numbers[: length // 2]), _indices(numbers[length // 2 :])
        halves = (builder.shuffle_vector(vector, none, half) for half in (low, high))
        vector = builder.fadd(*halves)
    return builder.extract_element(vector, INDEX(0))


def _indices(numbers: list[int]) -> Any:
    """Those of a shuffle."""
    return ir.Constant(ir.VectorType(INDEX, len(numbers)), numbers)
