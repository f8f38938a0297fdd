"""What people see: consoles and tables; and the one JSON document that programs read."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as Grid

from recursive_lth.report.table import Table

PLAIN_WIDTH = 200  # where no terminal tells its own: wide enough that no row is folded
TEXT_COLUMNS = frozenset(
    {"growth", "ticket", "accepted", "against", "verdict", "claim", "moves", "unit", ""}
)
SHORT = {"multiply-adds": "mult-adds", "validation": "val", "generation": "gen"}
DISPENSABLE = (  # in a narrow terminal
    *("claim", "moves"),
    *("multiply-adds", "training cost", "density", "accepted"),
    *("p, flips", "pairs", "loss less by"),
)


def console(*, stderr: bool = False) -> Console:
    """A console that prints what it is given, without markup of its own; NO_COLOR is honoured."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def print_table(screen: Console, title: str, table: Table) -> None:
    """Print a table, in a narrow terminal without the columns that can best be missed."""
    boundless = screen.options.update(max_width=10_000)
    shown = list(range(len(table.headers)))
    grid = _grid(title, table, shown)
    for header in DISPENSABLE:
        if Measurement.get(screen, boundless, grid).maximum <= screen.width:
            break
        shown = [i for i in shown if table.headers[i] != header]
        grid = _grid(title, table, shown)
    screen.print(grid, "")


def _grid(title: str, table: Table, shown: list[int]) -> Grid:
    """The columns shown, texts (and the first column) to the left and numbers to the right."""
    grid = Grid(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        show_header=any(table.headers),
    )
    for i in shown:
        header = table.headers[i]
        is_text = i == 0 or header in TEXT_COLUMNS
        grid.add_column(
            SHORT.get(header, header), justify="left" if is_text else "right", header_style="dim"
        )
    for row in table.rows:
        grid.add_row(*(row[i] for i in shown))
    return grid


def print_json(value: Any) -> None:
    """Print one JSON document; standard output holds nothing else."""
    print(json.dumps(value, indent=1, allow_nan=False))
