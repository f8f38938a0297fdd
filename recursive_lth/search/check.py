"""Can an experiment of recursive growth be run as it stands? Asked before anything is written."""

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Experiment, GrowthStep, Space
from recursive_lth.config.ignored import OWN
from recursive_lth.errors import InputError
from recursive_lth.growth.initialise import INITIALISATIONS, PRESERVING
from recursive_lth.growth.masks_of_new import MASKS_OF_NEW
from recursive_lth.growth.operators import COMPOUNDS, OPERATORS, PLACES
from recursive_lth.growth.optimizer import INHERIT
from recursive_lth.pruning.controls import CONTROLS
from recursive_lth.pruning.scores import NEEDS_TALLY
from recursive_lth.running import check
from recursive_lth.search.confirm import TRAINED_ON
from recursive_lth.search.judging.cuts import CUTS
from recursive_lth.search.judging.race import RACES
from recursive_lth.search.policies.catalogue import POLICIES, check_policy
from recursive_lth.search.triggers import TRIGGERS
from recursive_lth.shelf import in_space_file
from recursive_lth.training.loop import steps_in

COPYING = ("stretch", "stretch_widen")  # operators whose new layers have models


def check_rewind(experiment: Experiment, samples: int) -> None:
    """Raise `InputError` where the step to rewind to lies beyond generation 0's training."""
    recipe, pruning = experiment.training, experiment.pruning
    steps = steps_in(recipe.epochs, samples, recipe.batch_size)
    step = pruning.rewind_step(steps_in(1, samples, recipe.batch_size))
    check.check_moment("pruning.rewind", pruning.rewind, step, steps)


def check_names(experiment: Experiment) -> None:
    """Raise `InputError`, naming key and nearest match, where a name is not in its registry."""
    operators = {**OPERATORS, **COMPOUNDS}
    controls = {**CONTROLS, TRAINED_ON: 0}
    births = {PRESERVING: 0} | {n: 0 for known in INITIALISATIONS.values() for n in known}
    more: check.Wanted = [
        (TRIGGERS, experiment.growth.trigger, "growth.trigger"),
        (INHERIT, experiment.growth.optimizer, "growth.optimizer"),
        (CUTS, experiment.growth.cut, "growth.cut"),
        (RACES, experiment.growth.race, "growth.race"),
        *((controls, name, "acceptance.controls") for name in experiment.acceptance.controls),
        *((operators, name, "space.operator") for name in experiment.space.operator),
        *((births, name, "space.initialisation") for name in experiment.space.initialisation),
        *((MASKS_OF_NEW, name, "space.mask") for name in experiment.space.mask),
    ]
    if not experiment.growth.policy.startswith(OWN):
        more.append((POLICIES, experiment.growth.policy, "growth.policy"))
    for step in experiment.growth.schedule:
        more += [
            (operators, step.operator, "growth.schedule operator"),
            (births, step.initialisation, "growth.schedule initialisation"),
            (MASKS_OF_NEW, step.mask, "growth.schedule mask"),
        ]
    try:
        check.check_names(experiment, more)
    except InputError as error:
        if "space." not in str(error):
            raise
        raise InputError(in_space_file(experiment, str(error))) from None
    for step in experiment.growth.schedule:
        parts = COMPOUNDS.get(step.operator, (step.operator,))
        known = dict.fromkeys(name for part in parts for name in INITIALISATIONS[part])
        if step.initialisation not in {PRESERVING, *known}:
            raise InputError(
                f"growth.schedule: {step.operator} has no initialisation {step.initialisation!r}; "
                f"choose from {', '.join(known)}"
            )


def check_fit(experiment: Experiment, start: Architecture, samples: int) -> None:
    """Raise `InputError` where an experiment does not fit its first network or its data."""
    check_rewind(experiment, samples)
    check_backtracking(experiment)
    check.check_target(experiment.pruning, start)
    check_growth(experiment, start)


def check_backtracking(experiment: Experiment) -> None:
    """Raise `InputError` where growth could never go on from an earlier ticket."""
    back, patience = experiment.acceptance.backtrack, experiment.budget.patience
    if back and 0 < patience <= back:
        raise InputError(
            f"budget.patience={patience} ends the run before acceptance.backtrack={back} goes "
            "back: set a larger patience, or 0"
        )
    if back and experiment.growth.policy == "never":
        raise InputError(
            "acceptance.backtrack grows an earlier ticket otherwise, and growth.policy=never does "
            "not: set acceptance.backtrack=0"
        )


def check_growth(experiment: Experiment, start: Architecture) -> None:
    """Raise `InputError` where a growth could not be made, or a setting of it would be ignored."""
    growth, space = experiment.growth, experiment.space
    check_policy(experiment)
    if growth.in_a_row > 1 and experiment.acceptance.rule == "paired":
        raise InputError(
            "acceptance.rule=paired holds a ticket against its parent, which growth.in_a_row="
            f"{growth.in_a_row} leaves unpruned: choose another rule, or growth.in_a_row=1"
        )
    if 0 < experiment.pruning.quarantine < growth.in_a_row:
        raise InputError(
            f"pruning.quarantine={experiment.pruning.quarantine} is over before the first of "
            f"growth.in_a_row={growth.in_a_row} growths is pruned: set it to {growth.in_a_row} at "
            "least"
        )
    if growth.trigger == "mask_stability" and experiment.pruning.granularity == "unit":
        raise InputError(
            "growth.trigger=mask_stability compares masks of weights, and pruning.granularity=unit "
            "cuts whole units: choose another trigger"
        )
    if space.density != Space().density and "random" not in space.mask:
        raise InputError("space.density is that of space.mask random alone: leave it out")
    for step in growth.schedule:
        if step.density != GrowthStep().density and step.mask != "random":
            raise InputError(
                "growth.schedule: density is that of mask random alone, got mask "
                f"{step.mask}: leave it out"
            )
        if step.mask == "copied" and step.operator not in COPYING:
            raise InputError(
                f"growth.schedule: {step.operator} copies no layer, so mask copied would be dense: "
                f"name another, or grow by {' or '.join(COPYING)}"
            )
    if growth.schedule:
        first = growth.schedule[0]
        for part in COMPOUNDS.get(first.operator, (first.operator,))[:1]:
            places = PLACES[part](start)
            if not places:
                raise InputError(
                    f"growth.schedule: {part} has no place in {experiment.start.architecture}: "
                    "begin with another operator, or with another start.architecture"
                )


def check_pruning(experiment: Experiment) -> None:
    """Raise `InputError` where the pruning asks for what only `prune` can do."""
    pruning = experiment.pruning
    if pruning.basis != "identity":
        raise InputError(f"grow moves weights, not coefficients in {pruning.basis}: use `prune`")
    if pruning.pruned != "zero":
        raise InputError("grow needs pruning.pruned=zero: filled places cannot grow; use `prune`")
    if pruning.score in NEEDS_TALLY:
        raise InputError(
            f"{pruning.score} adds up a training, and a lineage does not keep that from one "
            "generation to the next: choose another pruning.score, or use `prune`"
        )
    if pruning.epochs == 0:
        raise InputError("pruning.epochs must be above 0 in grow: 0 has a meaning in `prune` alone")
