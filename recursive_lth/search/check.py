"""Can an experiment be run as it stands? Asked before anything is written."""

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.config import Experiment, pick
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import SCHEMES
from recursive_lth.growth.initialise import INITIALISATIONS, PRESERVING
from recursive_lth.growth.masks_of_new import MASKS_OF_NEW
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.pruning.schedule import SCOPES, target
from recursive_lth.pruning.scores import SCORES
from recursive_lth.search.policy import POLICIES
from recursive_lth.training.loop import steps_in
from recursive_lth.training.optimizer import OPTIMIZERS, SCHEDULES


def check_rewind(experiment: Experiment, samples: int) -> None:
    """Raise `InputError` where the step to rewind to lies beyond generation 0's training."""
    step, recipe = experiment.pruning.rewind_step, experiment.training
    steps = steps_in(recipe.epochs, samples, recipe.batch_size)
    if step is not None and step > steps:
        raise InputError(
            f"pruning.rewind is step {step}, but generation 0 trains only {steps} steps: rewind to "
            "an earlier step or raise training.epochs"
        )


def check_target(experiment: Experiment, architecture: Architecture) -> None:
    """Raise `InputError` where the layers' floors alone exceed the number of weights to reach."""
    pruning = experiment.pruning
    goal, floors = target(architecture, pruning), pruning.layer_floor * len(architecture.prunable)
    if 0 < goal < floors:
        raise InputError(
            f"pruning cannot reach {goal} weights while {len(architecture.prunable)} layers each "
            f"keep {pruning.layer_floor}: lower pruning.layer_floor or raise the target"
        )


def check_names(experiment: Experiment) -> None:
    """Raise `InputError`, naming key and nearest match, where a name is not in its registry."""
    births = {PRESERVING: 0} | {n: 0 for known in INITIALISATIONS.values() for n in known}
    wanted = [
        (ARCHITECTURES, experiment.start.architecture, "start.architecture"),
        (SCHEMES, experiment.start.initialisation, "start.initialisation"),
        (OPTIMIZERS, experiment.training.optimizer, "training.optimizer"),
        (SCHEDULES, experiment.training.schedule, "training.schedule"),
        (SCORES, experiment.pruning.score, "pruning.score"),
        (SCOPES, experiment.pruning.scope, "pruning.scope"),
        (POLICIES, experiment.growth.policy, "growth.policy"),
        *((OPERATORS, name, "space.operator") for name in experiment.space.operator),
        *((births, name, "space.initialisation") for name in experiment.space.initialisation),
        *((MASKS_OF_NEW, name, "space.mask") for name in experiment.space.mask),
    ]
    for step in experiment.growth.schedule:
        wanted += [
            (OPERATORS, step.operator, "growth.schedule operator"),
            (births, step.initialisation, "growth.schedule initialisation"),
            (MASKS_OF_NEW, step.mask, "growth.schedule mask"),
        ]
    for registry, name, what in wanted:
        pick(registry, name, what)
    for step in experiment.growth.schedule:
        if step.initialisation not in {PRESERVING, *INITIALISATIONS[step.operator]}:
            raise InputError(
                f"growth.schedule: {step.operator} has no initialisation {step.initialisation!r}; "
                f"choose from {', '.join(INITIALISATIONS[step.operator])}"
            )
