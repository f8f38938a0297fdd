"""The folder of a `tune` run, read: its experiment, the trials that have ended, its summary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recursive_lth.errors import DamagedFileError
from recursive_lth.files import read_json, read_lines
from recursive_lth.report.record import check_folder, check_lines, read_experiment
from recursive_lth.tuning.ranking import Row, best, complete, front

REQUIRED = ("trial", "state", "reason", "values", "objectives", "runs", "attempts")
WANTED = {"trials", "front", "best", "importances", "objectives"}


@dataclass(frozen=True)
class TuningRecord:
    """What a tuning's folder says; `summary` is None while it is unfinished.

    `trials` are those that have ended, by their numbers.
    """

    folder: Path
    experiment: dict[str, Any]
    trials: list[Row]
    summary: dict[str, Any] | None

    @property
    def objectives(self) -> list[str]:
        """The names of the objectives."""
        return list(self.experiment["tune"]["objectives"])

    @property
    def keys(self) -> list[str]:
        """What varies."""
        return [parameter["key"] for parameter in self.experiment["tune"]["parameters"]]

    @property
    def complete(self) -> list[Row]:
        """The trials that have objectives."""
        return complete(self.trials)

    @property
    def best(self) -> Row | None:
        """The best trial so far."""
        number = best(self.objectives, self.trials)
        return next((row for row in self.trials if row["trial"] == number), None)

    @property
    def front(self) -> list[Row]:
        """The trials that no other beats, in the order of their numbers."""
        numbers = set(front(self.objectives, self.trials))
        return [row for row in self.trials if row["trial"] in numbers]

    @property
    def importances(self) -> dict[str, dict[str, float]]:
        """For each objective the share of each parameter; {} until the tuning is finished."""
        return dict((self.summary or {}).get("importances", {}))


def read_tuning(folder: Path) -> TuningRecord:
    """The record of a `tune` run, finished or not.

    Raises `InputError` where the folder is not a run's, `DamagedFileError` where a file in it is
    not what a run writes.
    """
    check_folder(folder)
    path, summary = folder / "summary.json", None
    if path.exists():
        summary = read_json(path)
        if not isinstance(summary, dict) or not summary.keys() >= WANTED:
            raise DamagedFileError(f"{path} lacks its trials: delete it and give `tune` again")
    stored = read_lines(folder / "trials.jsonl") if summary is None else summary["trials"]
    experiment = read_experiment(folder / "experiment.toml")
    if not isinstance(experiment.get("tune"), dict):
        raise DamagedFileError(f"{folder / 'experiment.toml'} has no [tune]: run it again")
    return TuningRecord(folder, experiment, check_lines(folder, REQUIRED, stored), summary)
