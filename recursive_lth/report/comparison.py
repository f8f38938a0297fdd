"""Runs of recursive growth held against each other: what differs, and what each came to over seeds.

Runs that differ in nothing but name, claim and seed are replicates. The first group, the best by
validation accuracy, is what the others are compared with, in pairs of equal seeds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.files import canonical_json, is_set_aside, read_json, read_lines
from recursive_lth.report.record import check_lines, read_experiment
from recursive_lth.report.standing import best_of
from recursive_lth.report.template import flatten
from recursive_lth.statistics import average, interval

APART = ("name", "claim", "seed", "format")  # what tells replicates apart, or nothing at all
NUMBERS = ("val_accuracy", "test_accuracy", "remaining_weights", "depth")
READ = (*NUMBERS, "generation", "accepted", "val_calibrated_loss", "training_cost")


@dataclass(frozen=True)
class Run:
    """A finished run: its settings by dotted key, its seed, and its best ticket's numbers."""

    folder: Path
    settings: Mapping[str, Any]
    seed: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class LeftOut:
    """A run that does not count, and the reason in words."""

    folder: Path
    settings: Mapping[str, Any]
    seed: int
    reason: str


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """The runs of grow that are finished and found a ticket within their budget, and the others.

    The last generation of a run goes beyond `budget.multiply_adds`; what it found does not count,
    so that runs of one budget are held against each other at one cost. Folders of other commands
    are passed over, and those that `--resume never` set aside. Raises `DamagedFileError` where a
    run's experiment, summary or lineage is not what a run writes.
    """
    read = [_read(folder) for folder in sorted(folders) if not is_set_aside(folder)]
    runs = [run for run in read if isinstance(run, Run)]
    return runs, [run for run in read if isinstance(run, LeftOut)]


def _read(folder: Path) -> Run | LeftOut | None:
    """The run in a folder; None where the folder is of no run of grow."""
    settings = _settings(folder)
    if settings is None:
        return None
    seed, bound = settings["seed"], settings["budget.multiply_adds"] or math.inf
    if not (folder / "summary.json").exists():
        reason = "unfinished; the same `grow` command goes on"
        return LeftOut(folder, settings, seed, reason)
    tickets = _tickets(folder)
    if tickets is None:
        return None
    paid = [line for line in tickets if line["training_cost"] <= bound]
    best = best_of(paid)
    if best is None:
        within = f" within budget.multiply_adds={bound:g}" if best_of(tickets) else ""
        return LeftOut(folder, settings, seed, f"no accepted ticket{within}")
    numbers = {name: best[name] for name in NUMBERS}
    return Run(folder, settings, seed, numbers | {"multiply_adds": paid[-1]["training_cost"]})


def _settings(folder: Path) -> dict[str, Any] | None:
    """A run's settings by dotted key; None where the folder is of no run, or another command's."""
    path = folder / "experiment.toml"
    cure = "restore it, or delete the folder and run the experiment again"
    if not path.exists():
        if (folder / "lineage.jsonl").exists():
            raise DamagedFileError(f"{path} is gone: {cure}")
        return None
    experiment = read_experiment(path)
    if experiment.get("command", "grow") != "grow":
        return None
    settings = flatten(experiment)
    for key in ("seed", "budget.multiply_adds"):
        if key not in settings:
            raise DamagedFileError(f"{path} lacks {key}: {cure}")
    return settings


def _tickets(folder: Path) -> list[dict[str, Any]] | None:
    """The tickets in the summary of a finished run; None where it is one of `signal`.

    The lineage is read too, though the summary holds it: damage shows.
    """
    path, lineage = folder / "summary.json", folder / "lineage.jsonl"
    summary, lines = read_json(path), read_lines(lineage, is_appended=False)
    tickets = summary.get("tickets") if isinstance(summary, dict) else None
    if tickets is None and isinstance(summary, dict) and not lineage.exists():
        return None
    if not isinstance(tickets, list):
        raise DamagedFileError(f"{path} has no list of tickets: delete it and resume the run")
    if not lines:
        raise DamagedFileError(
            f"{lineage} is gone or empty: restore it or run again with --resume never"
        )
    return check_lines(path, READ, tickets)


def compare(runs: Sequence[Run], left_out: Sequence[LeftOut] = ()) -> dict[str, Any]:
    """Groups from best to worst: settings that differ, seeds, mean and spread of each number.

    `behind` is the mean paired difference of test accuracy to the best group over seeds that both
    have, with its 95 % interval. `left_out` names the runs that are in no group, with the settings
    that differ among all. Raises `InputError` where there is no run, or two of one seed in a group.
    """
    if not runs:
        known = "; ".join(f"{left.folder.name}: {left.reason}" for left in left_out)
        raise InputError(
            f"no finished run of grow to compare{known and f' ({known})'}: "
            "give the beginning of a run's name, or --out"
        )
    groups: dict[str, list[Run]] = {}
    for run in runs:
        own = {key: value for key, value in run.settings.items() if key not in APART}
        groups.setdefault(canonical_json(own), []).append(run)
    for some in groups.values():
        _check_seeds(some)
    differing = _differing([some[0].settings for some in groups.values()])
    rows = [_row(some, differing) for some in groups.values()]
    rows.sort(key=lambda row: -row["val_accuracy"]["mean"])
    best = rows[0]["by_seed"]
    for row in rows:
        shared = sorted(set(best) & set(row["by_seed"]))
        pairs = [row["by_seed"][seed] - best[seed] for seed in shared]
        row["behind"] = interval(pairs) if pairs and row is not rows[0] else None
    return {"differing": differing, "groups": rows, "left_out": _left_out(runs, left_out)}


def _check_seeds(some: Sequence[Run]) -> None:
    """Raise `InputError` where two runs of a group have one seed: they would count twice."""
    first: dict[int, Path] = {}
    for run in some:
        if run.seed in first:
            raise InputError(
                f"{first[run.seed]} and {run.folder} are runs of one experiment and seed {run.seed}"
                ", which would count twice: move one of them to another folder"
            )
        first[run.seed] = run.folder


def _left_out(runs: Sequence[Run], left_out: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """A row for each run left out, with its settings that are not the same in all runs."""
    everyone = [run.settings for run in runs] + [left.settings for left in left_out]
    differing = _differing(everyone)
    return [
        {
            "folder": str(left.folder),
            "settings": {key: left.settings.get(key) for key in differing},
            "seed": left.seed,
            "reason": left.reason,
        }
        for left in left_out
    ]


def _row(some: Sequence[Run], differing: Sequence[str]) -> dict[str, Any]:
    names = (*NUMBERS, "multiply_adds")
    return {
        "settings": {key: some[0].settings.get(key) for key in differing},
        "seeds": sorted(run.seed for run in some),
        **{name: average(run.numbers[name] for run in some) for name in names},
        "by_seed": {run.seed: run.numbers["test_accuracy"] for run in some},
    }


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys whose values are not the same in all."""
    keys = sorted({key for own in settings for key in own if key not in APART})
    return [key for key in keys if len({canonical_json(own.get(key)) for own in settings}) > 1]
