"""Several trainings at once: those that can keep company are one population, the others alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from recursive_lth.running.engines import sparse_of
from recursive_lth.running.fit import Fitted, Stop, announce, finish, fit, marks_of
from recursive_lth.running.inside import Inside
from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training import device as devices
from recursive_lth.training.lens import lens_of
from recursive_lth.training.together import Member, Round, training_together

MOST_WORK = 4_000_000  # multiply-adds of a member's batch: above, dense products fill the machine


@dataclass(frozen=True)
class Wanted:
    """A training that somebody waits for: the arguments of `fit`."""

    bench: Bench[Any]
    ticket: Ticket
    job: Job
    should_stop: Stop | None = None

    @property
    def member(self) -> Member:
        """It as one of a population."""
        bench, ticket, job = self.bench, self.ticket, self.job
        return Member(
            ticket.architecture,
            ticket.weights,
            ticket.masks,
            bench.batches,
            job.recipe,
            job.steps,
            job.seed,
            job.start,
            job.state,
        )

    @property
    def company(self) -> tuple[Any, ...] | None:
        """What those have in common who train as one; None for one that trains alone.

        One whose weights are read through a lens or tallied does, one that has begun alone, and
        one with so much work that company would slow it down.
        """
        bench, ticket, job = self.bench, self.ticket, self.job
        batch_size = min(job.recipe.batch_size, len(bench.batches))
        is_heavy = ticket.cost.remaining_multiply_adds * batch_size > MOST_WORK
        if is_heavy or job.lens or job.tallies or not ticket.is_plain:
            return None
        if bench.stages.load_checkpoint(job.name) is not None:
            return None
        company = self.member.company
        return None if company is None else (*company, sparse_of(bench, ticket, job))


Keep = Callable[[Wanted, Fitted, bool], None]  # (what was wanted, what was found, was it alone)


def fit_together(wanted: Sequence[Wanted], keep: Keep) -> list[Fitted]:
    """What `fit` finds for each, to rounding; members of one company train as one program.

    Those wanted twice are trained once. `keep` is called with each result as soon as it is there.
    """
    groups: dict[Any, dict[str, Wanted]] = {}
    for each in wanted:
        company = each.company if len(wanted) > 1 else None
        key = each.job.name if company is None else company
        groups.setdefault(key, {})[each.job.name] = each
    found: dict[str, Fitted] = {}
    for company, members in groups.items():
        some = list(members.values())
        with devices.pinned(some[0].job.recipe.threads):
            if len(some) == 1:
                one = some[0]
                fits = [fit(one.bench, one.ticket, one.job, one.should_stop)]
            else:
                fits = _fit_company(some, company[-1])
        for one, fitted in zip(some, fits, strict=True):
            keep(one, fitted, len(some) == 1)
        found |= dict(zip(members, fits, strict=True))
    return [found[each.job.name] for each in wanted]


class _Course:
    """One member on its way: what `fit` keeps of it, and where it ended."""

    def __init__(self, wanted: Wanted, index: int) -> None:
        bench, ticket, job = wanted.bench, wanted.ticket, wanted.job
        self.wanted, self.index = wanted, index
        self.inside = Inside(bench, ticket, job, lens_of(ticket, bench.batches.images.device))
        self.marks = marks_of(bench, job)
        self.stops = {*self.marks, *job.keep_at, job.steps}
        self.is_finite, self.is_done = True, False

    def add(self, now: Round, losses: torch.Tensor) -> None:
        """A step at which something is asked of this member."""
        job, step = self.wanted.job, now.of(self.index)
        self.inside.add(step, losses[self.index])
        if step.number not in self.marks:
            return
        self.is_finite = self.inside.look(step)
        is_last, ask = step.number == job.steps, self.wanted.should_stop
        is_stopped = ask is not None and not is_last and ask(self.inside.rows, step)
        self.is_done = is_last or is_stopped or not self.is_finite


def _fit_company(wanted: Sequence[Wanted], sparse: Sequence[str]) -> list[Fitted]:
    """Train a population to the end of its last member."""
    courses = [_Course(each, index) for index, each in enumerate(wanted)]
    lead, began = wanted[0], perf_counter()
    clock, meter = lead.bench.clock, lead.bench.meter
    announce(lead.bench, lead.ticket, lead.job)
    clock.start("training")
    found: dict[int, Fitted] = {}
    sums: torch.Tensor | None = None
    for now in training_together([each.member for each in wanted], sparse):
        sums = now.losses.clone() if sums is None else sums + now.losses
        if meter.is_due:
            done = (now.number - lead.job.start) / lead.bench.per_epoch(lead.job.recipe)
            ahead = done * (len(courses) - len(found))
            meter.tell(step=now.number, loss=float(now.losses.mean()), ahead=ahead)
        for course in courses:
            if course.is_done or now.number not in course.stops:
                continue
            course.add(now, sums)
            sums[course.index] = 0
            if course.is_done:
                seconds = (perf_counter() - began) / len(courses)
                found[course.index] = finish(
                    course.inside, is_finite=course.is_finite, seconds=seconds
                )
        if len(found) == len(courses):
            break
    clock.stop()
    return [found[index] for index in range(len(courses))]
