"""How many levels and trainings a run of ticket finding has, and what it will cost."""

import math
from collections.abc import Mapping
from typing import Any

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import TicketExperiment
from recursive_lth.pruning.schedule import target


def levels_of(experiment: TicketExperiment, architecture: Architecture) -> int:
    """About how many levels follow level 0; exact where `tickets.densities` names them."""
    pruning, weights = experiment.pruning, cost(architecture).weights
    if experiment.tickets.densities:
        return len(experiment.tickets.densities)
    if pruning.schedule == "one_shot" or pruning.kept_of:
        return 1
    goal = target(architecture, pruning)
    if pruning.schedule != "iterative" or not goal:
        return pruning.rounds
    needed = math.ceil(math.log(max(1.0, weights / goal)) / -math.log1p(-pruning.rate) - 1e-9)
    return min(needed, pruning.rounds) if pruning.rounds else needed


def has_controls(experiment: TicketExperiment, level: int) -> bool:
    """True iff a level's ticket is held against its controls, and trained elsewhere."""
    at = experiment.tickets.control_levels
    return level in at if at else level > 0


def trainings_of(experiment: TicketExperiment, architecture: Architecture) -> list[float]:
    """The epochs of one replicate of an arm, level by level, were nothing stopped early."""
    levels = levels_of(experiment, architecture)
    first = experiment.training.epochs
    later = experiment.pruning.epochs or first
    controls = len(experiment.tickets.controls)
    if experiment.supermask.method:
        later, first = experiment.supermask.epochs, first
    beside = controls * later + experiment.transfer.is_wanted * (1 + controls) * first
    return [first, *(later + beside * has_controls(experiment, n) for n in range(1, levels + 1))]


def plan(
    arms: Mapping[str, TicketExperiment],
    architectures: Mapping[str, Architecture],
    samples: Mapping[str, int],
) -> dict[str, Any]:
    """Trainings, steps and multiply-adds of a run, were every ticket as dear as its dense start.

    An estimate from above: pruning and early stops make it cheaper, and arms that begin alike share
    their dense training.
    """
    found: list[dict[str, Any]] = []
    for name, experiment in arms.items():
        whole, replicates = cost(architectures[name]), experiment.tickets.replicates
        epochs = sum(trainings_of(experiment, architectures[name])) * replicates
        batch = min(experiment.training.batch_size, samples[name])
        steps = round(epochs * max(1, samples[name] // batch))
        found.append(
            {
                "arm": name,
                "weights": whole.weights,
                "multiply_adds": whole.multiply_adds,
                "levels": levels_of(experiment, architectures[name]),
                "replicates": replicates,
                "epochs": epochs,
                "training_steps": steps,
                "training_multiply_adds": training_cost(whole.multiply_adds, steps * batch),
            }
        )
    keys = ("epochs", "training_steps", "training_multiply_adds")
    return {"arms": found, **{key: sum(arm[key] for arm in found) for key in keys}}
