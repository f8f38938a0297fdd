"""One training of one ticket inside a run: looks at validation data, early stop, cost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from torch import Tensor

from recursive_lth.architecture.cost import training_cost
from recursive_lth.running.engines import plan_of
from recursive_lth.running.inside import Inside
from recursive_lth.running.job import Bench, Job, Kept, Row
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training import device as devices
from recursive_lth.training.engine import Plan, planned_engine
from recursive_lth.training.lens import lens_of
from recursive_lth.training.loop import Step, training


@dataclass(frozen=True)
class Fitted:
    """A trained ticket, its curve and cost, and what the job asked to keep."""

    ticket: Ticket
    rows: list[Row]
    steps: int  # taken in this training, without those before `start`
    cost: int
    is_diverged: bool
    kept: dict[int, Kept] = field(default_factory=dict)  # by step
    best: dict[str, Tensor] = field(default_factory=dict)
    tally: dict[str, Tensor] = field(default_factory=dict)
    tested: dict[str, float] = field(default_factory=dict)  # "end" and "best", where asked for
    seconds: float = 0.0
    killed: int = 0  # workers that it has ended; it was given up, and is as it began


Stop = Callable[[list[Row], Step], bool]


@dataclass(frozen=True)
class EndsAt:
    """A `Stop` at the first look at or after a step."""

    step: int

    def __call__(self, rows: list[Row], step: Step) -> bool:
        """True iff the step is reached."""
        return step.number >= self.step


def marks_of(bench: Bench[Any], job: Job) -> set[int]:
    """The steps after which a training looks at the validation data."""
    per_epoch = bench.per_epoch(job.recipe)
    return {*(job.marks or range(per_epoch, job.steps, per_epoch)), job.steps}


@devices.flushed()
def fit(
    bench: Bench[Any],
    ticket: Ticket,
    job: Job,
    should_stop: Stop | None = None,
    *,
    plan: Plan | None = None,
) -> Fitted:
    """Train a ticket to step `job.steps`, from its checkpoint where there is one.

    `should_stop` is asked at every look at the validation data but the last; `plan` says how the
    layers are computed, where that is decided. A training whose validation loss is not finite has
    diverged and hands back the ticket it was given.
    """
    per_epoch = bench.per_epoch(job.recipe)
    marks = marks_of(bench, job)
    device = bench.batches.images.device
    lens = job.lens or lens_of(ticket, device)
    plan = plan_of(bench, ticket, job) if plan is None else plan
    engine = planned_engine(ticket.architecture, ticket.masks, plan, device)
    inside = Inside(bench, ticket, job, lens)
    announce(bench, ticket, job)
    began = perf_counter()
    bench.clock.start("training")
    is_finite = True
    for step in training(
        ticket.architecture,
        inside.weights,
        ticket.masks,
        bench.batches,
        job.recipe,
        steps=job.steps,
        seed=job.seed,
        start=inside.step,
        state=inside.state,
        lens=lens,
        tally=inside.tally,
        engine=engine,
    ):
        inside.add(step)
        if step.number not in marks:
            continue
        is_finite = inside.look(step)
        is_last = step.number == job.steps
        if not is_finite or (should_stop and not is_last and should_stop(inside.rows, step)):
            break
        if job.is_restartable and not is_last and step.number % per_epoch == 0:
            inside.save(step)
    bench.clock.stop()
    return finish(inside, is_finite=is_finite, seconds=perf_counter() - began)


def announce(bench: Bench[Any], ticket: Ticket, job: Job) -> None:
    """Tell the watcher that a training begins."""
    bench.meter.tell(
        **job.place,
        step=0,
        steps=job.steps,
        loss=None,
        remaining_weights=ticket.cost.remaining_weights,
        depth=ticket.architecture.depth,
    )


def finish(inside: Inside, *, is_finite: bool, seconds: float) -> Fitted:
    """What a training has come to, read off the tensors as they are now, with its cost."""
    bench, ticket, job = inside.bench, inside.ticket, inside.job
    taken = inside.step - job.start
    bench.meter.trained(taken / bench.per_epoch(job.recipe))
    batch_size = min(job.recipe.batch_size, len(bench.batches))
    spent = training_cost(ticket.cost.remaining_multiply_adds, taken * batch_size)
    if not is_finite:
        return Fitted(ticket, inside.rows, taken, spent, True, seconds=seconds)
    if job.keeps_end:
        inside.keep_end()
    return Fitted(
        inside.trained(),
        inside.rows,
        taken,
        spent,
        False,
        inside.kept,
        inside.best,
        inside.total(),
        inside.tested() if job.tests else {},
        seconds,
    )
