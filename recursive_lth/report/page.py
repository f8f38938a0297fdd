"""The report of a run: one HTML page that stands alone, and its file."""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from recursive_lth.files import write_atomic
from recursive_lth.report.answer import find_answer
from recursive_lth.report.canvas import DARK, LIGHT
from recursive_lth.report.figures import draw_figures, draw_growths
from recursive_lth.report.quantities import count, duration, operations
from recursive_lth.report.record import RunRecord, read_run
from recursive_lth.report.standing import best, front
from recursive_lth.report.table import certificate_table, front_table, lineage_table

Rows = list[tuple[str, str]]


def write_report(folder: Path) -> Path:
    """The path of the `report.html` written into a run's folder; whole or not at all.

    Raises what `read_run` raises, and `InputError` where the folder cannot be written.
    """
    return write_atomic(folder / "report.html", render(read_run(folder)))


def render(record: RunRecord) -> str:
    """The HTML text of a run's report; the same text for the same record."""
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_read_resource),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ticket = best(record)
    summary = record.summary or {}
    return environment.get_template("page.html").render(
        style=_read_resource("page.css"),
        colours=[(name, LIGHT[name], DARK[name]) for name in LIGHT],
        name=str(summary.get("name") or record.experiment.get("name") or record.folder.name),
        claim=str(summary.get("claim") or record.experiment.get("claim") or ""),
        is_finished=record.summary is not None,
        digest=str(summary.get("digest", ""))[:12],
        seed=summary.get("seed", record.experiment.get("seed")),
        stopped_because=str(summary.get("stopped_because", "")),
        answer=find_answer(record),
        best=ticket["digest"] if ticket else "",
        generations=record.generations,
        front=front_table(front(record), best=ticket["digest"] if ticket else ""),
        lineage=lineage_table(record.generations),
        certificates=certificate_table(record.generations),
        figures=draw_figures(record),
        growths=draw_growths(record),
        settings=_list_settings(record.experiment),
        cost=_list_cost(summary.get("cost", {})),
        versions=_list_values(summary.get("versions", {})),
        machine=_list_values(summary.get("machine", {})),
    )


def _read_resource(name: str) -> str:
    return files("recursive_lth.report").joinpath(name).read_text("utf-8")


def _list_settings(experiment: Mapping[str, Any]) -> list[tuple[str, Rows]]:
    """The experiment's values by table, those outside any table first."""
    sections: list[tuple[str, Rows]] = []
    plain = {key: value for key, value in experiment.items() if not isinstance(value, Mapping)}
    plain.pop("claim", None)  # stands at the head of the page
    if plain:
        sections.append(("experiment", _list_values(plain)))
    for key, value in experiment.items():
        if isinstance(value, Mapping):
            sections.append((key, _list_values(_flatten(value))))
    return sections


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a table within tables, by dotted key."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= _flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _list_values(values: Mapping[str, Any]) -> Rows:
    return [
        (key, value if isinstance(value, str) else _write(value)) for key, value in values.items()
    ]


def _write(value: Any) -> str:
    """A value as TOML would write it."""
    if isinstance(value, Iterable):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list_cost(cost: Mapping[str, Any]) -> Rows:
    rows = []
    if "training_multiply_adds" in cost:
        rows.append(("training", f"{operations(cost['training_multiply_adds'])} multiply-adds"))
    if "training_steps" in cost:
        rows.append(("optimizer steps", count(cost["training_steps"])))
    seconds = cost.get("seconds", {})
    names = ["total", *(name for name in seconds if name != "total")]
    rows += [(f"time, {name}", duration(seconds[name])) for name in names if name in seconds]
    return rows
