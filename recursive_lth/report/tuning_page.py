"""The report of a `tune` run: one HTML page that stands alone, and its file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recursive_lth.files import write_atomic
from recursive_lth.report.page import list_cost
from recursive_lth.report.template import fill_template, list_settings, list_values
from recursive_lth.report.tickets_answer import Finding
from recursive_lth.report.tuning_answer import find_tuned
from recursive_lth.report.tuning_record import TuningRecord, read_tuning
from recursive_lth.report.tuning_table import (
    failed_table,
    importances_table,
    trials_table,
    write_value,
)
from recursive_lth.report.tuning_trials import draw_front, draw_history
from recursive_lth.report.tuning_values import draw_importances, draw_parallel

FIGURES: dict[str, Callable[[TuningRecord], str | None]] = {
    "front": draw_front,
    "importances": draw_importances,
    "parallel": draw_parallel,
    "history": draw_history,
}


def write_tuning_report(folder: Path) -> Path:
    """The path of the `report.html` written into a tuning's folder; whole or not at all.

    Raises what `read_tuning` raises, and `InputError` where the folder cannot be written.
    """
    return write_atomic(folder / "report.html", render_tuning(read_tuning(folder)))


def render_tuning(record: TuningRecord) -> str:
    """The HTML text of a tuning's report; the same text for the same record."""
    summary, experiment = record.summary or {}, record.experiment
    tune, base = experiment["tune"], experiment["base"]
    drawn = {name: draw(record) for name, draw in FIGURES.items()}
    plain = {k: v for k, v in experiment.items() if k not in {"tune", "base", "spaces"}}
    given = {k: v for k, v in tune.items() if k != "parameters"}
    varied = {p["key"]: _write_range(p) for p in tune["parameters"]}
    settings = list_settings({**plain, "tune": given, "varied": varied})
    return fill_template(
        "tuning.html",
        name=str(experiment.get("name", record.folder.name)),
        claim=str(experiment.get("claim", "")),
        digest=str(summary.get("digest", ""))[:12],
        seed=experiment.get("seed"),
        seeds=int(tune["seeds"]),
        wanted=int(tune["trials"]),
        sampler=str(tune["sampler"]),
        several=len(record.objectives) > 1,
        is_finished=record.summary is not None,
        finding=Finding(*(words.replace(" %", "\u00a0%") for words in find_tuned(record))),
        figures={name: svg for name, svg in drawn.items() if svg is not None},
        front=trials_table(record.front, record.keys, record.objectives, best=record.best),
        trials=trials_table(record.trials, record.keys, record.objectives, best=record.best),
        failed=failed_table(record.trials, record.keys),
        importances=importances_table(record.importances),
        settings=[*settings, *((f"base.{title}", rows) for title, rows in list_settings(base))],
        cost=list_cost(summary.get("cost", {})),
        versions=list_values(summary.get("versions", {})),
        machine=list_values(summary.get("machine", {})),
    )


def _write_range(parameter: Mapping[str, Any]) -> str:
    """What a parameter may be, in words."""
    if choices := parameter.get("choices"):
        return " | ".join(write_value(choice) for choice in choices)
    ends = f"{write_value(parameter['low'])} to {write_value(parameter['high'])}"
    step = f", by {write_value(parameter['step'])}" if "step" in parameter else ""
    return f"{ends}{step}{', logarithmic' if parameter.get('log') else ''}"
