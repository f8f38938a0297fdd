"""Lessons: a chain is taught a batch after another, without PyTorch's tape.

A step with few remaining weights is over before PyTorch has called the operators of a tape. Here
all layers are one sparse matrix between units (`compiled`), and their tensors lie end to end.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recursive_lth.training.batches import Drawn
from recursive_lth.training.chain import Chain


class Lesson:
    """A chain that is taught batches of one size: its tensors end to end, and room to compute.

    `live` are the tensors to be moved, each with its place for a gradient.
    """

    def __init__(self, chain: Chain, tensors: Mapping[str, Tensor], batch_size: int) -> None:
        from recursive_lth.training import compiled  # and a compiler with it, where it is used

        self.step: Any = compiled.step
        links, like = chain.links, tensors[chain.links[0].weight]
        entries = [len(link.pattern.places) for link in links]
        layers = [link.pattern.shape[0] for link in links]
        pixels, units = links[0].pattern.shape[1], sum(layers)
        block, blocks = compiled.BLOCK, math.ceil(batch_size / compiled.BLOCK)
        self.wires = _wires(chain, compiled)
        self.values, self.biases = like.new_zeros(sum(entries)), like.new_zeros(units)
        self.of_values = like.new_zeros(blocks, sum(entries))
        self.of_biases = like.new_zeros(blocks, units)
        self.losses = like.new_zeros(blocks, chain.members)
        seen, slopes = (like.new_zeros(blocks, n, block) for n in (pixels + units, units))
        room = (seen, slopes, self.of_values, self.of_biases, self.losses)
        self.room = tuple(tensor.numpy() for tensor in room)
        weights, biases = [link.weight for link in links], [link.bias for link in links]
        parts = {
            **_named(weights, entries, self.values, self.of_values[0]),
            **_named(biases, layers, self.biases, self.of_biases[0]),
        }
        self.live: dict[str, Tensor] = {}
        for name, given in tensors.items():
            own, slope = (part.view_as(given) for part in parts[name])
            self.live[name] = own.copy_(given).requires_grad_()
            self.live[name].grad = slope

    def learn(self, drawn: Drawn, labels: Tensor, label_smoothing: float) -> Tensor:
        """The losses (members,) for images and labels (members, samples).

        The gradient of their sum is put down with the live tensors.
        """
        values, biases = self.values.numpy(), self.biases.numpy()
        images, rows = drawn.images.numpy(), drawn.rows.view(-1, labels.shape[1]).numpy()
        given = (*self.wires, values, biases, images, rows, labels.numpy())
        self.step(torch.get_num_threads(), *given, values.dtype.type(label_smoothing), self.room)
        for block in range(1, len(self.losses)):
            for found in (self.of_values, self.of_biases, self.losses):
                found[0] += found[block]
        return self.losses[0].clone()


def _named(
    names: Sequence[str], counts: Sequence[int], values: Tensor, slopes: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """The parts of two tensors, by name."""
    parts = zip(values.split(counts), slopes.split(counts), strict=True)
    return dict(zip(names, parts, strict=True))


def _wires(chain: Chain, compiled: Any) -> tuple[Any, Any, Any]:
    """Who reads whom among the units of all layers, as compiled steps take it."""
    patterns = [link.pattern for link in chain.links]
    layers, later = [pattern.shape[0] for pattern in patterns], patterns[1:]
    units = np.cumsum([0, *layers])
    entries = np.cumsum([0, *(len(pattern.places) for pattern in patterns)])
    sources = [0, *(patterns[0].shape[1] + units[:-2])]
    owned = np.outer(layers, np.arange(chain.members + 1)) // chain.members
    rectified = np.array([link.is_rectified for link in chain.links])
    read = compiled.Side(
        _counted([p.starts for p in patterns]),
        _numbers([p.columns for p in patterns], sources),
        np.arange(entries[-1], dtype=np.uint32),
    )
    readers = compiled.Side(
        _counted([p.starts_turned for p in later]),
        _numbers([p.rows for p in later], units[1:-1]),
        _numbers([p.turn for p in later], entries[1:-1]),
    )
    return compiled.Layers(units[:-1, None] + owned, rectified), read, readers


def _numbers(numbers: Sequence[Tensor], first: Sequence[int] | np.ndarray) -> np.ndarray:
    """What each layer numbers from 0, counted through, (n,) uint32."""
    moved = [n.numpy() + begin for n, begin in zip(numbers, first, strict=True)]
    return np.concatenate([np.zeros(0, np.int64), *moved]).astype(np.uint32)


def _counted(starts: Sequence[Tensor]) -> np.ndarray:
    """Where the entries of each unit of each layer begin, and the end, (units + 1,) int64."""
    counts = [np.diff(each.numpy()) for each in starts]
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))
