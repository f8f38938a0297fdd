"""What a tuning found: its trials as rows, the best, the front, and what mattered."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from recursive_lth import seeds
from recursive_lth.running.machine import machine, versions
from recursive_lth.tuning.desk import Desk, hidden
from recursive_lth.tuning.objectives import OBJECTIVES
from recursive_lth.tuning.parameters import decoded
from recursive_lth.tuning.queue import (
    FINISHED,
    RUNS,
    WORKER,
    Attempts,
    losses,
    reason,
    slots,
    standing,
)
from recursive_lth.tuning.ranking import Row, best, front

FORMAT = 1
LEAST_TRIALS = 4  # complete ones; of fewer a regression tells nothing
TREES = 64


def rows(desk: Desk) -> list[Row]:
    """A row for each trial that has ended, in the order of their numbers."""
    return [
        _row(desk, slot, attempts)
        for slot, attempts in slots(desk).items()
        if standing(attempts) in FINISHED
    ]


def _row(desk: Desk, slot: int, attempts: Attempts) -> Row:
    last = attempts[-1]
    is_complete = last.state == TrialState.COMPLETE
    names = desk.experiment.tune.objectives
    is_proposed = set(last.params) == {p.key for p in desk.experiment.tune.parameters}
    return {
        "trial": slot,
        "optuna_number": last.number,
        "state": standing(attempts),
        "reason": reason(attempts),
        "values": decoded(desk.experiment, last.params) if is_proposed else {},
        "objectives": dict(zip(names, last.values, strict=True)) if is_complete else None,
        "runs": last.user_attrs.get(RUNS, []),
        "attempts": len(attempts),
        "losses": losses(attempts),
        "worker": last.user_attrs.get(WORKER, ""),
        "ended": last.datetime_complete.isoformat() if last.datetime_complete else "",
    }


def importances(desk: Desk) -> dict[str, dict[str, float]]:
    """For each objective the share of its variance that each parameter explains.

    Functional analysis of variance over a random forest (Hutter, Hoos and Leyton-Brown 2014), as
    Optuna computes it; main effects, normalised to sum 1. An objective that does not vary, or that
    has too few trials, is left out.
    """
    found: dict[str, dict[str, float]] = {}
    done = desk.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for place, name in enumerate(desk.experiment.tune.objectives):
        if len(done) < LEAST_TRIALS or len({trial.values[place] for trial in done}) < 2:
            continue
        seed = seeds.derive(desk.experiment.seed, "tune", "importances", name) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            found[name] = get_param_importances(
                desk.study,
                evaluator=FanovaImportanceEvaluator(n_trees=TREES, seed=seed),
                target=_objective(place),
            )
    return found


def _objective(place: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: float(trial.values[place])


def summarise(desk: Desk, device: str) -> dict[str, Any]:
    """The whole of a finished tuning as one JSON document."""
    experiment, found = desk.experiment, rows(desk)
    names = experiment.tune.objectives
    runs = {run["folder"]: run for row in found for run in row["runs"]}
    return {
        "format": FORMAT,
        "name": experiment.name,
        "digest": experiment.digest,
        "seed": experiment.seed,
        "claim": experiment.claim,
        "study": {"name": experiment.folder_name, "storage": hidden(desk.url)},
        "objectives": {name: OBJECTIVES[name].direction for name in names},
        "best": best(names, found),
        "front": front(names, found),
        "importances": importances(desk),
        "trials": found,
        "cost": _cost(list(runs.values())),
        "versions": versions(),
        "machine": machine(device, experiment.base.training.threads),
    }


def _cost(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all runs took, each counted once; those of failed trials are not known here."""
    return {
        "runs": len(runs),
        "training_multiply_adds": sum(run["training_cost"] for run in runs),
        "seconds": {"training": sum(run["seconds"] for run in runs)},
    }
