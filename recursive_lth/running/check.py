"""What every experiment names in a registry, and what its data must allow."""

from collections.abc import Mapping
from typing import Any

from recursive_lth.architecture.basis import BASES
from recursive_lth.architecture.cost import size
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.config import AnyExperiment, Pruning, StudyExperiment, pick
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import SCHEMES
from recursive_lth.pruning.distribution import least_of
from recursive_lth.pruning.schedule import SCOPES, target
from recursive_lth.pruning.scores import SCORES
from recursive_lth.running.start import is_imported
from recursive_lth.training.optimizer import OPTIMIZERS, SCHEDULES

Wanted = list[tuple[Mapping[str, Any], str, str]]  # registry, name, key


def check_names(experiment: AnyExperiment, more: Wanted) -> None:
    """Raise `InputError`, naming key and nearest match, where a name is not in its registry."""
    start = experiment.start.architecture
    wanted: Wanted = [
        *([] if is_imported(start) else [(ARCHITECTURES, start, "start.architecture")]),
        (SCHEMES, experiment.start.initialisation, "start.initialisation"),
        (OPTIMIZERS, experiment.training.optimizer, "training.optimizer"),
        (SCHEDULES, experiment.training.schedule, "training.schedule"),
    ]
    if not isinstance(experiment, StudyExperiment):
        wanted += [
            (SCORES, experiment.pruning.score, "pruning.score"),
            (SCOPES, experiment.pruning.scope, "pruning.scope"),
            (BASES, experiment.pruning.basis, "pruning.basis"),
        ]
    for registry, name, what in wanted + more:
        pick(registry, name, what)


def check_moment(key: str, moment: str, step: int | None, steps: int) -> None:
    """Raise `InputError` where a moment of the first training lies beyond its end."""
    if step is not None and step > steps:
        raise InputError(
            f"{key} is step {step} ({moment}), but the first training has only {steps} steps: name "
            "an earlier step or raise training.epochs"
        )


def check_target(pruning: Pruning, architecture: Architecture) -> None:
    """Raise `InputError` where the layers' floors alone exceed the number of weights to reach."""
    if pruning.granularity != "weight":
        return
    sizes = {name: size(architecture, name) for name in architecture.prunable}
    floors = dict.fromkeys(sizes, pruning.layer_floor)
    if pruning.scope == "uniform_plus":
        floors = least_of(architecture, pruning.scope, sizes, pruning.layer_floor)
    goal = target(architecture, pruning)
    if 0 < goal < sum(floors.values()):
        raise InputError(
            f"pruning cannot reach {goal} weights while {len(sizes)} layers keep "
            f"{sum(floors.values())}: lower pruning.layer_floor or raise the target"
        )
