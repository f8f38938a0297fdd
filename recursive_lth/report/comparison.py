"""Runs of recursive growth held against each other: what differs, and what each came to over seeds.

Runs that differ in nothing but name, claim and seed are replicates. The first group, the best by
validation accuracy, is what the others are compared with, in pairs of equal seeds.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recursive_lth.errors import InputError
from recursive_lth.files import canonical_json, read_json
from recursive_lth.report.standing import best_of
from recursive_lth.report.template import flatten
from recursive_lth.statistics import average, interval

APART = ("name", "claim", "seed", "format")  # what tells replicates apart, or nothing at all
NUMBERS = ("val_accuracy", "test_accuracy", "remaining_weights", "depth")


@dataclass(frozen=True)
class Run:
    """A finished run: its settings by dotted key, its seed, and its best ticket's numbers."""

    settings: Mapping[str, Any]
    seed: int
    numbers: Mapping[str, float]


def finished_runs(folders: Iterable[Path]) -> list[Run]:
    """The runs among folders that are finished and found a ticket within their budget.

    The last generation of a run goes beyond `budget.multiply_adds`; what it found does not count,
    so that runs of one budget are held against each other at one cost.
    """
    found = []
    for folder in sorted(folders):
        if not (folder / "summary.json").exists() or not (folder / "lineage.jsonl").exists():
            continue
        summary = read_json(folder / "summary.json")
        experiment = tomllib.loads((folder / "experiment.toml").read_text("utf-8"))
        bound = experiment["budget"]["multiply_adds"] or math.inf
        paid = [line for line in summary["tickets"] if line["training_cost"] <= bound]
        best = best_of(paid)
        if best is None:
            continue
        numbers = {name: best[name] for name in NUMBERS}
        numbers["multiply_adds"] = paid[-1]["training_cost"]
        found.append(Run(flatten(experiment), summary["seed"], numbers))
    return found


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Groups from best to worst: settings that differ, seeds, mean and spread of each number.

    `behind` is the mean paired difference of test accuracy to the best group over seeds that both
    have, with its 95 % interval. Raises `InputError` where there is no run.
    """
    if not runs:
        raise InputError("no finished run of grow: give the beginning of a run's name, or --out")
    groups: dict[str, list[Run]] = {}
    for run in runs:
        own = {key: value for key, value in run.settings.items() if key not in APART}
        groups.setdefault(canonical_json(own), []).append(run)
    differing = _differing([some[0] for some in groups.values()])
    rows = [_row(some, differing) for some in groups.values()]
    rows.sort(key=lambda row: -row["val_accuracy"]["mean"])
    best = rows[0]["by_seed"]
    for row in rows:
        shared = sorted(set(best) & set(row["by_seed"]))
        pairs = [row["by_seed"][seed] - best[seed] for seed in shared]
        row["behind"] = interval(pairs) if pairs and row is not rows[0] else None
    return {"differing": differing, "groups": rows}


def _row(some: Sequence[Run], differing: Sequence[str]) -> dict[str, Any]:
    names = (*NUMBERS, "multiply_adds")
    return {
        "settings": {key: some[0].settings.get(key) for key in differing},
        "seeds": sorted(run.seed for run in some),
        **{name: average(run.numbers[name] for run in some) for name in names},
        "by_seed": {run.seed: run.numbers["test_accuracy"] for run in some},
    }


def _differing(runs: Sequence[Run]) -> list[str]:
    """Keys whose values are not the same in all."""
    keys = sorted({key for run in runs for key in run.settings if key not in APART})
    return [key for key in keys if len({canonical_json(run.settings.get(key)) for run in runs}) > 1]
