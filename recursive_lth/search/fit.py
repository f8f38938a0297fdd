"""One training of one ticket inside a run: curves, checkpoints, progress, early stop, cost."""

import math
from collections.abc import Callable, Sequence
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
    lineage, `place` its place among those that are trained.
    """

    name: str
    generation: int
    phase: str
    epochs: float
    seed: int
    candidate: int | None = None
    place: int | None = None
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
    recipe, batches = bench.experiment.training, bench.batches
    batch_size = min(recipe.batch_size, len(batches))
    per_epoch = len(batches) // batch_size
    steps = steps_in(job.epochs, len(batches), recipe.batch_size)
    marks = set(job.rungs) or {*range(per_epoch, steps, per_epoch), steps}
    saved = bench.stages.load_checkpoint(job.name)
    start, rows = (saved.step, saved.rows) if saved else (0, [])
    groups = saved.groups if saved else {}
    kept = dict(groups.get("kept", {})) or (dict(ticket.weights) if job.keep_at == 0 else {})
    _tell(bench, job, ticket, steps)

    loop = training(
        ticket.architecture,
        groups.get("weights", ticket.weights),
        ticket.masks,
        batches,
        recipe,
        steps=steps,
        seed=job.seed,
        start=start,
        state={k: v for k, v in groups.items() if k not in {"weights", "kept"}},
    )
    total, last, told = torch.zeros((), device=batches.images.device), start, perf_counter()
    step, evaluation = None, None
    bench.clock.start("training")
    for step in loop:
        total += step.loss
        if step.number == job.keep_at:
            kept = step.snapshot()
        if bench.meter.is_due:
            ahead = step.number / per_epoch
            bench.meter.tell(step=step.number, loss=float(step.loss), ahead=ahead)
        if step.number not in marks:
            continue
        with bench.clock.inside("evaluation"):
            evaluation = evaluate(ticket.architecture, step.weights, bench.split.validation)
        rows.append(_row(job, step, per_epoch, float(total) / (step.number - last), evaluation))
        total, last = torch.zeros_like(total), step.number
        bench.meter.tell(
            step=step.number, val_accuracy=evaluation.accuracy, ahead=step.number / per_epoch
        )
        if rows[-1]["val_loss"] is None or (
            is_hopeless and step.number < steps and is_hopeless(rows)
        ):
            break
        is_epoch_end = step.number % per_epoch == 0 and step.number < steps
        if is_epoch_end and perf_counter() - told > SECONDS_BETWEEN_CHECKPOINTS:
            with bench.clock.inside("saving"):
                _keep(bench.stages, job, step, rows, kept)
            told = perf_counter()
    bench.clock.stop()
    done = step.number if step else start
    bench.meter.trained(done / per_epoch)
    spent = training_cost(ticket.cost.remaining_multiply_adds, done * batch_size)
    if step is None or rows[-1]["val_loss"] is None:
        return Fitted(ticket, rows, done, spent, True)
    weights = masking.apply(step.snapshot(), ticket.masks)
    return Fitted(replace(ticket, weights=weights), rows, done, spent, False, kept)


def rungs_of(epochs: float, rungs: int, bench: Bench) -> tuple[int, ...]:
    """The steps at which candidates are compared: equal parts of their short training."""
    steps = steps_in(epochs, len(bench.batches), bench.experiment.training.batch_size)
    return tuple(sorted({max(1, round(steps * (i + 1) / rungs)) for i in range(rungs)}))


def _keep(
    stages: Stages, job: Job, step: Step, rows: Sequence[Row], kept: dict[str, Tensor]
) -> None:
    """Write the checkpoint of a training that stands at the end of an epoch."""
    groups = {"weights": step.snapshot(), "kept": kept, **step.state()}
    stages.save_checkpoint(job.name, Checkpoint(step.number, list(rows), groups))


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
        candidate=job.place,
        candidates=bench.experiment.growth.candidates,
        step=0,
        steps=steps,
        loss=None,
        remaining_weights=ticket.cost.remaining_weights,
        depth=ticket.architecture.depth,
    )
