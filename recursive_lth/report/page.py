"""The report of a run: one HTML page that stands alone, and its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recursive_lth.files import write_atomic
from recursive_lth.report.answer import find_answer
from recursive_lth.report.confirmations import confirmation_table
from recursive_lth.report.figures import draw_figures, draw_growths
from recursive_lth.report.population import lives_drawn, living_table, most_alive, read_lives
from recursive_lth.report.quantities import count, duration, operations
from recursive_lth.report.record import RunRecord, read_run
from recursive_lth.report.standing import best, front
from recursive_lth.report.survival import survival_table
from recursive_lth.report.table import certificate_table, front_table, lineage_table, list_reasons
from recursive_lth.report.template import Rows, fill_template, list_settings, list_values


def write_report(folder: Path) -> Path:
    """The path of the `report.html` written into a run's folder; whole or not at all.

    Raises what `read_run` raises, and `InputError` where the folder cannot be written.
    """
    return write_atomic(folder / "report.html", render(read_run(folder)))


def render(record: RunRecord) -> str:
    """The HTML text of a run's report; the same text for the same record."""
    ticket, lives = best(record), read_lives(record)
    shown = lives_drawn(lives)
    summary = record.summary or {}
    return fill_template(
        "page.html",
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
        most_alive=most_alive(record),
        living=living_table(record, lives),
        lives_drawn=len(shown),
        lives_left_out=len(lives) - len(shown),
        lineage=lineage_table(record.generations),
        certificates=certificate_table(record.generations),
        confirmations=confirmation_table(record.generations),
        reasons=list_reasons(record.generations),
        survival=survival_table(record),
        figures=draw_figures(record, lives),
        growths=draw_growths(record),
        settings=list_settings(record.experiment),
        cost=list_cost(summary.get("cost", {})),
        versions=list_values(summary.get("versions", {})),
        machine=list_values(summary.get("machine", {})),
    )


def list_cost(cost: Mapping[str, Any]) -> Rows:
    """What a run cost, in words."""
    rows = []
    if "training_multiply_adds" in cost:
        rows.append(("training", f"{operations(cost['training_multiply_adds'])} multiply-adds"))
    if "training_steps" in cost:
        rows.append(("optimizer steps", count(cost["training_steps"])))
    seconds = cost.get("seconds", {})
    names = ["total", *(name for name in seconds if name != "total")]
    rows += [(f"time, {name}", duration(seconds[name])) for name in names if name in seconds]
    return rows
