"""Sparse or dense, by the BLAS or by oneDNN? Measured here and now, and remembered with the run.

A layer's whole part in a training step is timed both ways, in turns: forward, gradients, masks and
optimizer; in the recipe's precision, which sparse products do not know. What was chosen is a matter
of the machine's speed and decides last bits; a run that goes on reads what it had chosen before.
Small layers and dense ones are computed dense unmeasured. Who does large dense products is measured
once, by one of common size.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recursive_lth.architecture.cost import places
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import Run, Weights, operation, reads_input
from recursive_lth.architecture.sparse import Pattern
from recursive_lth.config import Training
from recursive_lth.errors import InputError
from recursive_lth.files import read_json, write_json
from recursive_lth.training import onednn
from recursive_lth.training.device import computing
from recursive_lth.training.engine import can_be_sparse, kernel
from recursive_lth.training.optimizer import make_optimizer
from recursive_lth.training.timing import in_turns

MOST_DENSITY = 0.45  # above which no layer has ever been faster sparse
LEAST_WORK = 1_000_000  # multiply-adds of a batch below which overheads decide, and bits stay
CLEAR = 2.0  # times as fast: told by two turns
MARGIN = {"linear": 0.95, "conv": 0.6}  # of the dense time that a sparse layer must stay below
ONEDNN_MARGIN = 0.8  # of the BLAS's time: where both are well made they are about as fast
PRODUCT = (60, 784, 300)  # samples, width, out: of LeNet-300-100's first layer
PRODUCTS = 5  # a turn

Measure = Callable[[], tuple[float, float | None]]


class Choices:
    """What was measured, by what a layer or product is like; in a file where one is named."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.measured: dict[str, Any] = {}
        if path is not None and path.exists():
            self.measured = dict(read_json(path))

    def is_faster(self, key: str, way: str, usual: str, margin: float, measure: Measure) -> bool:
        """True iff a way was, or is now found, to take less than such a part of the usual time.

        `measure` gives the seconds of the usual way and of the other, None where there is none.
        """

        def both() -> dict[str, float | None]:
            return dict(zip((usual, way), measure(), strict=True))

        found = self.times(key, both)
        slow, fast = found[f"{usual}_us"], found[f"{way}_us"]
        return fast is not None and bool(fast < margin * slow)

    def times(self, key: str, measure: Callable[[], Mapping[str, float | None]]) -> dict[str, Any]:
        """Microseconds of several ways, by `NAME_us`, as they were or are now found.

        `measure` gives the seconds of each, None for what there is not.
        """
        if key not in self.measured:
            self.measured[key] = {f"{way}_us": _us(took) for way, took in measure().items()}
            if self.path is not None:
                write_json(self.path, self.measured)
        found: dict[str, Any] = self.measured[key]
        return found


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else round(1e6 * seconds, 1)


def sparse_layers(
    architecture: Architecture,
    masks: Mapping[str, Tensor],
    recipe: Training,
    device: torch.device,
    choices: Choices,
    by_onednn: Collection[str] = (),
) -> tuple[str, ...]:
    """The layers that train faster sparse, by `choices`, which measures what it does not know.

    Where they are dense oneDNN computes those named.
    """
    found = []
    for name in large_and_thin(architecture, masks, recipe, MOST_DENSITY):
        mask, layer = masks[f"{name}.weight"], architecture.layers[name]
        remaining = int(mask.count_nonzero())
        shape = (recipe.batch_size, *architecture.shapes[layer.inputs[0]])
        is_first = reads_input(architecture, name)
        key = (
            f"{layer.operation} {tuple(mask.shape)} of which {remaining} remain, reads {shape}"
            f"{' of the input' * is_first}, {recipe.optimizer}, {torch.get_num_threads()} threads"
            f"{', dense by oneDNN' * (name in by_onednn)}"
            f"{f', {recipe.precision}' * (recipe.precision != 'float32')}"
        )
        here, by = mask.to(device), name in by_onednn
        sides = Sides(name, layer, here, shape, is_first, recipe, by)
        margin = MARGIN[layer.operation]
        if choices.is_faster(key, "sparse", "dense", margin, sides.measure):
            found.append(name)
    return tuple(found)


def onednn_layers(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    recipe: Training,
    device: torch.device,
    choices: Choices,
) -> tuple[str, ...]:
    """The layers whose dense products oneDNN does faster, by `choices`.

    Raises `InputError` where the run has begun so and this PyTorch has no oneDNN.
    """
    found = onednn.able(architecture, recipe.batch_size)
    is_whole = recipe.precision == "float32" and device.type == "cpu"
    if not is_whole or any(weights[f"{n}.weight"].dtype != torch.float32 for n in found):
        return ()
    key = f"product {PRODUCT}, {torch.get_num_threads()} threads"
    if not found or not choices.is_faster(key, "onednn", "blas", ONEDNN_MARGIN, _measure_products):
        return ()
    if not onednn.is_there():
        raise InputError(
            "this run has its products done by oneDNN, which this PyTorch lacks: go on with the "
            "PyTorch that began it, or begin anew in another folder"
        )
    return found


def _measure_products() -> tuple[float, float | None]:
    """Seconds of some products by the BLAS and by oneDNN, medians of turns."""
    samples, width, out = PRODUCT
    draw = torch.Generator().manual_seed(0)
    x, weight = torch.rand(samples, width, generator=draw), torch.rand(out, width, generator=draw)

    def by_blas() -> None:
        for _ in range(PRODUCTS):
            torch.mm(x, weight.t())

    def by_onednn() -> None:
        for _ in range(PRODUCTS):
            onednn.product(x, weight)

    if not onednn.is_there():
        return in_turns(by_blas, by_blas, x.device)[0], None
    return in_turns(by_blas, by_onednn, x.device)


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
    is_by_onednn: bool = False  # where it is dense

    def measure(self) -> tuple[float, float]:
        """Seconds of the dense and of the sparse form, medians of turns."""
        dense, sparse = self._step(is_sparse=False), self._step(is_sparse=True)
        return in_turns(dense, sparse, self.mask.device, clear=CLEAR)

    def _step(self, *, is_sparse: bool) -> Callable[[], None]:
        device, weight = self.mask.device, f"{self.name}.weight"
        draw = torch.Generator(device).manual_seed(0)
        full = torch.randn(self.mask.shape, device=device, generator=draw) * self.mask
        pattern = Pattern.of(self.mask.flatten(1)) if is_sparse else None
        live = {weight: (pattern.pack(full) if pattern else full).requires_grad_()}
        if self.layer.bias:
            live[f"{self.name}.bias"] = torch.zeros(len(full), device=device).requires_grad_()
        precision = getattr(torch, self.recipe.precision)
        passed_on = torch.float32 if self.is_first else precision  # by dense layers before
        x = torch.randn(self.shape, device=device, dtype=passed_on, generator=draw)
        if x.dim() == 4:  # as convolutions read and pass it on in a network
            x = x.contiguous(memory_format=torch.channels_last)
        x.requires_grad_(not self.is_first)
        computed = kernel(self.name, self.layer, pattern) if pattern else self._dense()
        run = computed if precision == torch.float32 else _cast(computed, device, self.recipe)
        above = torch.empty_like(run(live, [x], None)).normal_(generator=draw)
        optimizer, cover = make_optimizer(list(live.values()), self.recipe), self.mask.to(full)

        def step() -> None:
            run(live, [x], None).backward(above)
            grad = live[weight].grad
            with torch.no_grad():
                if not is_sparse and grad is not None:
                    grad *= cover
                optimizer.step()
            optimizer.zero_grad()

        return step

    def _dense(self) -> Run:
        if self.is_by_onednn:
            return onednn.linear(self.name, is_turned=False)
        return operation(self.name, self.layer)


def _cast(run: Run, device: torch.device, recipe: Training) -> Run:
    """A layer in a recipe's precision."""

    def cast(w: Mapping[str, Tensor], x: list[Tensor], statistics: Weights | None) -> Tensor:
        with computing(recipe.precision, device):
            return run(w, x, statistics)

    return cast
