"""Sparse or dense? Measured for each layer as it is, and remembered with the run.

A layer's whole part in a training step is timed both ways, in turns: forward, gradients, masks and
optimizer. What was chosen is a matter of the machine's speed and decides last bits; a run that goes
on reads what it had chosen before. Small layers and dense ones are computed dense unmeasured.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from recursive_lth.architecture.cost import places
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import operation, reads_input
from recursive_lth.architecture.sparse import Pattern
from recursive_lth.config import Training
from recursive_lth.files import read_json, write_json
from recursive_lth.training.device import wait
from recursive_lth.training.engine import can_be_sparse, kernel
from recursive_lth.training.optimizer import make_optimizer

MOST_DENSITY = 0.35  # above which no layer has ever been faster sparse
LEAST_WORK = 1_000_000  # multiply-adds of a batch below which overheads decide, and bits stay
TURNS = 7
CLEAR = 2.0  # times as fast: told by two turns
MARGIN = {"linear": 0.95, "conv": 0.6}  # of the dense time that a sparse layer must stay below


class Choices:
    """What was measured, by what a layer is like; in a file where one is named."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.measured: dict[str, Any] = {}
        if path is not None and path.exists():
            self.measured = dict(read_json(path))

    def is_sparse(self, key: str, measure: Callable[[], tuple[float, float]]) -> bool:
        """True iff such a layer was, or is now found, faster sparse than dense."""
        if key not in self.measured:
            dense, sparse = measure()
            seconds = {"dense_us": dense, "sparse_us": sparse}
            self.measured[key] = {side: round(1e6 * time, 1) for side, time in seconds.items()}
            if self.path is not None:
                write_json(self.path, self.measured)
        found = self.measured[key]
        return bool(found["sparse_us"] < MARGIN[key.split()[0]] * found["dense_us"])


def sparse_layers(
    architecture: Architecture,
    masks: Mapping[str, Tensor],
    recipe: Training,
    device: torch.device,
    choices: Choices,
) -> tuple[str, ...]:
    """The layers that train faster sparse, by `choices`, which measures what it does not know."""
    found = []
    for name in large_and_thin(architecture, masks, recipe, MOST_DENSITY):
        mask, layer = masks[f"{name}.weight"], architecture.layers[name]
        remaining = int(mask.count_nonzero())
        shape = (recipe.batch_size, *architecture.shapes[layer.inputs[0]])
        is_first = reads_input(architecture, name)
        key = (
            f"{layer.operation} {tuple(mask.shape)} of which {remaining} remain, reads {shape}"
            f"{' of the input' * is_first}, {recipe.optimizer}, {torch.get_num_threads()} threads"
        )
        sides = Sides(name, layer, mask.to(device), shape, is_first, recipe)
        if choices.is_sparse(key, sides.measure):
            found.append(name)
    return tuple(found)


def large_and_thin(
    architecture: Architecture, masks: Mapping[str, Tensor], recipe: Training, density: float
) -> tuple[str, ...]:
    """The layers whose batch is work enough and of whose weights at most such a share remains."""
    found = []
    for name in can_be_sparse(architecture):
        mask = masks[f"{name}.weight"]
        work = mask.numel() * places(architecture, f"{name}.weight") * recipe.batch_size
        if work >= LEAST_WORK and int(mask.count_nonzero()) <= density * mask.numel():
            found.append(name)
    return tuple(found)


@dataclass(frozen=True)
class Sides:
    """One layer's part in a training step, to be timed dense and sparse."""

    name: str
    layer: Layer
    mask: Tensor
    shape: tuple[int, ...]  # of what it reads
    is_first: bool  # then nothing before it wants a gradient
    recipe: Training

    def measure(self) -> tuple[float, float]:
        """Seconds of the dense and of the sparse form, medians of turns."""
        dense, sparse = self._step(is_sparse=False), self._step(is_sparse=True)
        return in_turns(dense, sparse, self.mask.device, clear=CLEAR)

    def _step(self, *, is_sparse: bool) -> Callable[[], None]:
        weight, bias = f"{self.name}.weight", f"{self.name}.bias"
        x = torch.randn(self.shape, device=self.mask.device)
        if x.dim() == 4:  # as convolutions read and pass it on in a network
            x = x.contiguous(memory_format=torch.channels_last)
        x.requires_grad_(not self.is_first)
        full = torch.randn(self.mask.shape, device=self.mask.device) * self.mask
        pattern = Pattern.of(self.mask.flatten(1))
        live = (pattern.pack(full) if is_sparse else full).requires_grad_()
        weights = {weight: live}
        if self.layer.bias:
            weights[bias] = torch.zeros(len(self.mask), device=self.mask.device).requires_grad_()
        run = (kernel(self.name, self.layer, pattern) if is_sparse
               else operation(self.name, self.layer))  # fmt: skip
        optimizer = make_optimizer([live], self.recipe)
        above = torch.randn_like(run(weights, [x], None))
        cover = self.mask.to(live)

        def step() -> None:
            run(weights, [x], None).backward(above)
            with torch.no_grad():
                if not is_sparse and live.grad is not None:
                    live.grad *= cover
                optimizer.step()
                if not is_sparse:
                    live.mul_(cover)
            optimizer.zero_grad()

        return step


def in_turns(
    dense: Callable[[], object],
    sparse: Callable[[], object],
    device: torch.device,
    *,
    clear: float = math.inf,
) -> tuple[float, float]:
    """Median seconds of two calls that take turns, or of two turns where one is `clear` as fast."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS + 1):
        for run, seconds in zip((dense, sparse), times, strict=True):
            began = perf_counter()
            run()
            wait(device)
            if turn:  # the first warms up
                seconds.append(perf_counter() - began)
        if turn == 2 and not 1 / clear < median(times[0]) / median(times[1]) < clear:
            break
    return median(times[0]), median(times[1])
