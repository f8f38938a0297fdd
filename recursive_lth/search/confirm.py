"""Confirmation: a ticket against its parent and its controls, in pairs on seeds of their own.

What is asked is whether the ticket is at least as good a place to go on from as its parent is. All
are trained by the experiment's recipe, begun anew with a fresh optimizer, and judged once at the
end on the validation data. A pair shares its seed and so its batches in their order, as far as the
shorter of the two goes. What is fair:

- The seeds are named "confirm"; none of them has had a part in choosing the growth. The validation
  data have, so a ticket that was chosen among many is flattered there a little: the test data, at
  the end of the run, are not.
- Ticket and parent go on from where they stand, for as many multiply-adds: a parent of ten times
  the weights takes a tenth of the steps. The ticket has been trained for longer, though, by all of
  its generation. What that alone brings is shown by `trained_on`, the parent with as many
  multiply-adds on top as its child's generation took.
- The controls of `pruning/controls.py` have none of the ticket's training behind them. They begin
  at the values that the ticket would be rewound to, or at fresh ones, drawn anew for each pair, and
  get as many multiply-adds as all the training that the ticket's weights have gone through, and the
  confirmation's on top, as `prune` gives its controls.
- A training that diverges counts as guessing: accuracy 1 / classes, loss ln classes.
- Ties can be losses too small to be seen, and they add up. What the means of a line have fallen
  below its best is `carried` from parent to child and taken off the margin.
- Of several controls that a ticket beats, each counts after Holm's correction alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recursive_lth import seeds
from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Experiment
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.pruning.controls import control
from recursive_lth.pruning.rewind import rewind
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.trainings import train_all
from recursive_lth.running.wanted import Wanted
from recursive_lth.search.confirmation import (
    CHILD,
    PARENT,
    Confirmation,
    Scores,
    compare,
    left_out,
)
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in

TRAINED_ON = "trained_on"


@dataclass(frozen=True)
class Behind:
    """The multiply-adds that a ticket has behind it, and what its parent brings along."""

    weights: int = 0  # of the trainings that its weights as they are have gone through
    generation: int = 0  # of its own generation, without the candidates that were not chosen
    carried: float = 0.0  # how far its parent's line has fallen below its best, at most 0


@dataclass(frozen=True)
class _Runner:
    """One of those trained side by side: its ticket on each seed, and how many steps."""

    name: str
    tickets: Sequence[Ticket]
    steps: int


@dataclass(frozen=True)
class _End:
    """What is kept of one training."""

    accuracy: float
    loss: float
    cost: int
    steps: int


def confirm(
    bench: Bench[Experiment], generation: int, child: Ticket, parent: Ticket, behind: Behind
) -> Confirmation:
    """What n paired trainings of a ticket, its parent and its controls say; stages of the run."""
    rule = bench.experiment.acceptance
    runners, reasons = _runners(bench, generation, child, parent, behind)
    ends = _train(bench, generation, runners)
    scores = {}
    for place, runner in enumerate(runners):
        own = ends[place * rule.replicates : (place + 1) * rule.replicates]
        accuracies, losses = tuple(end.accuracy for end in own), tuple(end.loss for end in own)
        scores[runner.name] = Scores(runner.name, runner.steps, accuracies, losses)
    seed = seeds.derive(bench.experiment.seed, "generation", generation, "resample")
    margin = max(0.0, rule.margin + behind.carried)
    samples = len(bench.split.validation)
    against = compare(rule, margin, scores, samples, np.random.default_rng(seed))
    return Confirmation(
        rule.measure,
        rule.level,
        margin,
        min(0.0, behind.carried + against[0].effect(rule.measure).mean),
        scores[CHILD],
        (*against, *(left_out(name, reason) for name, reason in reasons.items())),
        sum(end.cost for end in ends),
        sum(end.steps for end in ends),
    )


def _runners(
    bench: Bench[Experiment], generation: int, child: Ticket, parent: Ticket, behind: Behind
) -> tuple[list[_Runner], dict[str, str]]:
    """All that are trained, child and parent first; and why a control is left out."""
    rule, recipe = bench.experiment.acceptance, bench.experiment.training
    steps = steps_in(rule.epochs, len(bench.batches), recipe.batch_size)
    a_batch = min(recipe.batch_size, len(bench.batches))
    ahead = training_cost(child.cost.remaining_multiply_adds, steps * a_batch)

    def steps_for(ticket: Ticket, multiply_adds: int) -> int:
        a_step = training_cost(ticket.cost.remaining_multiply_adds, a_batch)
        return max(1, round(multiply_adds / max(1, a_step)))

    parents = [parent] * rule.replicates
    runners = [
        _Runner(CHILD, [child] * rule.replicates, steps),
        _Runner(PARENT, parents, steps_for(parent, ahead)),
    ]
    reasons = {}
    for name in rule.controls:
        if name == TRAINED_ON:
            runners.append(_Runner(name, parents, steps_for(parent, behind.generation + ahead)))
            continue
        try:
            found = [_control(bench, generation, name, child, r) for r in range(rule.replicates)]
        except InputError as error:  # the ticket leaves no room for it; others may
            reasons[name] = str(error)
        else:
            runners.append(_Runner(name, found, steps_for(found[0], behind.weights + ahead)))
    return runners, reasons


def _control(
    bench: Bench[Experiment], generation: int, name: str, child: Ticket, replicate: int
) -> Ticket:
    """A control of the ticket for one pair."""
    experiment = bench.experiment
    generator = seeds.generator(
        experiment.seed, "generation", generation, "control", name, replicate
    )
    scheme = experiment.start.initialisation
    begun = rewind(child)  # whatever it has inherited
    return control(name, begun, lambda shape, drawn: fresh(shape, drawn, scheme), generator)


def _train(bench: Bench[Experiment], generation: int, runners: Sequence[_Runner]) -> list[_End]:
    """Each runner on each seed, runner by runner: all at once, where they can keep company."""
    replicates, classes = bench.experiment.acceptance.replicates, bench.split.classes
    wanted = [
        Wanted(
            bench,
            ticket,
            Job(
                f"{generation:04d}-confirm-{runner.name}-{replicate}",
                bench.experiment.training,
                runner.steps,
                seeds.derive(bench.experiment.seed, "generation", generation, "confirm", replicate),
                place={"phase": "confirm", "candidate": replicate + 1, "candidates": replicates},
                marks=(runner.steps,),
            ),
        )
        for runner in runners
        for replicate, ticket in enumerate(runner.tickets)
    ]
    return [_end(fitted, classes) for fitted in train_all(wanted)]


def _end(fitted: Fitted, classes: int) -> _End:
    """The last point of a training's curve; of one that diverged, a guess."""
    accuracy, loss = 1 / classes, math.log(classes)
    if not fitted.is_diverged:
        accuracy, loss = fitted.rows[-1]["val_accuracy"], fitted.rows[-1]["val_calibrated_loss"]
    return _End(accuracy, loss, fitted.cost, fitted.steps)
