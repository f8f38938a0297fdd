"""A training step of a sparse perceptron, compiled: unit by unit, block by block of samples.

The units of all layers are numbered in one row, behind the pixels, and a wire is an entry of one
sparse matrix between them. A thread takes `BLOCK` samples through the whole network and back, so
that what it reads again lies in its own cache; members of a population go side by side. What a
block adds to a gradient is kept apart, so that the number of threads decides no bits.
"""

import math
import threading
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit, prange

BLOCK = 64  # samples
_ONE_AT_A_TIME = threading.Lock()  # not every pool of threads takes two callers


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
    rows: np.ndarray  # (n,) uint32: no sign to be looked at
    places: np.ndarray  # (n,) uint32


def _compiled(function: Any = None, *, is_parallel: bool = False) -> Any:
    """Compiled at its first call, and kept on disk where that can be written to.

    Sums may be taken in any order, one order for ever; what is no number stays none.
    """
    if function is None:
        return partial(_compiled, is_parallel=is_parallel)
    how = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy", "nogil": True}
    try:
        return njit(function, cache=True, parallel=is_parallel, **how)
    except RuntimeError:  # neither beside this file nor in the user's own folder
        return njit(function, parallel=is_parallel, **how)


def step(threads, *given):
    """One step on so many threads, of those that the process may have."""
    several = min(threads, numba.config.NUMBA_NUM_THREADS)
    if several == 1:
        _step(*given)
        return
    with _ONE_AT_A_TIME:
        numba.set_num_threads(several)
        _step_on_threads(*given)


@_compiled
def _step(layers, read, readers, values, biases, images, rows, labels, smoothing, room):
    """Losses (blocks, members) and gradients of one batch, into `room`.

    Each stream's batch is `rows` (streams, samples) of images (n, features); labels are (members,
    samples). The room is for activations (blocks, pixels + units, BLOCK) and slopes (blocks, units,
    BLOCK), where whatever is beyond the samples is 0, for gradients of values and of biases,
    (blocks, ...), and for losses.
    """
    blocks = len(room[0])
    for task in range(len(rows) * blocks):
        _draw(images, rows, room[0], task)
    for task in range(len(labels) * blocks):
        _learn(layers, read, readers, values, biases, labels, smoothing, room, task)


@_compiled(is_parallel=True)
def _step_on_threads(layers, read, readers, values, biases, images, rows, labels, smoothing, room):
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
            out = seen[pixels + unit]
            out[:] = biases[unit]
            _add(out, read, unit, values, seen)
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
                slope[:] = zero
                _add(slope, readers, unit, values, slopes)
            if layers.is_rectified[layer]:
                for n in range(BLOCK):
                    slope[n] = zero if out[n] <= zero else slope[n]
            total = zero
            for n in range(BLOCK):
                total += slope[n]
            of_biases[unit] = total
            _dots(slope, read, unit, seen, of_values)


@_compiled
def _add(out, side, unit, values, x):
    """Add rows of x, each times its value, eight at a time: `out` is read once for all."""
    k, end, rows, at = side.starts[unit], side.starts[unit + 1], side.rows, side.places
    while k + 8 <= end:
        a, b, c, d = x[rows[k]], x[rows[k + 1]], x[rows[k + 2]], x[rows[k + 3]]
        e, f, g, h = x[rows[k + 4]], x[rows[k + 5]], x[rows[k + 6]], x[rows[k + 7]]
        p, q, r, s = values[at[k]], values[at[k + 1]], values[at[k + 2]], values[at[k + 3]]
        t, u, v, w = values[at[k + 4]], values[at[k + 5]], values[at[k + 6]], values[at[k + 7]]
        for n in range(BLOCK):
            out[n] += (
                p * a[n] + q * b[n] + r * c[n] + s * d[n]
                + t * e[n] + u * f[n] + v * g[n] + w * h[n]
            )  # fmt: skip
        k += 8
    while k < end:
        a, p = x[rows[k]], values[at[k]]
        for n in range(BLOCK):
            out[n] += p * a[n]
        k += 1


@_compiled
def _dots(slope, side, unit, x, found):
    """The products of a slope and rows of x, four at a time: the slope is read once for all."""
    k, end, rows, zero = side.starts[unit], side.starts[unit + 1], side.rows, x.dtype.type(0)
    while k + 4 <= end:
        a, b, c, d = x[rows[k]], x[rows[k + 1]], x[rows[k + 2]], x[rows[k + 3]]
        p, q, r, s = zero, zero, zero, zero
        for n in range(BLOCK):
            p += slope[n] * a[n]
            q += slope[n] * b[n]
            r += slope[n] * c[n]
            s += slope[n] * d[n]
        found[k], found[k + 1], found[k + 2], found[k + 3] = p, q, r, s
        k += 4
    while k < end:
        a, p = x[rows[k]], zero
        for n in range(BLOCK):
            p += slope[n] * a[n]
        found[k] = p
        k += 1


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
            total += smoothing / classes * (log - logits[label, n])
            slopes[label, n] = (slopes[label, n] / whole - smoothing / classes) / samples
        slopes[right, n] -= (1 - smoothing) / samples
    return total / samples
