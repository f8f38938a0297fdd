"""About what a run will cost, before it starts."""

import math
from typing import Any

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Shape
from recursive_lth.config import Experiment, Growth, Pruning
from recursive_lth.pruning.schedule import target
from recursive_lth.running.start import build
from recursive_lth.search.confirm import TRAINED_ON
from recursive_lth.search.judging.race import leaders
from recursive_lth.search.turn import is_pruned_in

GROWS = 1.5  # times as many weights by one growth, about
MOST_GROWTHS = 40  # in a row that a plan believes in: ten million times as many weights


def start_architecture(experiment: Experiment, sample_shape: Shape, classes: int) -> Architecture:
    """The architecture of generation 0."""
    return build(experiment.start, sample_shape, classes)


def planned_epochs(experiment: Experiment, architecture: Architecture) -> list[float]:
    """Epochs of training in each generation from 0 on, were no candidate stopped early.

    Confirmations, where the rule asks for them, are among them, and so are whole races.
    """
    searched = _searched_epochs(experiment, architecture)
    raced = planned_races(experiment)
    confirmed = planned_confirmation(experiment, architecture)
    return [sum(parts) for parts in zip(searched, raced, confirmed, strict=True)]


def planned_races(experiment: Experiment) -> list[float]:
    """Epochs of each generation's race, at most: as if nobody left it before its last seed.

    Its runners are not growing and the best `growth.keep` of all growths that are trained.
    """
    growth, later = experiment.growth, max(0, experiment.budget.generations - 1)
    runners = 1 + leaders(growth.keep, growth.candidates) if _judged(growth) else 0
    return [0.0, 0.0, *[(growth.replicates - 1) * runners * growth.judge_epochs] * later]


def planned_confirmation(experiment: Experiment, architecture: Architecture) -> list[float]:
    """Epochs of each generation's paired trainings, by the multiply-adds that each is given.

    Ticket and parent take as many, a control those of all that led to the ticket as well, or of the
    last round of pruning where weights are rewound.
    """
    rule, pruning, growth = experiment.acceptance, experiment.pruning, experiment.growth
    turns = _searched_epochs(experiment, architecture)
    if rule.rule != "paired":
        return [0.0] * len(turns)
    found, past = [0.0], turns[0]
    for number, searched in enumerate(turns[1:], start=1):
        judged = _judged(growth) * growth.judge_epochs if number > 1 else 0.0
        own = searched - judged + (growth.judge_epochs if judged else 0.0)  # of the chosen one
        past = past + own if pruning.keeps_trained else pruning.epochs
        longer = [own if name == TRAINED_ON else past for name in rule.controls]
        each = rule.epochs * (2 + len(longer)) + sum(longer)
        found.append(rule.replicates * each)
    return found


def _searched_epochs(experiment: Experiment, architecture: Architecture) -> list[float]:
    """Epochs of each generation without confirmations."""
    growth, pruning = experiment.growth, experiment.pruning
    weights = cost(architecture).weights
    goal = target(architecture, pruning)
    first = _rounds(weights, goal, pruning)
    grown = _judged(growth) * growth.judge_epochs + growth.epochs
    if growth.policy == "never":
        grown = 0.0
    found, row = [experiment.training.epochs, first * pruning.epochs], 0
    for number in range(2, experiment.budget.generations + 1):
        row += 1  # growths since the last pruning
        found.append(grown)
        if is_pruned_in(experiment, number):
            rounds = _rounds(round(goal * GROWS ** min(row, MOST_GROWTHS)), goal, pruning)
            found[-1] += rounds * pruning.epochs
            row = 0
    return found


def _judged(growth: Growth) -> int:
    """How many candidates are trained in a generation, not growing among them."""
    return 0 if growth.policy in {"fixed", "never"} else growth.candidates + 1


def plan(experiment: Experiment, sample_shape: Shape, classes: int, samples: int) -> dict[str, Any]:
    """Steps and multiply-adds of a run, were every network as dear as the dense start.

    An estimate: pruning and early stops make it cheaper, large growth dearer.
    """
    architecture = start_architecture(experiment, sample_shape, classes)
    epochs = sum(planned_epochs(experiment, architecture))
    whole = cost(architecture)
    batch = min(experiment.training.batch_size, samples)
    steps = round(epochs * max(1, samples // batch))
    return {
        "start": {
            "architecture": experiment.start.architecture,
            "depth": architecture.depth,
            "weights": whole.weights,
            "multiply_adds": whole.multiply_adds,
        },
        "generations": experiment.budget.generations,
        "training_samples": samples,
        "epochs": epochs,
        "race_epochs": sum(planned_races(experiment)),
        "confirmation_epochs": sum(planned_confirmation(experiment, architecture)),
        "training_steps": steps,
        "training_multiply_adds": training_cost(whole.multiply_adds, steps * batch),
    }


def _rounds(weights: int, goal: int, pruning: Pruning) -> int:
    """Rounds from so many weights down to the goal, within the limit of rounds."""
    if not goal:
        return pruning.rounds
    needed = math.ceil(math.log(max(1.0, weights / goal)) / -math.log1p(-pruning.rate) - 1e-9)
    return min(needed, pruning.rounds) if pruning.rounds else needed
