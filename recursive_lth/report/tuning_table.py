"""Tables of a tuning as rows of text, for the terminal and for the page alike."""

import json
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from recursive_lth.report.quantities import UNKNOWN, count, operations, percent
from recursive_lth.report.table import Table
from recursive_lth.tuning.ranking import Row

OBJECTIVE_WORDS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "val_accuracy": ("validation", percent),
    "remaining_weights": ("weights", count),
    "training_cost": ("training cost", operations),
}


def name_objective(name: str) -> str:
    """An objective in words."""
    return OBJECTIVE_WORDS[name][0]


def write_objective(name: str, value: float) -> str:
    """An objective's value as people read it."""
    return OBJECTIVE_WORDS[name][1](value)


def write_value(value: Any) -> str:
    """A parameter's value, short: lists by their entries.

    >>> write_value(0.123456), write_value(["widen", "deepen"]), write_value(3)
    ('0.1235', 'widen, deepen', '3')
    """
    if isinstance(value, list):
        return ", ".join(write_value(entry) for entry in value) or "none"
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def trials_table(
    rows: Sequence[Row], keys: Sequence[str], objectives: Sequence[str], *, best: Row | None = None
) -> Table:
    """A row for each complete trial.

    `test` is the mean over the trial's runs of the test accuracy of their best tickets by
    validation; nothing is chosen by it.
    """
    headers = ["trial", *(name_objective(name) for name in objectives), "test", *keys]
    lines = [
        [
            f"{row['trial']}{' (best)' if row is best else ''}",
            *(write_objective(name, row["objectives"][name]) for name in objectives),
            percent(test_accuracy(row)),
            *(write_value(row["values"][key]) for key in keys),
        ]
        for row in rows
        if row["objectives"] is not None
    ]
    return Table(headers, lines)


def failed_table(rows: Sequence[Row], keys: Sequence[str]) -> Table:
    """A row for each trial that has no objectives, and why."""
    lines = [
        [
            str(row["trial"]),
            row["state"],
            str(row["attempts"]),
            row["reason"],
            "; ".join(f"{key} = {write_value(row['values'][key])}" for key in keys)
            if row["values"]
            else UNKNOWN,
        ]
        for row in rows
        if row["objectives"] is None
    ]
    return Table(["trial", "state", "attempts", "reason", "values"], lines)


def importances_table(importances: Mapping[str, Mapping[str, float]]) -> Table:
    """A row for each parameter, its share of the variance of each objective."""
    keys = ordered_keys(importances)
    headers = ["parameter", *(name_objective(name) for name in importances)]
    lines = [
        [key, *(percent(shares.get(key, 0.0), digits=0) for shares in importances.values())]
        for key in keys
    ]
    return Table(headers, lines)


def ordered_keys(importances: Mapping[str, Mapping[str, float]]) -> list[str]:
    """All parameters, those that matter most, over all objectives, first."""
    keys = dict.fromkeys(key for shares in importances.values() for key in shares)
    return sorted(
        keys, key=lambda key: -sum(shares.get(key, 0.0) for shares in importances.values())
    )


def test_accuracy(row: Row) -> float | None:
    """The mean test accuracy of a trial's tickets; None where a run has none."""
    found = [run.get("test_accuracy") for run in row["runs"]]
    known = [accuracy for accuracy in found if accuracy is not None]
    return fmean(known) if known and len(known) == len(found) else None
