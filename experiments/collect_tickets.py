"""The results of finished `prune` runs, beside their experiments: a page, numbers and a figure.

    python experiments/collect_tickets.py runs/lth_lenet_mnist-*

Writes experiments/NAME.md (tables in Markdown), NAME.json (the same as numbers) and NAME.svg (the
first figure of the run's report) for each run's folder.
"""

import argparse
import re
from pathlib import Path
from typing import Any

from recursive_lth.files import write_atomic, write_json
from recursive_lth.report.canvas import LIGHT
from recursive_lth.report.quantities import duration, operations
from recursive_lth.report.table import Table
from recursive_lth.report.tickets_answer import find
from recursive_lth.report.tickets_page import FIGURES
from recursive_lth.report.tickets_record import TicketsRecord, read_tickets
from recursive_lth.report.tickets_table import (
    critical_table,
    levels_table,
    overlap_table,
    pairs_table,
)

NUMBERS = ("claim", "digest", "seed", "table", "pairs", "overlap", "critical", "cost", "versions")


def collect(folder: Path, beside: Path) -> Path:
    """The Markdown page of one run, written with its numbers and its figure."""
    record = read_tickets(folder)
    summary = record.summary
    if summary is None:
        raise SystemExit(f"{folder} is not finished: run the same prune command again")
    name = record.experiment["name"]
    write_json(beside / f"{name}.json", {key: summary[key] for key in NUMBERS}
               | {"machine": summary["machine"], "experiment": record.experiment})  # fmt: skip
    svg = first_figure(record)
    if svg:
        write_atomic(beside / f"{name}.svg", svg)
    return write_atomic(beside / f"{name}.md", page(record, summary, name, has_figure=bool(svg)))


def first_figure(record: TicketsRecord) -> str:
    """The first figure of the report that has something to show, on white paper."""
    order = ("overlap", *FIGURES) if record.overlap and not record.pairs else tuple(FIGURES)
    for name in order:
        if svg := FIGURES[name](record):
            paper = f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>'
            return re.sub(r"(<svg[^>]*>)", rf"\1{paper}", svg, count=1)
    return ""


def page(record: TicketsRecord, summary: dict[str, Any], name: str, *, has_figure: bool) -> str:
    """The run as Markdown: what was found, figure, tables, machine and cost."""
    found = find(record)
    parts = [f"# {found.headline}", found.explanation, f"Claim: {record.experiment['claim']}"]
    if has_figure:
        parts.append(f"![{found.headline}]({name}.svg)")
    for title, rows, build in (
        ("Networks", record.table, levels_table),
        ("Ticket minus control", record.pairs, pairs_table),
        ("Connections that tickets share", record.overlap, overlap_table),
        ("Critical compression", record.critical, critical_table),
    ):
        if rows:
            parts += [f"## {title}", markdown(build(rows))]
    seconds, machine = summary["cost"]["seconds"]["total"], summary["machine"]
    parts.append(
        f"{duration(seconds)} on one of {machine['cores']} cores ({machine['device']}, torch "
        f"{summary['versions']['torch']}); {operations(summary['cost']['training_multiply_adds'])} "
        f"multiply-adds of training. `recursive-lth prune {name}`, experiment digest "
        f"{summary['digest'][:12]}."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(table: Table) -> str:
    """A table as Markdown."""
    lines = [table.headers, ["---"] * len(table.headers), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Collect every folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    for folder in options.folders:
        print(collect(folder, options.to))


if __name__ == "__main__":
    main()
