"""Lessons: a chain is taught one batch after another by a compiled step.

A step with few remaining weights is over before PyTorch has called the operators of a tape. Here
all layers are one sparse matrix between units, and their tensors lie end to end.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recursive_lth.config import Training
from recursive_lth.errors import InputError
from recursive_lth.training.batches import Batches, Picked
from recursive_lth.training.chain import Chain

_ONE_AT_A_TIME = threading.Lock()  # not every pool of threads takes two callers
MOST_SAMPLES = 512  # of a batch: each block of 64 keeps a gradient of its own


def can_be_taught(recipe: Training) -> bool:
    """True iff a compiled step knows all that the recipe asks for."""
    return recipe.is_plain and recipe.batch_size <= MOST_SAMPLES


class Lesson:
    """A chain that is taught batches of one size: its tensors end to end, and room to compute.

    `live` are the tensors to be moved. Each has its gradient's place for good: nobody may take it
    away. `parts` are the data, one for each stream of batches.

    Raises `InputError` where the data are not those that the network reads.
    """

    def __init__(
        self, chain: Chain, tensors: Mapping[str, Tensor], parts: Sequence[Batches], batch_size: int
    ) -> None:
        from recursive_lth.training.compiled import BLOCK  # and a compiler, where it is used

        links, like = chain.links, tensors[chain.links[0].weight]
        entries = [len(link.pattern.places) for link in links]
        layers = [link.pattern.shape[0] for link in links]
        pixels, units = links[0].pattern.shape[1], sum(layers)
        blocks = math.ceil(batch_size / BLOCK)
        for part in parts:
            _check(part, pixels // len(parts), layers[-1] // chain.members, like.dtype)
        self.wires = _wires(chain)
        self.values, self.biases = like.new_zeros(sum(entries)), like.new_zeros(units)
        self.of_values = like.new_zeros(blocks, sum(entries))
        self.of_biases = like.new_zeros(blocks, units)
        self.losses = like.new_zeros(blocks, chain.members)
        seen, slopes = (like.new_zeros(blocks, n, BLOCK) for n in (pixels + units, units))
        room = (seen, slopes, self.of_values, self.of_biases, self.losses)
        self.room = tuple(tensor.numpy() for tensor in room)
        weights, biases = [link.weight for link in links], [link.bias for link in links]
        places = {
            **_named(weights, entries, self.values, self.of_values[0]),
            **_named(biases, layers, self.biases, self.of_biases[0]),
        }
        self.live: dict[str, Tensor] = {}
        for name, given in tensors.items():
            own, slope = (place.view_as(given) for place in places[name])
            self.live[name] = own.copy_(given).requires_grad_()
            self.live[name].grad = slope

    def learn(self, picked: Picked, labels: Tensor, label_smoothing: float) -> Tensor:
        """The losses (members,) for images and labels (members, samples).

        The gradient of their sum is put down with the live tensors.
        """
        values, biases = self.values.numpy(), self.biases.numpy()
        images, rows = picked.images.numpy(), picked.rows.view(-1, labels.shape[1]).numpy()
        given = (*self.wires, values, biases, images, rows, labels.numpy())
        smoothing = values.dtype.type(label_smoothing)
        _step(torch.get_num_threads(), *given, smoothing, self.room)
        for block in range(1, len(self.losses)):
            for found in (self.of_values, self.of_biases, self.losses):
                found[0] += found[block]
        return self.losses[0].clone()


def _step(threads: int, *given: Any) -> None:
    """A compiled step on so many threads, of those that the process may have.

    With several, a process that is forked later cannot train, and PyTorch, which may share them,
    must be told again how many are its own.
    """
    from recursive_lth.training import compiled

    run = compiled.step if threads == 1 else compiled.step_on_threads
    known = len(run.signatures)
    try:
        with nullcontext() if threads == 1 else _ONE_AT_A_TIME:
            if threads > 1:
                compiled.use_threads(threads)
            run(*given)
    except Exception as error:
        if known and len(run.signatures) == known:
            raise
        raise InputError(
            f"the compiled training step did not begin ({type(error).__name__}: {error}): delete "
            f"what Numba keeps in {run.stats.cache_path}, or train with training.engine=dense"
        ) from error
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _check(part: Batches, features: int, classes: int, dtype: torch.dtype) -> None:
    """Raise where compiled code, which looks at no bounds, would go beyond them."""
    images, labels, rows = part.images, part.labels, part.rows
    if images[0].numel() != features or images.dtype != dtype:
        raise InputError(
            f"the network reads {features} numbers in {dtype}, the data have {images[0].numel()} "
            f"in {images.dtype}"
        )
    if labels.dtype != torch.int64 or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"labels must be int64 from 0 to {classes - 1}, got {labels.dtype} from "
            f"{int(labels.min())} to {int(labels.max())}"
        )
    if part.is_augmented:  # then images are copied for each batch
        return
    if rows is None:
        rows = torch.tensor([0, len(labels) - 1])
    if not 0 <= int(rows.min()) <= int(rows.max()) < len(images):
        raise InputError(f"samples must be rows of the {len(images)} images there are")


def _named(
    names: Sequence[str], counts: Sequence[int], values: Tensor, slopes: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """The parts of two tensors, by name."""
    parts = zip(values.split(counts), slopes.split(counts), strict=True)
    return dict(zip(names, parts, strict=True))


def _wires(chain: Chain) -> tuple[Any, Any, Any]:
    """Who reads whom among the units of all layers, as compiled steps take it."""
    from recursive_lth.training.compiled import Layers, Side

    patterns = [link.pattern for link in chain.links]
    layers, later = [pattern.shape[0] for pattern in patterns], patterns[1:]
    units = np.cumsum([0, *layers])
    entries = np.cumsum([0, *(len(pattern.places) for pattern in patterns)])
    sources = [0, *(patterns[0].shape[1] + units[:-2])]
    owned = np.outer(layers, np.arange(chain.members + 1)) // chain.members
    rectified = np.array([link.is_rectified for link in chain.links])
    read = Side(
        _counted([p.starts for p in patterns]),
        _numbers([p.columns for p in patterns], sources),
        np.arange(entries[-1], dtype=np.uint32),
    )
    readers = Side(
        _counted([p.starts_turned for p in later]),
        _numbers([p.rows for p in later], units[1:-1]),
        _numbers([p.turn for p in later], entries[1:-1]),
    )
    return Layers(units[:-1, None] + owned, rectified), read, readers


def _numbers(numbers: Sequence[Tensor], first: Sequence[int] | np.ndarray) -> np.ndarray:
    """What each layer numbers from 0, counted through, (n,) uint32."""
    moved = [n.numpy() + begin for n, begin in zip(numbers, first, strict=True)]
    return np.concatenate([np.zeros(0, np.int64), *moved]).astype(np.uint32)


def _counted(starts: Sequence[Tensor]) -> np.ndarray:
    """Where the entries of each unit of each layer begin, and the end, (units + 1,) int64."""
    counts = [np.diff(each.numpy()) for each in starts]
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))
