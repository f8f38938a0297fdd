"""The training loop, a generator of steps: progress, checkpoints and stopping are the caller's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Drop, memory_format
from recursive_lth.config import Training
from recursive_lth.ticket.moments import PER_ENTRY, State
from recursive_lth.training.batches import Batches
from recursive_lth.training.descent import Descent
from recursive_lth.training.device import computing
from recursive_lth.training.engine import Engine, dense_engine
from recursive_lth.training.lens import Lens, whole
from recursive_lth.training.lesson import Lesson, can_be_taught
from recursive_lth.training.optimizer import rate_factor
from recursive_lth.training.recorded import Learn, Recorded, tape_for


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

    Weights are masked at the start and gradients before clipping, so a pruned weight and its
    moments stay 0. Order, augmentation and dropout of an epoch depend on `seed` and its number
    alone: a loop begun at an epoch's first step with the `state` saved there gives the same bits.
    Where growth has given the state kinds that tell entries apart, `PerEntry` moves the weights.
    The tensors of `weights` are copied to the device of `data`, never changed. A `lens` says what
    is trained and what the forward sees of it. Each step adds -w * g, of the masked gradient before
    clipping, to the tensors of `tally`, which must lie on the device (Sanh et al. 2020). The
    `engine` is the dense one unless another is given; sparse layers know neither lens nor tally.
    """
    device, recipe = data.images.device, data.fitting(recipe)
    engine, layout = engine or dense_engine(architecture), memory_format(architecture)
    here = {name: t.detach().to(device) for name, t in weights.items()}
    live = {name: t.clone() for name, t in engine.pack(here).items()}
    lens = lens or Lens(architecture.trainable, whole)
    lesson = None
    if engine.chain and lens.is_plain and can_be_taught(recipe):
        lesson = Lesson(engine.chain, live, [data], recipe.batch_size)
        live = lesson.live
    covered = {name: mask for name, mask in masks.items() if name not in engine.patterns}
    begun = engine.pack_state(
        {k: {n: t.to(device) for n, t in v.items()} for k, v in (state or {}).items()}
    )
    can_record = (
        lens.is_plain and not tally and not engine.patterns and not begun.keys() & PER_ENTRY
    )
    tape = tape_for([architecture], recipe, steps, device) if can_record else None
    descent = Descent(
        live, list(lens.trainable), covered, recipe, begun, tally or {}, is_recorded=bool(tape)
    )
    number, epoch, drop = start, -1, None
    loss_type = next(iter(live.values())).dtype

    def learn(images: Tensor, labels: Tensor) -> Tensor:
        read = lens.read(live, number)
        with computing(recipe.precision, device):
            logits, statistics = engine.forward(read, images, training=True, drop=drop)
        logits = logits.to(loss_type)
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        descent.follow(lens.price(loss, live, number))
        live.update(statistics)
        return loss.detach()

    def state_now() -> State:
        return engine.unpack_state(descent.state())

    learned: Learn = Recorded(learn, descent, tape) if tape else learn
    batches: Any = data.picked if lesson else data.stream
    for given, labels, now in batches(recipe.batch_size, seed, start, steps):
        if now != epoch:
            epoch = now
            drop = _dropout(recipe.dropout, seeds.derive(seed, "dropout", epoch), device)
        descent.at(rate_factor(recipe, number, steps))
        if lesson:
            loss = lesson.learn(given, labels[None], recipe.label_smoothing)[0]
            descent.move()
        else:
            loss = learned(given.contiguous(memory_format=layout), labels)
        number += 1
        yield Step(number, steps, loss, live, state_now, engine)


def _dropout(rate: float, seed: int, device: torch.device) -> Drop | None:
    """Inverted dropout from a generator of its own; None for rate 0."""
    if not rate:
        return None
    generator = torch.Generator(device).manual_seed(seed)

    def drop(x: Tensor) -> Tensor:
        kept = torch.rand(x.shape, generator=generator, device=x.device) >= rate
        return x * kept / (1 - rate)

    return drop
