"""Folders of `tune` runs as the library writes them, of trials invented here."""

import json
from pathlib import Path
from typing import Any

import tomli_w
from tuning_desks import small_tuning

from recursive_lth.config_file import plain
from recursive_lth.tuning.ranking import best, front

OPERATORS = (["widen"], ["deepen"], ["widen", "deepen"])
NAMES = ("val_accuracy", "remaining_weights", "training_cost")
SHARES = {
    "pruning.target_density": 0.6,
    "space.operator": 0.25,
    "growth.candidates": 0.1,
    "growth.policy": 0.05,
    "growth.optimizer": 0.0,
    "training.shrink": 0.0,
}


def trial(number: int, *, names: tuple[str, ...] = NAMES, reason: str = "") -> dict[str, Any]:
    """A trial whose accuracy, weights and cost rise with its number, some of them in vain."""
    step = number % 7
    numbers = {
        "val_accuracy": 0.9 + 0.01 * step,
        "remaining_weights": 500.0 * (1 + step**2) + 10 * number,
        "training_cost": 1e9 * (1 + step) + 1e7 * number,
    }
    run = {"seed": 0, "folder": f"trials/run-{number}", "test_accuracy": 0.88 + 0.01 * step}
    return {
        "trial": number,
        "state": "failed" if reason else "complete",
        "reason": reason,
        "values": {
            "growth.policy": "random" if number % 2 else "tpe",
            "space.operator": OPERATORS[number % 3],
            "growth.candidates": 1 + number % 4,
            "growth.optimizer": "reset",
            "pruning.target_density": round(0.2 + 0.02 * number, 4),
            "training.shrink": 0.75,
        },
        "objectives": None if reason else {name: numbers[name] for name in names},
        "runs": [] if reason else [run],
        "attempts": 1,
    }


def write_tuning(
    folder: Path,
    *,
    names: tuple[str, ...] = NAMES,
    count: int = 12,
    is_finished: bool = True,
    failed: tuple[int, ...] = (3,),
) -> Path:
    """A tuning's folder; the trials in `failed` have a reason with markup in it."""
    folder.mkdir(parents=True)
    experiment = small_tuning(f"tune.objectives={json.dumps(list(names))}", "tune.trials=12")
    values = {"format": 1, **plain(experiment), "claim": "More <b>weights</b> & more accuracy."}
    (folder / "experiment.toml").write_text(tomli_w.dumps(values), "utf-8")
    rows = [
        trial(n, names=names, reason="diverges: <script>" if n in failed else "")
        for n in range(count)
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "trials.jsonl").write_text(lines, "utf-8")
    if is_finished:
        summary = {
            "name": "tune_digits",
            "digest": "0" * 64,
            "best": best(names, rows),
            "front": front(names, rows),
            "importances": dict.fromkeys(names, SHARES),
            "objectives": dict.fromkeys(names, "maximize"),
            "trials": rows,
            "cost": {
                "runs": count,
                "training_multiply_adds": 10**10,
                "seconds": {"training": 99.0},
            },
            "versions": {"python": "3.11"},
            "machine": {"cores": 2},
        }
        (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    return folder
