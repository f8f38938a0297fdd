"""A company: several trainings as one program, each with looks, keeping and an end of its own."""

from collections.abc import Sequence
from time import perf_counter

import torch

from recursive_lth.running.fit import Fitted, announce, finish, marks_of
from recursive_lth.running.inside import Inside
from recursive_lth.running.wanted import Wanted
from recursive_lth.training import device as devices
from recursive_lth.training.engine import Plan
from recursive_lth.training.lens import lens_of
from recursive_lth.training.together import Round, training_together


class _Course:
    """One member on its way: what `fit` keeps of it, and where it ended."""

    def __init__(self, wanted: Wanted, index: int) -> None:
        bench, ticket, job = wanted.bench, wanted.ticket, wanted.job
        self.wanted, self.index = wanted, index
        lens = lens_of(ticket, bench.batches.images.device)
        self.inside = Inside(bench, ticket, job, lens, is_alone=False)
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


@devices.flushed()
def fit_company(wanted: Sequence[Wanted], plan: Plan) -> list[Fitted]:
    """Train a population to the end of its last member."""
    courses = [_Course(each, index) for index, each in enumerate(wanted)]
    lead, began = wanted[0], perf_counter()
    clock, meter = lead.bench.clock, lead.bench.meter
    announce(lead.bench, lead.ticket, lead.job)
    clock.start("training")
    found: dict[int, Fitted] = {}
    sums: torch.Tensor | None = None
    for now in training_together([each.member for each in wanted], plan):
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
