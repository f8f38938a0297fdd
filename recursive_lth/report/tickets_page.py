"""The report of a `prune` run: one HTML page that stands alone, and its file."""

from pathlib import Path

from recursive_lth.files import write_atomic


def write_tickets_report(folder: Path) -> Path:
    return write_atomic(folder / "report.html", "")
