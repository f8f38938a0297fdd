"""A run's folder, read: its experiment, the tickets of its lineage, its curves and its summary."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.files import read_json, read_lines

COMMANDS = ("grow", "prune", "tune", "study")
REQUIRED = (
    *("digest", "parent", "generation", "operator", "growth", "depth", "weights"),
    *("remaining_weights", "density", "remaining_multiply_adds", "val_accuracy"),
    *("val_calibrated_loss", "test_accuracy", "accepted", "verdict", "training_cost"),
    *("certificate", "candidates", "layers", "architecture"),
)
POINT = ("generation", "phase", "candidate", "round", "step", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says; `summary` is None while the run is unfinished.

    `generations` are the lines of the lineage in the order they were written, with the test
    accuracies of the summary where there is one; `metrics` are the points of the curves.
    """

    folder: Path
    experiment: dict[str, Any]
    generations: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    summary: dict[str, Any] | None


def read_run(folder: Path) -> RunRecord:
    """The record of the run in `folder`, finished or not; a last line still being written is left.

    Raises `InputError` where the folder is not a run's, `DamagedFileError` where a file in it is
    not what a run writes.
    """
    check_folder(folder)
    summary = _read_summary(folder / "summary.json")
    lineage = read_lines(
        folder / "lineage.jsonl"
    )  # read even where the summary holds it: damage shows
    stored = lineage if summary is None else summary["tickets"]
    return RunRecord(
        folder=folder,
        experiment=read_experiment(folder / "experiment.toml"),
        generations=check_lines(folder, REQUIRED, stored),
        metrics=check_lines(folder, POINT, read_lines(folder / "metrics.jsonl")),
        summary=summary,
    )


def check_folder(folder: Path) -> None:
    """Raise `InputError` where the folder is not a run's."""
    cure = "give the folder that `grow`, `prune`, `tune` or `study` made: runs/NAME-DIGEST"
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: {cure}")
    if not (folder / "experiment.toml").is_file():
        raise InputError(f"{folder} is not a run's folder, it has no experiment.toml: {cure}")


def command_of(folder: Path) -> str:
    """The command that made a run's folder: grow, prune, tune or study.

    Raises `DamagedFileError` where its experiment names another.
    """
    check_folder(folder)
    path = folder / "experiment.toml"
    command = str(read_experiment(path).get("command", "grow"))
    if command not in COMMANDS:
        raise DamagedFileError(f"{path} is of a command {command!r}: run the experiment again")
    return command


def read_experiment(path: Path) -> dict[str, Any]:
    """The plain tables of a run's experiment."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path} is not TOML ({error}): run the experiment again") from None


def _read_summary(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    summary = read_json(path)
    if not isinstance(summary, dict) or not isinstance(summary.get("tickets"), list):
        raise DamagedFileError(f"{path} has no list of tickets: delete it and resume the run")
    return summary


def check_lines(folder: Path, keys: Sequence[str], lines: list[Any]) -> list[dict[str, Any]]:
    """The lines as they are. Raises `DamagedFileError` where one lacks a key that figures need."""
    for line in lines:
        known = line if isinstance(line, dict) else {}
        missing = [key for key in keys if key not in known]
        if missing:
            raise DamagedFileError(
                f"{folder}: a line of its lineage or metrics lacks {', '.join(missing)}: "
                "run it again with --resume never"
            )
    return lines
