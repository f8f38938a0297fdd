"""Is each contrast of a study a fair one? Asked before anything is trained."""

from collections.abc import Mapping
from typing import Any

from recursive_lth.config import StudyExperiment
from recursive_lth.errors import InputError
from recursive_lth.study.arms import Arm, arms_of, differing_factors, until
from recursive_lth.study.contrasts import (
    Budget,
    Contrast,
    check_budget,
    check_contrast,
    check_factors,
    check_reading,
    parse_contrasts,
)
from recursive_lth.study.moves import Train
from recursive_lth.study.panel.catalogue import PANEL
from recursive_lth.study.panel.measure import Measure
from recursive_lth.study.plan import Plan, cost_of_a_step
from recursive_lth.study.power import chance_found, smallest_effect


def contrasts_of(experiment: StudyExperiment) -> tuple[Contrast, ...]:
    """The contrasts of a study."""
    return parse_contrasts(experiment.study.contrasts)


def check_contrasts(
    experiment: StudyExperiment,
    arms: Mapping[str, Arm],
    panel: Mapping[str, Measure],
    plan: Plan,
) -> None:
    """Raise `InputError` where a contrast would not say what it claims to."""
    _check_tasks_used(experiment, arms)
    study = experiment.study
    trainings = {name: arm.trainings for name, arm in arms.items()}
    for contrast in contrasts_of(experiment):
        if contrast.measure in PANEL and contrast.measure not in panel:
            raise InputError(
                f"contrast {contrast.name!r}: {contrast.measure} is not read: add it to study.panel"
            )
        check_contrast(contrast, arms, PANEL)
        if arms[contrast.arm].moves == arms[contrast.rival].moves:
            raise InputError(
                f"contrast {contrast.name!r}: {contrast.arm!r} and {contrast.rival!r} make the "
                "same moves, so that every pair would be equal: let the arms differ in one factor"
            )
        check_reading(contrast, study.moments, trainings, study.readings)
        if not panel[contrast.measure].is_taken_at(contrast.moment):
            raise InputError(
                f"contrast {contrast.name!r}: {contrast.measure} says nothing at moment "
                f"{contrast.moment:g}: compare it after a training, at 1"
            )
        _check_grown(contrast, panel[contrast.measure], plan)
        one, other = as_compared(contrast, arms)
        if one.moves == other.moves:
            raise InputError(
                f"contrast {contrast.name!r}: at {contrast.moment:g} of training "
                f"{contrast.training} both arms have done the same: compare them later"
            )
        check_factors(contrast, differing_factors(one, other))
        pair = (contrast.arm, contrast.rival)
        a_step = max(cost_of_a_step(done) for name in pair for done in plan.stands[name].trainings)
        ours, theirs = (budget_of(contrast, name, plan) for name in pair)
        check_budget(contrast, ours, theirs, a_step)


def as_compared(contrast: Contrast, arms: Mapping[str, Arm]) -> tuple[Arm, Arm]:
    """Arm and rival as far as they have come when they are compared."""
    when = contrast.training, contrast.moment
    return until(arms[contrast.arm], *when), until(arms[contrast.rival], *when)


def _check_tasks_used(experiment: StudyExperiment, arms: Mapping[str, Arm]) -> None:
    """Raise `InputError` where no arm trains on a task: what nothing reads is refused."""
    used = {move.on for arm in arms.values() for move in arm.moves if isinstance(move, Train)}
    for task in experiment.tasks:
        if task.name not in used:
            raise InputError(
                f"task {task.name}: no arm trains on it: write on={task.name} behind a `train`, or "
                "leave it out"
            )


def _check_grown(contrast: Contrast, measure: Measure, plan: Plan) -> None:
    """Raise `InputError` where a parent is asked for of a network that has not just grown."""
    for arm in (contrast.arm, contrast.rival):
        if measure.trains_parent and not plan.stands[arm].trainings[contrast.training].grown:
            raise InputError(
                f"contrast {contrast.name!r}: {contrast.measure} says nothing of {arm!r}, which "
                "has not just grown: compare trainings right behind a `grow`"
            )


def planned_contrasts(experiment: StudyExperiment, plan: Plan) -> list[dict[str, Any]]:
    """Each contrast as `--plan` prints it: who differs in what, at which cost, and what is found.

    `smallest` is the effect that is found with 80 % power, in standard deviations of a pair's
    difference, None where too few seeds decide; `power` how often one of 1 deviation is.
    """
    arms, study, found = arms_of(experiment), experiment.study, contrasts_of(experiment)
    family, level = len(found), study.level
    return [
        {
            "name": contrast.name,
            "arm": contrast.arm,
            "rival": contrast.rival,
            "direction": contrast.direction,
            "measure": contrast.measure,
            "unit": PANEL[contrast.measure].unit,
            "moment": contrast.moment,
            "training": contrast.training,
            "margin": contrast.margin,
            "factors": sorted(differing_factors(*as_compared(contrast, arms))),
            "multiply_adds": {
                "arm": budget_of(contrast, contrast.arm, plan).spent,
                "rival": budget_of(contrast, contrast.rival, plan).spent,
            },
            "n": study.seeds,
            "smallest": smallest_effect(study.seeds, family, level=level),
            "power": chance_found(1.0, study.seeds, family, level=level),
        }
        for contrast in found
    ]


def budget_of(contrast: Contrast, arm: str, plan: Plan) -> Budget:
    """What an arm has taken when it is compared."""
    return Budget(
        plan.budget(arm, contrast.training, contrast.moment),
        plan.untrained(arm, contrast.training),
    )
