"""An arm played out for one seed: move after move, and the trainings that it comes to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from recursive_lth import seeds
from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Data, StudyExperiment, Training
from recursive_lth.errors import InputError
from recursive_lth.growth.compound import grow_any
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.optimizer import INHERIT
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.rewind import rewind
from recursive_lth.pruning.scores import scoring_cost
from recursive_lth.running.evidence import few, gather
from recursive_lth.running.job import Bench, Kept
from recursive_lth.running.start import brings_weights, first_ticket
from recursive_lth.study.arms import Arm
from recursive_lth.study.moves import (
    Begin,
    Grow,
    Move,
    Prune,
    Remake,
    Remember,
    Rewind,
    ShrinkPerturb,
    Train,
)
from recursive_lth.study.remakes import remake
from recursive_lth.ticket.masks import remaining
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket, load_ticket
from recursive_lth.training.loop import steps_in
from recursive_lth.training.shrink import shrink_perturb

Row = dict[str, Any]
BenchOf = Callable[[Data, Training], Bench[Any]]


@dataclass(frozen=True)
class Ground:
    """What the arms of one seed share: the experiment with that seed, and benches for its data.

    `epoch_cost` is that of one epoch of the dense start network: the unit of `train`.
    """

    experiment: StudyExperiment
    bench_of: BenchOf
    epoch_cost: int

    @property
    def bench(self) -> Bench[Any]:
        """The bench of the study's own data and recipe."""
        return self.bench_of(self.experiment.data, self.experiment.training)

    def task(self, name: str) -> Data:
        """The data of a task, or the study's own."""
        own = self.experiment.data
        return next((task.of(own) for task in self.experiment.tasks if task.name == name), own)


@dataclass(frozen=True)
class Trained:
    """One training of an arm: the ticket before and after, its curve, and what was spent on it.

    `kept` holds weights in the middle, by step. The curve begins at step 0. `grown` is there where
    the network had just grown.
    """

    number: int
    move: Train
    recipe: Training
    data: Data
    before: Ticket
    after: Ticket
    curve: tuple[Row, ...]
    steps: int
    kept: Mapping[int, Kept]
    tested: float | None
    spent_before: int
    spent: int
    is_diverged: bool = False
    grown: "Grown | None" = None


@dataclass(frozen=True)
class Stand:
    """Where an arm stands between two moves."""

    ticket: Ticket
    state: State = field(default_factory=dict)  # of the optimizer, as the last training left it
    spent: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)  # of moves so far, by verb
    generation: int = 0
    trainings: tuple[Trained, ...] = ()
    grown: "Grown | None" = None  # where all that was done since the last training is to grow

    def number(self, verb: str) -> int:
        """How many moves of a verb there were before."""
        return self.counts.get(verb, 0)


@dataclass(frozen=True)
class Grown:
    """What a network has just grown from: the arm as it stood before, and each growth since."""

    parent: Stand
    sprouts: tuple[Sprout, ...]


Learn = Callable[[Ground, Stand, Train], Stand]  # one training, real or pretended


def play(ground: Ground, arm: Arm, learn: Learn, like: Mapping[str, Ticket]) -> Stand:
    """Where an arm of one seed ends; `like` has the final tickets of arms that others begin like.

    What a move draws depends on the seed and on how many of its verb came before in the arm, so
    that arms share their draws as far as they do the same. An arm that ends in a training before
    which alone something is read ends there, with a training of no steps.
    """
    first = _first(ground, arm, like)
    eldest = max((int(born.max()) for born in first.births.values()), default=0)
    stand = Stand(first, generation=eldest)
    reads_before_alone = not any(ground.experiment.study.moments)
    for place, (move, text) in enumerate(zip(arm.moves, arm.texts, strict=True), 1):
        try:
            if isinstance(move, Train):
                is_idle = reads_before_alone and place == len(arm.moves)
                stand = (forgo if is_idle else learn)(ground, stand, move)
            elif not isinstance(move, Begin):
                stand = _moved(ground, stand, move)
        except InputError as error:
            raise InputError(f"move {text!r}: {error}") from None
        verb = type(move).__name__
        grown = stand.grown if isinstance(move, Grow | Remember) else None
        stand = replace(stand, counts={**stand.counts, verb: stand.number(verb) + 1}, grown=grown)
    return stand


def steps_of(ground: Ground, ticket: Ticket, move: Train) -> int:
    """How many steps a training takes, at least one."""
    bench = ground.bench_of(ground.task(move.on), move.recipe(ground.experiment.training))
    batch_size = bench.experiment.training.batch_size
    if move.by == "epochs":
        return steps_in(move.length, len(bench.batches), batch_size)
    return max(1, round(move.length * ground.epoch_cost / cost_of_step(bench, ticket)))


def cost_of_step(bench: Bench[Any], ticket: Ticket) -> int:
    """The multiply-adds of one step."""
    batch_size = min(bench.experiment.training.batch_size, len(bench.batches))
    return max(1, training_cost(ticket.cost.remaining_multiply_adds, batch_size))


def _first(ground: Ground, arm: Arm, like: Mapping[str, Ticket]) -> Ticket:
    """The ticket that an arm begins with."""
    experiment, parts = ground.experiment, ground.bench.split
    begin, generator = arm.begin, seeds.generator(ground.experiment.seed, "initialise")
    start = begin.start(experiment.start) if begin else experiment.start
    if begin is None or not begin.like:
        first = first_ticket(start, parts.sample_shape, parts.classes, generator)
        return _as_saved(start.architecture, first) if brings_weights(start) else first
    shape = like[begin.like]
    # not the draws of "initialise": where no layer was grown, those are the other's rewind values
    generator = seeds.generator(ground.experiment.seed, "initialise", "like")
    values = fresh(shape.architecture, generator, start.initialisation)
    births = {name: torch.zeros_like(born) for name, born in shape.births.items()}
    masked = {n: t * shape.masks[n] if n in shape.masks else t for n, t in values.items()}
    return Ticket(shape.architecture, masked, values, shape.masks, births)


def _as_saved(path: str, first: Ticket) -> Ticket:
    """A saved ticket with the births that it has, which a start sets back."""
    return replace(first, births=load_ticket(Path(path)).births)


def _moved(ground: Ground, stand: Stand, move: Move) -> Stand:
    """Where the arm stands after a move that trains nothing."""
    verb, ticket = type(move).__name__, stand.ticket
    generator = seeds.generator(ground.experiment.seed, "move", verb, stand.number(verb))
    scheme = ground.experiment.start.initialisation
    match move:
        case Prune():
            return _pruned(ground, stand, move, generator)
        case Grow():
            return _grown(ground, stand, move, generator)
        case Rewind():
            return replace(stand, ticket=rewind(ticket, restore=move.restore), state={})
        case Remember():
            return replace(stand, ticket=replace(ticket, rewind=dict(ticket.weights)))
        case Remake():
            return replace(stand, ticket=remake(move.kind, ticket, generator, scheme), state={})
        case ShrinkPerturb():
            moved = shrink_perturb(ticket, move.shrink, move.perturb, generator, scheme)
            return replace(stand, ticket=moved)
    raise TypeError(f"{move} is no move between trainings")


def _pruned(ground: Ground, stand: Stand, move: Prune, generator: torch.Generator) -> Stand:
    evidence = gather(ground.bench, move.pruning, generator, {})
    found = cut(
        stand.ticket,
        move.pruning,
        evidence,
        start=stand.ticket.architecture,
        done=0,
        density=None if move.scope == "per_layer" else move.density,
    )
    if found is None:  # no layer has more than its share
        masks = stand.ticket.masks
        if remaining(masks) < sum(round(move.density * mask.numel()) for mask in masks.values()):
            raise InputError("every layer has fewer weights already: lower the density")
        return stand
    is_scored = remaining(found.ticket.masks) < remaining(stand.ticket.masks)
    scored = scoring_cost(stand.ticket, move.pruning, evidence) if is_scored else 0
    return replace(
        stand,
        ticket=found.ticket,
        state=found.moved(stand.state),
        spent=stand.spent + scored,
    )


def _grown(ground: Ground, stand: Stand, move: Grow, generator: torch.Generator) -> Stand:
    grown = stand.grown or Grown(stand, ())
    sprout = grow_any(
        stand.ticket,
        move.step,
        few(ground.bench),
        generation=stand.generation + 1,
        generator=generator,
        scheme=ground.experiment.start.initialisation,
    )
    return replace(
        stand,
        ticket=sprout.ticket,
        state=INHERIT["carry"](stand.state, sprout, 0) if stand.state else {},
        spent=stand.spent + sprout.multiply_adds,
        generation=stand.generation + 1,
        grown=replace(grown, sprouts=(*grown.sprouts, sprout)),
    )


def pretend(ground: Ground, stand: Stand, move: Train) -> Stand:
    """A training that costs what it would and changes nothing: for the plan."""
    return _unlearnt(ground, stand, move, steps_of(ground, stand.ticket, move))


def forgo(ground: Ground, stand: Stand, move: Train) -> Stand:
    """A training that is not made, and costs nothing: what follows it nobody reads."""
    return _unlearnt(ground, stand, move, 0)


def _unlearnt(ground: Ground, stand: Stand, move: Train, steps: int) -> Stand:
    """A training of so many steps that changes nothing."""
    recipe = move.recipe(ground.experiment.training)
    data = ground.task(move.on)
    bench, ticket = ground.bench_of(data, recipe), stand.ticket
    spent = stand.spent + steps * cost_of_step(bench, ticket)
    number = len(stand.trainings)
    done = Trained(number, move, recipe, data, ticket, ticket, (), steps, {}, None, stand.spent,
                   spent, grown=stand.grown)  # fmt: skip
    return replace(stand, spent=spent, trainings=(*stand.trainings, done))
