"""The folder of a `prune` run, read: its experiment, the line of each network, its summary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recursive_lth.errors import DamagedFileError
from recursive_lth.files import read_json, read_lines
from recursive_lth.lottery.aggregate import aggregate, pairs
from recursive_lth.report.record import check_folder, check_lines, read_experiment

REQUIRED = (
    *("replicate", "arm", "level", "variant", "density", "remaining_weights", "layers"),
    *("val_accuracy", "test_accuracy", "early_stop_step", "early_stop_test_accuracy"),
    *("is_collapsed", "is_diverged", "training_multiply_adds", "finding_multiply_adds", "steps"),
)


@dataclass(frozen=True)
class TicketsRecord:
    """What a run's folder says; `summary` is None while the run is unfinished.

    `table` and `pairs` are those of the summary, or made of the lines so far.
    """

    folder: Path
    experiment: dict[str, Any]
    lines: list[dict[str, Any]]
    table: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    summary: dict[str, Any] | None

    @property
    def overlap(self) -> list[dict[str, Any]]:
        """Overlaps between the arms' tickets; [] until the run is finished."""
        return list((self.summary or {}).get("overlap", []))

    @property
    def critical(self) -> list[dict[str, Any]]:
        """Critical compressions; [] where none was looked for."""
        return list((self.summary or {}).get("critical", []))

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """What first layers keep; [] until the run is finished."""
        return list((self.summary or {}).get("pictures", []))


def read_tickets(folder: Path) -> TicketsRecord:
    """The record of a `prune` run, finished or not.

    Raises `InputError` where the folder is not a run's, `DamagedFileError` where a file in it is
    not what a run writes.
    """
    check_folder(folder)
    path, summary = folder / "summary.json", None
    if path.exists():
        summary = read_json(path)
        wanted = {"levels", "table", "pairs"}
        if not isinstance(summary, dict) or not wanted <= summary.keys():
            raise DamagedFileError(f"{path} lacks its table: delete it and resume the run")
    stored = read_lines(folder / "levels.jsonl") if summary is None else summary["levels"]
    lines = check_lines(folder, REQUIRED, stored)
    return TicketsRecord(
        folder,
        read_experiment(folder / "experiment.toml"),
        lines,
        aggregate(lines) if summary is None else summary["table"],
        pairs(lines) if summary is None else summary["pairs"],
        summary,
    )
