"""A training step of a sparse perceptron, compiled: unit by unit, block by block of samples.

The units of all layers are numbered in one row, behind the pixels, and what they read is one sparse
matrix (`lesson.Layers`, `lesson.Side`). A thread takes BLOCK samples through the whole network and
back, so that what it reads again lies in its own cache; members of a population go side by side.

What a block adds to a gradient is kept apart, and no sum is left to the compiler to order: neither
the number of threads decides bits, nor whether code was compiled now or kept on disk. Numba keeps
it beside this file, or in the user's cache where that cannot be written to.
"""

import math
import threading
from functools import partial
from typing import Any

import numba
from numba import njit, prange

from recursive_lth.errors import InputError
from recursive_lth.training.vectors import BLOCK, add_rows, multiply_rows, sum_of_row

_ONE_AT_A_TIME = threading.Lock()  # not every pool of threads takes two callers


def _compiled(function: Any = None, *, is_parallel: bool = False) -> Any:
    """Compiled at its first call, and kept on disk where there is a place for it."""
    if function is None:
        return partial(_compiled, is_parallel=is_parallel)
    how: dict[str, Any] = {"error_model": "numpy", "nogil": True, "parallel": is_parallel}
    try:
        return njit(function, cache=True, **how)
    except RuntimeError:  # "no locator available"
        return njit(function, **how)


def step(threads: int, *given: Any) -> None:
    """`_step` on so many threads, of those that the process may have.

    With several, a process that is forked later cannot train, and PyTorch, which may share them,
    must be told again how many are its own.
    """
    run = _step if threads == 1 else _step_on_threads
    is_new = not run.signatures
    try:
        with _ONE_AT_A_TIME:
            if threads > 1:
                numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            run(*given)
    except Exception as error:
        if not is_new:
            raise
        raise InputError(
            f"the compiled training step did not begin ({type(error).__name__}: {error}): delete "
            f"what Numba keeps in {run.stats.cache_path}, or train with training.engine=dense"
        ) from error


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
