"""One training of one ticket inside a run: curves, checkpoints, progress, early stop, cost."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Experiment
from recursive_lth.search.clock import Clock
from recursive_lth.search.progress import Meter
from recursive_lth.search.stages import Checkpoint, Stages
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.evaluate import Evaluation, evaluate
from recursive_lth.training.loop import Step, steps_in, training
from recursive_lth.training.split import Split

SECONDS_BETWEEN_CHECKPOINTS = 60.0
Row = dict[str, Any]  # a line of metrics.jsonl


@dataclass(frozen=True)
class Bench:
    """What every training of a run shares."""

    experiment: Experiment
    split: Split
    batches: Batches
    stages: Stages
    meter: Meter
    clock: Clock


@dataclass(frozen=True)
class Job:
    """One training: its name within the generation, length, seed, and what its curve is called.

    The validation data are looked at after each epoch, or at the `rungs` alone (numbers of steps).
    `keep_at` asks for a copy of the weights after so many steps. `candidate` is its number in the
    lineage, `order` its place among those that are trained.
    """

    name: str
    generation: int
    phase: str
    epochs: float
    seed: int
    candidate: int | None = None
    order: int | None = None
    round: int | None = None
    rungs: tuple[int, ...] = ()
    keep_at: int | None = None


@dataclass(frozen=True)
class Fitted:
    """A trained ticket, its curve and cost; `kept` are the weights asked for by `keep_at`."""

    ticket: Ticket
    rows: list[Row]
    steps: int
    cost: int
    is_diverged: bool
    kept: dict[str, Tensor] = field(default_factory=dict)


def fit(
    bench: Bench, ticket: Ticket, job: Job, is_hopeless: Callable[[list[Row]], bool] | None = None
) -> Fitted:
    """Train a ticket for `job.epochs`, from its checkpoint where there is one.

    Stops early where `is_hopeless` says so at a rung. A training whose validation loss is not
    finite has diverged and hands back the ticket it was given.
    """
    recipe = bench.experiment.training
    batch_size = min(recipe.batch_size, len(bench.batches))
    per_epoch = len(bench.batches) // batch_size
    steps = steps_in(job.epochs, len(bench.batches), recipe.batch_size)
    marks = set(job.rungs) or {*range(per_epoch, steps, per_epoch), steps}
    saved = bench.stages.load_checkpoint(job.name) or Checkpoint(0, [], {})
    curve = _Curve(bench, job, per_epoch, saved)
    kept = saved.groups.pop("kept", dict(ticket.weights) if job.keep_at == 0 else {})
    _tell(bench, job, ticket, steps)
    bench.clock.start("training")
    for step in training(
        ticket.architecture,
        saved.groups.pop("weights", ticket.weights),
        ticket.masks,
        bench.batches,
        recipe,
        steps=steps,
        seed=job.seed,
        start=saved.step,
        state=saved.groups,
    ):
        curve.add(step)
        if step.number == job.keep_at:
            kept = step.snapshot()
        if step.number not in marks:
            continue
        is_finite = curve.look(step, ticket)
        is_last = step.number == steps
        if not is_finite or (is_hopeless and not is_last and is_hopeless(curve.rows)):
            break
        if not is_last and step.number % per_epoch == 0:
            curve.keep(step, kept)
    bench.clock.stop()
    bench.meter.trained(step.number / per_epoch)
    spent = training_cost(ticket.cost.remaining_multiply_adds, step.number * batch_size)
    if not is_finite:
        return Fitted(ticket, curve.rows, step.number, spent, True)
    weights = masking.apply(step.snapshot(), ticket.masks)
    trained = replace(ticket, weights=weights)
    return Fitted(trained, curve.rows, step.number, spent, False, kept)


class _Curve:
    """The curve of a training: mean losses between looks at validation data, and checkpoints."""

    def __init__(self, bench: Bench, job: Job, per_epoch: int, saved: Checkpoint) -> None:
        self.bench, self.job, self.per_epoch = bench, job, per_epoch
        self.rows = list(saved.rows)
        self._since = saved.step
        self._total = torch.zeros((), device=bench.batches.images.device)
        self._kept_at = perf_counter()

    def add(self, step: Step) -> None:
        """Count a step's loss, and tell the watcher where it wants to know."""
        self._total += step.loss
        if self.bench.meter.is_due:
            ahead = step.number / self.per_epoch
            self.bench.meter.tell(step=step.number, loss=float(step.loss), ahead=ahead)

    def look(self, step: Step, ticket: Ticket) -> bool:
        """A row for the validation data at this step; false where the training has diverged."""
        with self.bench.clock.inside("evaluation"):
            found = evaluate(ticket.architecture, step.weights, self.bench.split.validation)
        mean = float(self._total) / (step.number - self._since)
        self.rows.append(_row(self.job, step, self.per_epoch, mean, found))
        self._since, self._total = step.number, torch.zeros_like(self._total)
        ahead = step.number / self.per_epoch
        self.bench.meter.tell(step=step.number, val_accuracy=found.accuracy, ahead=ahead)
        return self.rows[-1]["val_loss"] is not None

    def keep(self, step: Step, kept: dict[str, Tensor]) -> None:
        """Write a checkpoint at the end of an epoch, but not more often than once a minute."""
        if perf_counter() - self._kept_at <= SECONDS_BETWEEN_CHECKPOINTS:
            return
        with self.bench.clock.inside("saving"):
            groups = {"weights": step.snapshot(), "kept": kept, **step.state()}
            checkpoint = Checkpoint(step.number, self.rows, groups)
            self.bench.stages.save_checkpoint(self.job.name, checkpoint)
        self._kept_at = perf_counter()


def rungs_of(epochs: float, rungs: int, bench: Bench) -> tuple[int, ...]:
    """The steps at which candidates are compared: equal parts of their short training."""
    steps = steps_in(epochs, len(bench.batches), bench.experiment.training.batch_size)
    return tuple(sorted({max(1, round(steps * (i + 1) / rungs)) for i in range(rungs)}))


def _row(job: Job, step: Step, per_epoch: int, loss: float, evaluation: Evaluation) -> Row:
    """A line of metrics.jsonl; losses that are not finite become null."""
    is_finite = math.isfinite(evaluation.loss) and math.isfinite(loss)
    return {
        "generation": job.generation,
        "phase": job.phase,
        "candidate": job.candidate,
        "round": job.round,
        "epoch": step.number / per_epoch,
        "step": step.number,
        "loss": loss if is_finite else None,
        "val_loss": evaluation.loss if is_finite else None,
        "val_accuracy": evaluation.accuracy,
        "val_calibrated_loss": evaluation.calibrated_loss if is_finite else None,
    }


def _tell(bench: Bench, job: Job, ticket: Ticket, steps: int) -> None:
    bench.meter.tell(
        phase=job.phase,
        candidate=job.order,
        candidates=bench.experiment.growth.candidates,
        step=0,
        steps=steps,
        loss=None,
        remaining_weights=ticket.cost.remaining_weights,
        depth=ticket.architecture.depth,
    )
