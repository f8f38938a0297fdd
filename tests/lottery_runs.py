"""Small runs of ticket finding for tests."""

from pathlib import Path
from typing import Any

import pytest

from recursive_lth.config import TicketExperiment
from recursive_lth.config_file import override, ticket_experiment_from
from recursive_lth.lottery.run import prune
from recursive_lth.running import chorus, trainings
from recursive_lth.running.run_folder import RunFolder, run_folder
from recursive_lth.running.train import store
from recursive_lth.running.wanted import Wanted
from recursive_lth.ticket.ticket import Ticket

# 120 samples to train, 30 to validate: 7 steps of 16 an epoch
SMALL: dict[str, Any] = {
    "command": "prune",
    "name": "small",
    "seed": 3,
    "data": {"name": "digits", "train_limit": 150, "test_limit": 40, "validation_fraction": 0.2},
    "start": {"architecture": "mlp", "hidden": [6]},
    "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.02},
    "pruning": {
        "rate": 0.5,
        "rounds": 2,
        "target_density": 0.0,
        "scope": "per_layer",
        "epochs": 0,
        "rewind": "init",
    },
    "tickets": {"replicates": 1},
}
PER_EPOCH, BATCH = 7, 16
Begun = list[tuple[Any, Ticket, Any]]


def small(*settings: str, arms: dict[str, list[str]] | None = None) -> TicketExperiment:
    """The small experiment with settings laid over it, and arms by name."""
    data = override(SMALL, settings)
    if arms:
        data["arms"] = [{"name": name, "set": some} for name, some in arms.items()]
    return ticket_experiment_from(data)


def run(experiment: TicketExperiment, out: Path) -> list[dict[str, Any]]:
    """The lines of a whole run on the CPU."""
    return list(prune(experiment, out=out, device="cpu"))


def folder_of(experiment: TicketExperiment, out: Path) -> RunFolder:
    """The folder of a run."""
    return run_folder(experiment, out)


def tickets(lines: list[dict[str, Any]], arm: str = "ticket") -> list[dict[str, Any]]:
    """The tickets of one arm of the first replicate, by level."""
    return [
        line
        for line in lines
        if (line["arm"], line["variant"], line["replicate"]) == (arm, "ticket", 0)
    ]


def spy_on_trainings(monkeypatch: pytest.MonkeyPatch) -> Begun:
    """Every training: its job, the ticket it began with, and what came of it."""
    seen: Begun = []
    original = store

    def spied(bench: Any, job: Any, fitted: Any, **how: Any) -> None:
        seen.append((job, begins[job.name], fitted))
        original(bench, job, fitted, **how)

    begins: dict[str, Ticket] = {}

    def wanted(bench: Any, ticket: Ticket, job: Any, stop: Any = None) -> Wanted:
        begins[job.name] = ticket
        return Wanted(bench, ticket, job, stop)

    monkeypatch.setattr(trainings, "store", spied)
    monkeypatch.setattr(chorus, "Wanted", wanted)
    return seen
