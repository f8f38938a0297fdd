"""The report of a `prune` run: one HTML page that stands alone, and its file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recursive_lth.files import write_atomic
from recursive_lth.report.page import list_cost
from recursive_lth.report.template import Rows, fill_template, list_settings, list_values
from recursive_lth.report.tickets_answer import Finding, find
from recursive_lth.report.tickets_arms import draw_arms, draw_critical
from recursive_lth.report.tickets_levels import draw_accuracy, draw_early_stop
from recursive_lth.report.tickets_masks import draw_layers, draw_pictures
from recursive_lth.report.tickets_overlap import draw_overlap
from recursive_lth.report.tickets_pairs import draw_pairs
from recursive_lth.report.tickets_record import TicketsRecord, read_tickets
from recursive_lth.report.tickets_table import (
    critical_table,
    levels_table,
    overlap_table,
    pairs_table,
)

FIGURES: dict[str, Callable[[TicketsRecord], str | None]] = {
    "accuracy": draw_accuracy,
    "arms": draw_arms,
    "pairs": draw_pairs,
    "early_stop": draw_early_stop,
    "overlap": draw_overlap,
    "critical": draw_critical,
    "layers": draw_layers,
    "pictures": draw_pictures,
}


def write_tickets_report(folder: Path) -> Path:
    """The path of the `report.html` written into a run's folder; whole or not at all.

    Raises what `read_tickets` raises, and `InputError` where the folder cannot be written.
    """
    return write_atomic(folder / "report.html", render_tickets(read_tickets(folder)))


def render_tickets(record: TicketsRecord) -> str:
    """The HTML text of a run's report; the same text for the same record."""
    summary, experiment = record.summary or {}, record.experiment
    drawn = {name: draw(record) for name, draw in FIGURES.items()} if record.lines else {}
    plain = {key: value for key, value in experiment.items() if key != "arms"}
    return fill_template(
        "tickets.html",
        name=str(experiment.get("name", record.folder.name)),
        claim=str(experiment.get("claim", "")),
        digest=str(summary.get("digest", ""))[:12],
        replicates=len({line["replicate"] for line in record.lines}),
        seed=experiment.get("seed"),
        is_finished=record.summary is not None,
        arms=len({line["arm"] for line in record.lines}),
        finding=Finding(*(words.replace(" %", "\u00a0%") for words in find(record))),
        figures={name: svg for name, svg in drawn.items() if svg is not None},
        levels=levels_table(record.table),
        pairs=pairs_table(record.pairs),
        critical=critical_table(record.critical),
        overlap=overlap_table(record.overlap),
        settings=[*_list_arms(experiment), *list_settings(plain)],
        cost=list_cost(summary.get("cost", {})),
        versions=list_values(summary.get("versions", {})),
        machine=list_values(summary.get("machine", {})),
    )


def _list_arms(experiment: Mapping[str, Any]) -> list[tuple[str, Rows]]:
    """Each arm and what is laid over the experiment's settings in it."""
    arms = experiment.get("arms") or []
    rows = [(str(arm["name"]), ", ".join(arm.get("set", ())) or "as below") for arm in arms]
    return [("arms", rows)] if rows else []
