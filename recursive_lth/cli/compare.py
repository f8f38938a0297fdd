"""`recursive-lth compare`: runs that differ in some settings, over their seeds."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from recursive_lth.cli import options, screen
from recursive_lth.report.comparison import compare as compare_runs
from recursive_lth.report.comparison import read_runs
from recursive_lth.report.quantities import count, operations

EXAMPLES = """Examples:
  recursive-lth compare grow_digits
  recursive-lth compare policies --out runs --json

Two policies over three seeds, at equal cost:
  for s in 0 1 2; do for p in tpe random; do
    recursive-lth grow --seed $s --set growth.policy=$p --set budget.multiply_adds=2e10
  done; done; recursive-lth compare
"""
Name = Annotated[str, Parameter(help="What the names of the runs' folders begin with.")]


def compare(
    name: Name = "",
    /,
    *,
    out: options.Out = Path("runs"),
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Hold finished runs of grow against each other: one line for all seeds of one experiment.

    The best ticket of each run is that of most validation accuracy; where budget.multiply_adds is
    set, what a last generation found beyond it does not count. The best group comes first, and the
    others' test accuracy is compared with it in pairs of equal seeds. Runs that do not count, the
    unfinished and those without a ticket, are named below; what --resume never set aside is not.
    """
    folders = [path for path in out.glob(f"{name}*") if path.is_dir()] if out.is_dir() else []
    found = compare_runs(*read_runs(folders))
    if json:
        screen.print_json(found)
        return
    console = screen.console()
    console.print(_table(found))
    for left in found["left_out"]:
        console.print(_footer(left), soft_wrap=True)


def _table(found: dict[str, Any]) -> Table:
    table = Table(title="best tickets, mean ± s.d. over seeds", title_justify="left")
    names = [key.removeprefix("growth.") for key in found["differing"]]
    for head in (*names, "n", "validation", "test", "behind the first", "weights", "depth", "cost"):
        table.add_column(head, justify="left" if head in names else "right")
    for row in found["groups"]:
        table.add_row(
            *(_words(value) for value in row["settings"].values()),
            str(len(row["seeds"])),
            _percent(row["val_accuracy"]),
            _percent(row["test_accuracy"]),
            _behind(row["behind"]),
            count(round(row["remaining_weights"]["mean"])),
            f"{row['depth']['mean']:.1f}",
            operations(row["multiply_adds"]["mean"]),
        )
    return table


def _footer(left: dict[str, Any]) -> str:
    """A line on a run that is in no group: which it is, and why."""
    settings = left["settings"].items()
    words = [f"{key.removeprefix('growth.')} {_words(value)}" for key, value in settings]
    which = ", ".join([*words, f"seed {left['seed']}"])
    return f"left out: {left['folder']} ({which}): {left['reason']}"


def _words(value: Any) -> str:
    """A setting in few words; of a schedule what its steps do."""
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return " ".join(str(value[key]) for key in ("operator", "initialisation") if key in value)
    return str(value)


def _percent(number: dict[str, Any]) -> str:
    spread = f" ± {100 * number['sd']:.2f}" if number["sd"] is not None else ""
    return f"{100 * number['mean']:.2f}{spread}"


def _behind(found: dict[str, Any] | None) -> str:
    """The mean paired difference in points, with its interval where there is one."""
    if found is None:
        return ""
    words = f"{100 * found['mean']:+.2f}"
    if found["low"] is None:
        return words
    return f"{words} ({100 * found['low']:+.2f} to {100 * found['high']:+.2f})"
