"""Training a population: each member on its own batches, as if it were alone.

The losses add up, so that no member's gradient knows of another's, and one optimizer moves all.
What a member becomes equals what `loop.training` would make of it, to rounding.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.turning import turned
from recursive_lth.config import Training
from recursive_lth.ticket.moments import PER_ENTRY, State
from recursive_lth.training.batches import Batches, Picked
from recursive_lth.training.descent import Clip, Descent
from recursive_lth.training.engine import DENSE, Plan, planned_engine
from recursive_lth.training.lesson import Lesson, can_be_taught
from recursive_lth.training.loop import Step, training
from recursive_lth.training.optimizer import rate_factor
from recursive_lth.training.population import Population, graph_of, join
from recursive_lth.training.recorded import Learn, Recorded, tape_for


def can_join(architecture: Architecture, recipe: Training) -> bool:
    """True iff such a network, trained so, could be one of a population."""
    return recipe.is_plain and graph_of(architecture) is not None


@dataclass(frozen=True)
class Member:
    """One network to be trained with others, as `loop.training` would alone."""

    architecture: Architecture
    weights: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    data: Batches
    recipe: Training
    steps: int
    seed: int
    start: int = 0
    state: State = field(default_factory=dict)

    @property
    def company(self) -> tuple[object, ...] | None:
        """What members that train together have in common; None where one stays alone.

        Graph, images' shape, classes, recipe, steps and device: not widths, masks, seeds or data.
        """
        graph, recipe = graph_of(self.architecture), self.recipe
        if not can_join(self.architecture, recipe) or self.state.keys() & PER_ENTRY:
            return None
        counts = tuple(sorted((n, float(count)) for n, count in self.state.get("step", {}).items()))
        batch_size = min(recipe.batch_size, len(self.data))
        dtype = next(iter(self.weights.values())).dtype
        place = (self.data.images.device, dtype, batch_size)
        span = (self.start, self.steps, tuple(self.state), counts)
        reads = self.architecture.shapes[self.architecture.input]
        return graph, reads, self.architecture.classes, recipe, span, place


def alone(one: Member, plan: Plan = DENSE) -> Iterator[Step]:
    """The ordinary loop of a member that has no company, its layers computed as the plan says."""
    engine = planned_engine(one.architecture, one.masks, plan, one.data.images.device)
    return training(
        one.architecture,
        one.weights,
        one.masks,
        one.data,
        one.recipe,
        steps=one.steps,
        seed=one.seed,
        start=one.start,
        state=one.state,
        engine=engine,
    )


@dataclass(frozen=True)
class Round:
    """What a population has just done: `number` steps are finished, `losses` (members,) are theirs.

    It lives no longer than the loop, and `of` is the state of things when it is called.
    """

    number: int
    steps: int
    losses: Tensor
    population: Population
    joined: Mapping[str, Tensor]
    descent: Descent

    def of(self, member: int) -> Step:
        """One member's step, as its lone training would have made it."""
        engine = self.population.engines[member]
        joined = {name: tensor.detach() for name, tensor in self.joined.items()}
        live = self.population.take(joined, member)

        def state() -> State:
            joined = self.descent.state()
            own = {k: self.population.take(tensors, member) for k, tensors in joined.items()}
            return engine.unpack_state(own)

        return Step(self.number, self.steps, self.losses[member], live, state, engine)


def training_together(members: Sequence[Member], plan: Plan = DENSE) -> Iterator[Round]:
    """Train members of one company in place of the caller, one `Round` after each update.

    The layers are computed as the plan says. A member whose training ends early is the caller's to
    look away from: it does not touch the others.
    """
    lead = members[0]
    recipe, device = lead.data.fitting(lead.recipe), lead.data.images.device
    drawn, streams = _streams(members)
    masks = [m.masks for m in members]
    population = join([m.architecture for m in members], masks, plan, streams)
    joined = population.pack([_on(m.weights, device) for m in members])
    begun = population.pack_state(
        [{kind: _on(tensors, device) for kind, tensors in m.state.items()} for m in members]
    )
    chain, size = population.chain, recipe.batch_size
    parts = [one.data for one in drawn]
    lesson = Lesson(chain, joined, parts, size) if chain and can_be_taught(recipe) else None
    joined = lesson.live if lesson else joined
    names = population.keys(lead.architecture.trainable)
    clip = _clip_by_member(population, names)
    is_planned = population.patterns or population.apart
    tape = None if is_planned else tape_for(population.architectures, recipe, lead.steps, device)
    descent = Descent(
        joined, names, population.cover, recipe, begun, {}, clip, is_recorded=bool(tape)
    )

    def learn(images: Tensor, labels: Tensor) -> Tensor:
        logits = population.forward(joined, images)
        losses = F.cross_entropy(
            logits, labels, reduction="none", label_smoothing=recipe.label_smoothing
        ).mean(1)
        descent.follow(losses.sum())
        return losses.detach()

    learned: Learn = Recorded(learn, descent, tape) if tape else learn
    if lesson:
        batches: Iterator[tuple[Any, Tensor]] = _picked(drawn, streams)
    else:
        batches = ((turned(laid), labels) for laid, labels in _laid(drawn, streams))
    for number, (given, labels) in enumerate(batches, start=lead.start):
        descent.at(rate_factor(recipe, number, lead.steps))
        if lesson:
            losses = lesson.learn(given, labels, recipe.label_smoothing)
            descent.move()
        else:
            losses = learned(given, labels)
        yield Round(number + 1, lead.steps, losses, population, joined, descent)


def _streams(members: Sequence[Member]) -> tuple[list[Member], Tensor]:
    """One member for each stream of batches, and which stream each reads, (members,).

    Members of one seed on the same data see the same batches.
    """
    drawn = {(id(m.data), m.seed): m for m in members}
    rows = list(drawn)
    streams = torch.tensor([rows.index((id(m.data), m.seed)) for m in members])
    return list(drawn.values()), streams.to(members[0].data.images.device)


def _laid(drawn: Sequence[Member], streams: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (streams, samples, features) and labels (members, samples) of each step.

    Images are laid over those of the step before.
    """
    lead = drawn[0]
    size = min(lead.recipe.batch_size, len(lead.data))
    flat = lead.data.images.flatten(1)
    laid = flat.new_empty(len(drawn), size, flat.shape[1])
    running = [
        m.data.stream(size, m.seed, m.start, m.steps, into=laid[row]) for row, m in enumerate(drawn)
    ]
    for batches in zip(*running, strict=True):
        labels = torch.stack([labels for _, labels, _ in batches])
        yield laid, labels.index_select(0, streams)


def _picked(drawn: Sequence[Member], streams: Tensor) -> Iterator[tuple[Picked, Tensor]]:
    """The same as rows of images, which stay where they are if all are plain and of one pool."""
    pool = drawn[0].data.images
    if any(m.data.images is not pool or m.data.is_augmented for m in drawn):
        size = min(drawn[0].recipe.batch_size, len(drawn[0].data))
        rows = torch.arange(len(drawn) * size)
        for laid, labels in _laid(drawn, streams):
            yield Picked(laid.flatten(0, 1), rows), labels
        return
    flat = pool.flatten(1)
    running = [m.data.picked(m.recipe.batch_size, m.seed, m.start, m.steps) for m in drawn]
    for batches in zip(*running, strict=True):
        rows = torch.stack([given.rows for given, _, _ in batches])
        labels = torch.stack([labels for _, labels, _ in batches])
        yield Picked(flat, rows), labels.index_select(0, streams)


def _clip_by_member(population: Population, names: Sequence[str]) -> Clip:
    """Scales each member's gradients to a norm of its own, as `clip_grad_norm_` does one's."""
    owners = {name: population.owners(name) for name in names}
    count = len(population.architectures)

    def clip(parameters: list[Tensor], most: float) -> None:
        grads = {n: p.grad for n, p in zip(names, parameters, strict=True) if p.grad is not None}
        squares = parameters[0].new_zeros(count)
        for name, grad in grads.items():
            own = owners[name]
            if own is None:
                squares += grad.flatten(1).square().sum(1)
            elif isinstance(own, int):
                squares[own] += grad.square().sum()
            else:
                squares.index_add_(0, own, grad.square())
        factors = (most / (squares.sqrt() + 1e-6)).clamp(max=1)
        for name, grad in grads.items():
            own = owners[name]
            grad *= factors.view(-1, *[1] * (grad.dim() - 1)) if own is None else factors[own]

    return clip


def _on(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.detach().to(device) for name, tensor in tensors.items()}
