"""The training loop, a generator of steps: progress, checkpoints and stopping are the caller's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Drop, memory_format
from recursive_lth.config import Training
from recursive_lth.ticket.moments import PER_ENTRY, POWERS, State
from recursive_lth.training.batches import Batches
from recursive_lth.training.engine import Engine, dense_engine
from recursive_lth.training.lens import Lens
from recursive_lth.training.optimizer import make_optimizer, moments, rate_factor, set_moments
from recursive_lth.training.per_entry import PerEntry


@dataclass
class Step:
    """What the loop has just done. The only mutable thing: it lives no longer than the loop.

    `number` counts finished steps; `loss` is the batch's, on the device; `live` are the tensors
    that the engine moves, so copy what you keep (`snapshot`).
    """

    number: int
    steps: int
    loss: Tensor
    live: dict[str, Tensor]
    state: Callable[[], State]
    engine: Engine

    @property
    def weights(self) -> dict[str, Tensor]:
        """All tensors in their own shapes, on the device: live ones, or of what they hold."""
        return self.engine.unpack(self.live)

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of every weight and statistic, on the CPU."""
        return {name: t.detach().to("cpu", copy=True) for name, t in self.weights.items()}


def steps_in(epochs: float, samples: int, batch_size: int) -> int:
    """The steps of so many epochs; an epoch drops its last, incomplete batch."""
    return max(1, round(epochs * max(1, samples // batch_size)))


def training(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    data: Batches,
    recipe: Training,
    *,
    steps: int,
    seed: int,
    start: int = 0,
    state: State | None = None,
    lens: Lens | None = None,
    tally: dict[str, Tensor] | None = None,
    engine: Engine | None = None,
) -> Iterator[Step]:
    """Train in place of the caller, one `Step` after each update, from step `start` to `steps`.

    Gradients are masked before clipping and weights after the step, so a pruned weight and its
    moments stay 0. Order, augmentation and dropout of an epoch depend on `seed` and its number
    alone: a loop begun at an epoch's first step with the `state` saved there gives the same bits.
    Where growth has given the state kinds that tell entries apart, `PerEntry` moves the weights.
    The tensors of `weights` are copied to the device of `data`, never changed. A `lens` says what
    is trained and what the forward sees of it. Each step adds -w * g, of the masked gradient before
    clipping, to the tensors of `tally`, which must lie on the device (Sanh et al. 2020). The
    `engine` is the dense one unless another is given, which knows neither lens nor tally.
    """
    device = data.images.device
    engine, layout = engine or dense_engine(architecture), memory_format(architecture)
    here = {name: t.detach().to(device) for name, t in weights.items()}
    live = {name: t.clone() for name, t in engine.pack(here).items()}
    lens = lens or Lens(architecture.trainable, lambda live, step: live)
    covered = {name: mask for name, mask in masks.items() if name not in engine.patterns}
    begun = engine.pack_state(
        {k: {n: t.to(device) for n, t in v.items()} for k, v in (state or {}).items()}
    )
    descent = _Descent(live, list(lens.trainable), covered, recipe, begun, tally or {})
    batch_size = min(recipe.batch_size, len(data))
    per_epoch = len(data) // batch_size
    number = start
    precision = _precision(recipe, device)
    loss_type = next(iter(live.values())).dtype

    def state_now() -> State:
        return engine.unpack_state(descent.state())

    while number < steps:
        epoch, first = divmod(number, per_epoch)
        order = torch.randperm(len(data), generator=seeds.generator(seed, "order", epoch))
        order = order.to(device)
        batches = data.epoch(seeds.generator(seed, "augmentation", epoch))
        drop = _dropout(recipe.dropout, seeds.derive(seed, "dropout", epoch), device)
        for i in range(first, min(per_epoch, first + steps - number)):
            window = slice(i * batch_size, (i + 1) * batch_size)
            indices = order[window]
            images = batches(indices, window).contiguous(memory_format=layout)
            read = lens.read(live, number)
            with precision():
                logits, statistics = engine.forward(read, images, training=True, drop=drop)
            logits = logits.to(loss_type)
            labels = data.labels.index_select(0, indices)
            loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
            descent.step(lens.price(loss, live, number), rate_factor(recipe, number, steps))
            live |= statistics
            number += 1
            yield Step(number, steps, loss.detach(), live, state_now, engine)


def _precision(recipe: Training, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """What layers compute in: PyTorch's autocast to bfloat16, or nothing."""
    if recipe.precision == "float32":
        return nullcontext
    return lambda: torch.autocast(device.type, torch.bfloat16)


class _Descent:
    """An optimizer over live tensors that never moves what is masked, nor its moments."""

    def __init__(
        self,
        live: Mapping[str, Tensor],
        names: list[str],
        masks: Mapping[str, Tensor],
        recipe: Training,
        state: State,
        tally: Mapping[str, Tensor],
    ) -> None:
        self.recipe, self.names = recipe, names
        self.parameters = [live[name].requires_grad_() for name in names]
        has_unlike = bool(state.keys() & PER_ENTRY)
        self.optimizer = (PerEntry if has_unlike else make_optimizer)(self.parameters, recipe)
        set_moments(self.optimizer, names, state)
        sparse = [name for name in masks if name in names and not bool(masks[name].all())]
        self.covered = [live[name] for name in sparse]
        self.cover = [masks[name].to(live[name]) for name in sparse]
        self.tallied = [(live[name], total) for name, total in tally.items()]
        self._mask(self.covered)
        for kind in state.keys() & POWERS.keys():
            self._mask([self.optimizer.state[tensor][kind] for tensor in self.covered])

    def step(self, loss: Tensor, rate: float) -> None:
        """One update at `rate` times the learning rate: mask, clip, move, mask."""
        self.optimizer.zero_grad()
        loss.backward()  # into .grad, which lies in memory as its parameter does
        self._mask([tensor.grad for tensor in self.covered if tensor.grad is not None])
        for tensor, total in self.tallied:
            if tensor.grad is not None:
                total.addcmul_(tensor.detach(), tensor.grad, value=-1)
        if self.recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        self.optimizer.param_groups[0]["lr"] = self.recipe.learning_rate * rate
        self.optimizer.step()
        self._mask(self.covered)

    def state(self) -> State:
        """A copy of the optimizer's state."""
        live = moments(self.optimizer, self.names)
        return {kind: {n: t.clone() for n, t in values.items()} for kind, values in live.items()}

    def _mask(self, tensors: list[Tensor]) -> None:
        """Multiply by the masks, in place, in one call."""
        if tensors:
            with torch.no_grad():
                torch._foreach_mul_(tensors, self.cover)


def _dropout(rate: float, seed: int, device: torch.device) -> Drop | None:
    """Inverted dropout from a generator of its own; None for rate 0."""
    if not rate:
        return None
    generator = torch.Generator(device).manual_seed(seed)

    def drop(x: Tensor) -> Tensor:
        kept = torch.rand(x.shape, generator=generator, device=x.device) >= rate
        return x * kept / (1 - rate)

    return drop
