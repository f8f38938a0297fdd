"""The folder of a `study`, read: its experiment, readings, curves, verdicts and summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recursive_lth.config import generation_of_arm
from recursive_lth.errors import DamagedFileError
from recursive_lth.files import read_json, read_lines
from recursive_lth.report.record import check_folder, check_lines, read_experiment

Row = Mapping[str, Any]
Place = tuple[int, float]  # number of a training (or generation), and the moment of it
READING = ("arm", "seed", "training", "moment", "values")
CURVE = ("arm", "seed", "training", "curve")
VERDICT = (
    *("name", "arm", "rival", "measure", "unit", "direction", "pairs", "effect", "standardised"),
    *("p", "p_exact", "p_holm", "verdict", "margin", "seeds_needed", "budget", "words"),
)


@dataclass(frozen=True)
class StudyRecord:
    """What a study's folder says; `summary` is None while it is unfinished, and no verdicts yet.

    Each reading has the number of its `training`, which along a lineage is its generation. Of a
    verdict `pairs` are those that have both values, `lacking` the seeds of the others.
    """

    folder: Path
    experiment: dict[str, Any]
    readings: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    family: dict[str, Any]  # of the verdicts: level and correction; {} without any
    summary: dict[str, Any] | None

    @property
    def is_lineage(self) -> bool:
        """True iff the tickets of a `grow` run were put under the panel, one after another."""
        return any("generation" in reading for reading in self.readings)

    @property
    def arms(self) -> list[str]:
        """The arms that have readings or curves, in the order of the experiment."""
        found = dict.fromkeys(row["arm"] for row in [*self.readings, *self.curves])
        declared = [arm["name"] for arm in self.experiment.get("arms", ())]
        return [
            *(arm for arm in declared if arm in found),
            *(a for a in found if a not in declared),
        ]

    @property
    def moves(self) -> dict[str, list[str]]:
        """What each declared arm does."""
        arms = self.experiment.get("arms", ())
        return {arm["name"]: [str(move) for move in arm.get("moves", ())] for arm in arms}

    @property
    def seeds(self) -> list[int]:
        """The seeds that have readings."""
        return sorted({reading["seed"] for reading in self.readings})

    @cached_property
    def about(self) -> dict[str, dict[str, Any]]:
        """For each measure that was read its unit, better side, cost, and what it says."""
        told = (self.summary or {}).get("measures", {})
        read = dict.fromkeys(name for reading in self.readings for name in reading["values"])
        names = [*(name for name in told if name in read), *(n for n in read if n not in told)]
        return {name: dict(told.get(name, {})) for name in names}

    def unit(self, measure: str) -> str:
        """The unit of a measure; "" where it has none or is not told yet."""
        return str(self.about.get(measure, {}).get("unit", ""))

    @cached_property
    def table(self) -> dict[tuple[str, str], dict[Place, dict[int, float | None]]]:
        """For each measure and arm where it was read, in order, and what each seed read there."""
        found: dict[tuple[str, str], dict[Place, dict[int, float | None]]] = {}
        for reading in sorted(self.readings, key=lambda r: (r["training"], r["moment"], r["seed"])):
            place = reading["training"], float(reading["moment"])
            for measure, value in reading["values"].items():
                places = found.setdefault((measure, reading["arm"]), {})
                places.setdefault(place, {})[reading["seed"]] = value
        return found

    def places(self, measure: str, arm: str) -> list[Place]:
        """Where a measure was read in an arm, in order."""
        return list(self.table.get((measure, arm), {}))

    def values(self, measure: str, arm: str, place: Place) -> dict[int, float]:
        """What each seed read there; a seed where the measure says nothing is left out."""
        found = self.seeds_at(measure, arm, place)
        return {seed: float(value) for seed, value in found.items() if value is not None}

    def seeds_at(self, measure: str, arm: str, place: Place) -> dict[int, float | None]:
        """What each seed read there, None where the measure says nothing."""
        return self.table.get((measure, arm), {}).get(place, {})

    def lacks(self, measure: str, arm: str, place: Place) -> str:
        """`4 of 5` where a measure says something in 4 of 5 seeds read there; "" where in all."""
        found = self.seeds_at(measure, arm, place)
        known = sum(value is not None for value in found.values())
        return f"{known} of {len(found)}" if known < len(found) else ""


def read_study(folder: Path) -> StudyRecord:
    """The record of a study, finished or not; of what a resumed one read twice the later holds.

    Raises `InputError` where the folder is not a run's, `DamagedFileError` where a file in it is
    not what a study writes.
    """
    check_folder(folder)
    summary = _read_table(folder / "summary.json")
    found = _read_table(folder / "verdicts.json") or {}
    readings = _along(check_lines(folder, READING, read_lines(folder / "readings.jsonl")))
    curves = _along(check_lines(folder, CURVE, read_lines(folder / "curves.jsonl")))
    return StudyRecord(
        folder,
        read_experiment(folder / "experiment.toml"),
        _latest(readings, ("arm", "seed", "training", "moment")),
        _latest(curves, ("arm", "seed", "training")),
        [_split(v) for v in check_lines(folder, VERDICT, found.get("verdicts", []))],
        dict(found.get("family", {})),
        summary,
    )


def _along(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows; where all arms are generations of one run, as those of its lineage, one by one."""
    found = [generation_of_arm(row["arm"]) for row in rows]
    numbers = [number for number in found if number is not None]
    if len(numbers) < len(rows):
        return list(rows)
    return [
        {**row, "arm": "lineage", "generation": number, "training": number}
        for row, number in zip(rows, numbers, strict=True)
    ]


def _split(verdict: Row) -> dict[str, Any]:
    """A verdict with its pairs apart from the seeds on which an arm has no value."""
    whole = [pair for pair in verdict["pairs"] if None not in (pair["arm"], pair["rival"])]
    lacking = [pair["seed"] for pair in verdict["pairs"] if pair not in whole]
    return {**verdict, "pairs": whole, "lacking": lacking}


def _latest(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    return list({tuple(row[key] for key in keys): row for row in rows}.values())


def _read_table(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found = read_json(path)
    if not isinstance(found, dict):
        raise DamagedFileError(f"{path} is not a table: delete it and give `study` again")
    return found
