"""`recursive-lth show`: a run in the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from recursive_lth.cli import screen
from recursive_lth.cli.options import Debug, Json, Out
from recursive_lth.cli.runs import find_run, state, study_state, tickets_state, tuning_state
from recursive_lth.report import standing
from recursive_lth.report.confirmations import confirmation_table
from recursive_lth.report.quantities import count, percent
from recursive_lth.report.record import RunRecord, command_of, read_run
from recursive_lth.report.study_record import StudyRecord, read_study
from recursive_lth.report.study_table import (
    arms_table,
    lineage_panel_table,
    panel_table,
    verdicts_table,
)
from recursive_lth.report.study_values import write_moment
from recursive_lth.report.table import Table, front_table, lineage_table
from recursive_lth.report.tickets_record import TicketsRecord, read_tickets
from recursive_lth.report.tickets_table import (
    critical_table,
    levels_table,
    overlap_table,
    pairs_table,
)
from recursive_lth.report.tuning_record import TuningRecord, read_tuning
from recursive_lth.report.tuning_table import failed_table, importances_table, trials_table

EXAMPLES = """Examples:
  recursive-lth show grow_digits
  recursive-lth show runs/grow_digits-0123456789ab --json
"""
FROM_SUMMARY = ("stopped_because", "cost", "versions", "machine")  # null while it is unfinished
BAR = 20  # characters of a full density bar
Run = Annotated[str, Parameter(help="A run's folder, or how its name in --out begins.")]


def show(run: Run, /, *, out: Out = Path("runs"), json: Json = False, debug: Debug = False) -> None:
    """Show a run, finished or not: its tickets, its Pareto front, where the best one is dense."""
    folder, console = find_run(run, out), screen.console()
    command = command_of(folder)
    others = {"prune": _show_tickets, "tune": _show_tuning, "study": _show_study}
    if command in others:
        others[command](folder, console, is_json=json)
        return
    record = read_run(folder)
    if json:
        screen.print_json(as_json(record))
        return
    claim = str(record.experiment.get("claim", "")).strip()
    console.print(f"{record.folder} ({state(record)})", *([claim] if claim else []), "", sep="\n")
    print_tables(console, record)
    best = standing.best(record)
    if best is not None:
        screen.print_table(console, "where the best ticket is dense", density_table(best))


def _show_tickets(folder: Path, console: Console, *, is_json: bool) -> None:
    record = read_tickets(folder)
    if is_json:
        screen.print_json(tickets_as_json(record))
        return
    claim = str(record.experiment.get("claim", "")).strip()
    console.print(f"{folder} ({tickets_state(record)})", *([claim] if claim else []), "", sep="\n")
    print_tickets(console, record)


def _show_tuning(folder: Path, console: Console, *, is_json: bool) -> None:
    record = read_tuning(folder)
    if is_json:
        screen.print_json(tuning_as_json(record))
        return
    claim = str(record.experiment.get("claim", "")).strip()
    console.print(f"{folder} ({tuning_state(record)})", *([claim] if claim else []), "", sep="\n")
    print_tuning(console, record)


def _show_study(folder: Path, console: Console, *, is_json: bool) -> None:
    record = read_study(folder)
    if is_json:
        screen.print_json(study_as_json(record))
        return
    claim = str(record.experiment.get("claim", "")).strip()
    console.print(f"{folder} ({study_state(record)})", *([claim] if claim else []), "", sep="\n")
    print_study(console, record)


def print_study(console: Console, record: StudyRecord) -> None:
    """Print the verdicts of a study, its arms, and what the panel says of them."""
    if record.is_lineage:
        screen.print_table(console, "the panel along the lineage", lineage_panel_table(record))
        return
    moments = sorted({reading["moment"] for reading in record.readings})
    panels = [
        (f"the panel {write_moment(m)} (each arm's last)", panel_table(record, m)) for m in moments
    ]
    for title, table in (
        ("verdicts: arm minus rival, paired over seeds", verdicts_table(record)),
        ("arms", arms_table(record)),
        *panels,
    ):
        if table.rows:
            screen.print_table(console, title, table)


def study_as_json(record: StudyRecord) -> dict[str, Any]:
    """The whole record of a study as one JSON document, but for its curves."""
    summary = record.summary or {}
    return {
        "folder": str(record.folder),
        "command": "study",
        "is_finished": record.summary is not None,
        "experiment": record.experiment,
        "family": record.family,
        "verdicts": record.verdicts,
        "readings": record.readings,
        **{key: summary.get(key) for key in ("measures", "cost", "versions", "machine")},
    }


def print_tuning(console: Console, record: TuningRecord) -> None:
    """Print the trials of a tuning, its front, what mattered and what failed."""
    for title, table in (
        ("trials", trials_table(record.trials, record.keys, record.objectives, best=record.best)),
        ("front", trials_table(record.front, record.keys, record.objectives, best=record.best)),
        ("shares of the variance", importances_table(record.importances)),
        ("failed", failed_table(record.trials, record.keys)),
    ):
        if table.rows:
            screen.print_table(console, title, table)


def tuning_as_json(record: TuningRecord) -> dict[str, Any]:
    """The whole record of a tuning as one JSON document; best and front by trial."""
    summary = record.summary or {}
    return {
        "folder": str(record.folder),
        "command": "tune",
        "is_finished": record.summary is not None,
        "experiment": record.experiment,
        "trials": record.trials,
        "best": record.best["trial"] if record.best else None,
        "front": [row["trial"] for row in record.front],
        "importances": record.importances,
        **{key: summary.get(key) for key in ("study", "cost", "versions", "machine")},
    }


def print_tickets(console: Console, record: TicketsRecord) -> None:
    """Print the networks of a `prune` run level by level, and tickets against their controls."""
    screen.print_table(console, "networks", levels_table(record.table))
    for title, rows, build in (
        ("ticket minus control, test accuracy in points", record.pairs, pairs_table),
        ("critical compression", record.critical, critical_table),
        ("connections that tickets share", record.overlap, overlap_table),
    ):
        if rows:
            screen.print_table(console, title, build(rows))


def print_tables(console: Console, record: RunRecord) -> None:
    """Print the lineage, the Pareto front, and what confirmations have shown."""
    best = standing.best(record)
    front = front_table(standing.front(record), best=best["digest"] if best else "")
    screen.print_table(console, "lineage", lineage_table(record.generations))
    screen.print_table(console, "Pareto front: accuracy, remaining weights, depth", front)
    confirmed = confirmation_table(record.generations)
    if confirmed.rows:
        screen.print_table(console, "tickets against parents and controls, in pairs", confirmed)


def density_table(line: Mapping[str, Any]) -> Table:
    """A row for each prunable layer of a ticket, with a bar as long as its density."""
    rows = []
    for layer, cell in line["layers"].items():
        density = cell["remaining"] / cell["weights"]
        bar = "█" * max(1, round(BAR * density)) if cell["remaining"] else ""
        remaining = f"{count(cell['remaining'])} of {count(cell['weights'])}"
        rows.append([layer, remaining, percent(density, digits=1), bar])
    return Table(["layer", "weights", "density", ""], rows)


def tickets_as_json(record: TicketsRecord) -> dict[str, Any]:
    """The whole record of a `prune` run as one JSON document."""
    summary = record.summary or {}
    return {
        "folder": str(record.folder),
        "command": "prune",
        "is_finished": record.summary is not None,
        "experiment": record.experiment,
        "table": record.table,
        "pairs": record.pairs,
        "overlap": record.overlap,
        "critical": record.critical,
        "levels": record.lines,
        **{key: summary.get(key) for key in ("cost", "versions", "machine")},
    }


def as_json(record: RunRecord) -> dict[str, Any]:
    """The whole record as one JSON document; the front and the best ticket by digest."""
    best = standing.best(record)
    return {
        "folder": str(record.folder),
        "is_finished": record.summary is not None,
        "experiment": record.experiment,
        "tickets": record.generations,
        "best": best["digest"] if best else None,
        "front": [line["digest"] for line in standing.front(record)],
        **{key: (record.summary or {}).get(key) for key in FROM_SUMMARY},
    }
