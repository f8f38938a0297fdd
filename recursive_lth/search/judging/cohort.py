"""A cohort: candidates of one parent trained side by side from rung to rung, fewer each time.

All see the same batches in the same order. A rung is a stage of its own, which begins where the
one before ended: what is stopped has cost no more than it was trained, and a whole short training
in parts comes to the bits of one in one piece.
"""

from collections.abc import Sequence
from typing import Any

from recursive_lth import seeds
from recursive_lth.config import Experiment, Growth, pick
from recursive_lth.errors import InputError
from recursive_lth.growth.optimizer import RESET
from recursive_lth.running.fit import EndsAt
from recursive_lth.running.job import Bench, Job, rungs_of
from recursive_lth.running.trainings import train_all
from recursive_lth.running.wanted import Wanted
from recursive_lth.search.judging.course import Course
from recursive_lth.search.judging.cuts import CUTS, Rung
from recursive_lth.search.objectives import merits_of, worth_of


def judge(bench: Bench[Experiment], generation: int, courses: Sequence[Course]) -> None:
    """Train those that wait until each is judged, stopped at a rung, or failed.

    Not growing, the first, is never stopped. Raises `InputError` where even that diverges.
    """
    marks, standing = marks_of(bench), courses[0]
    cohort = [course for course in courses if course.is_alive]
    for rung in range(len(marks)):
        living = [course for course in cohort if course.is_alive]
        fits = train_all([_next_rung(bench, generation, c, marks, rung) for c in living])
        for course, fitted in zip(living, fits, strict=True):
            course.add(fitted)
        _check_standing(standing, generation)
        for course in living:
            course.tell(standing.losses)
        if rung < len(marks) - 1:
            _cut(bench.experiment.growth, courses, cohort, marks, rung)
    for course in cohort:
        if course.is_alive:
            course.finish()
    for course in courses:
        course.settle()


def again(
    bench: Bench[Experiment], generation: int, courses: Sequence[Course], turn: int
) -> list[float]:
    """Gains of judged ones trained anew from their births, on the batches of another seed.

    The first is not growing. One that diverges or ends its workers has failed and gains nothing;
    where not growing does, `InputError` is raised.
    """
    steps, recipe = marks_of(bench)[-1], bench.experiment.training
    seed = seeds.derive(bench.experiment.seed, "generation", generation, "judge", turn)
    wanted = [
        Wanted(
            bench,
            course.born,
            Job(
                f"{generation:04d}-judge-{course.number}-again-{turn}",
                recipe,
                steps,
                seed,
                labels=_labels(generation, course),
                place=_place(bench, course),
                marks=(steps,),
                state=course.begun,
            ),
            may_fail=course.number > 0,
        )
        for course in courses
    ]
    fits = train_all(wanted)
    for course, fitted in zip(courses, fits, strict=True):
        course.pay(fitted)
    _check_standing(courses[0], generation)
    losses = [f.rows[-1]["val_calibrated_loss"] if f.rows else None for f in fits]
    return [0.0 if loss is None else losses[0] - loss for loss in losses]


def _check_standing(standing: Course, generation: int) -> None:
    if standing.candidate.status == "failed":
        raise InputError(
            f"generation {generation} diverges even without growth: lower training.learning_rate"
        )


def _cut(
    growth: Growth,
    courses: Sequence[Course],
    cohort: Sequence[Course],
    marks: Sequence[int],
    rung: int,
) -> None:
    """Stop those of a cohort that the experiment's cut leaves behind at a rung."""
    living = [course for course in cohort if course.is_alive and course.number]
    others = [c for c in courses if c not in cohort or c.number == 0]
    others = [c for c in others if len(c.candidate.rungs) > rung and c.is_trained]
    here = Rung(
        {c.number: merits_of(c.candidate, growth.objectives, rung) for c in living},
        [merits_of(c.candidate, growth.objectives, rung) for c in others],
        {c.number: worth_of(c.candidate, growth.objectives, rung) for c in living},
        {c.number: c.candidate.rungs for c in living},
        marks[: rung + 1],
        marks[-1],
        growth.keep,
    )
    going = pick(CUTS, growth.cut, "growth.cut")(here)
    for course in living:
        if course.number not in going:
            course.stop(f"left behind at rung {rung + 1} (growth.cut={growth.cut})")


def _next_rung(
    bench: Bench[Experiment], generation: int, course: Course, marks: Sequence[int], rung: int
) -> Wanted:
    """A candidate's training from one rung to the next."""
    start, mark = (0, *marks)[rung], marks[rung]
    is_last = rung == len(marks) - 1
    job = Job(
        f"{generation:04d}-judge-{course.number}-{rung}",
        bench.experiment.training,
        marks[-1],
        seeds.derive(bench.experiment.seed, "generation", generation, "judge"),  # common to all
        labels=_labels(generation, course),
        place=_place(bench, course),
        marks=(mark,),
        start=start,
        state=course.state,
        keeps_end=not is_last or keeps_state(bench.experiment),
    )
    stop = None if is_last else EndsAt(mark)
    return Wanted(bench, course.ticket, job, stop, may_fail=course.number > 0)


def marks_of(bench: Bench[Experiment]) -> tuple[int, ...]:
    """The steps of a short training at which candidates are compared; the last is its end.

    Equal parts, or each the share `growth.spacing` of the next, for which `growth.keep` stands in
    where they are halved.
    """
    growth = bench.experiment.growth
    factor = growth.spacing or (growth.keep if growth.cut == "halving" else None)
    return rungs_of(
        growth.judge_epochs, growth.rungs, bench, bench.experiment.training, factor=factor
    )


def keeps_state(experiment: Experiment) -> bool:
    """True iff the optimizer's state goes on from one training of a lineage to the next."""
    return experiment.growth.optimizer != RESET


def _labels(generation: int, course: Course) -> dict[str, Any]:
    return {
        "generation": generation,
        "phase": "judge",
        "candidate": course.number,
        "round": None,
    }


def _place(bench: Bench[Experiment], course: Course) -> dict[str, Any]:
    candidates = bench.experiment.growth.candidates
    return {"phase": "judge", "candidate": course.order, "candidates": candidates}
