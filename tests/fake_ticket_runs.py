"""Folders of `prune` runs as the library writes them, of the lines invented in `fake_tickets`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fake_tickets import (
    Line,
    critical_compressions,
    overlaps,
    pictures,
    run_with_arms,
    run_with_controls,
    run_with_overlap,
    run_with_transfer,
)

from recursive_lth.lottery.aggregate import aggregate, pairs
from recursive_lth.report.tickets_record import TicketsRecord

CLAIM = "Tickets <script>alert(1)</script> & masks learn better than their controls."


def record_of(lines: list[Line], **summary: Any) -> TicketsRecord:
    """The record of a run that has only these lines."""
    return TicketsRecord(Path("run"), {}, lines, aggregate(lines), pairs(lines), summary or None)


def write_tickets(
    folder: Path, lines: Sequence[Line], *, finished: bool = True, **found: Sequence[Line]
) -> Path:
    """A run's folder with these lines; `found` may hold overlap, critical and pictures."""
    folder.mkdir(parents=True)
    (folder / "experiment.toml").write_text(_experiment(lines), "utf-8")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "levels.jsonl").write_text(text, "utf-8")
    if finished:
        seconds = {"total": 812.4, "training": 760.0, "evaluation": 31.2, "data": 2.1}
        summary = {
            "format": 1,
            "command": "prune",
            "name": "fake_tickets",
            "digest": "0123456789ab" * 5 + "0123",
            "seed": 7,
            "claim": CLAIM,
            "table": aggregate(lines),
            "pairs": pairs(lines),
            "overlap": [],
            "critical": [],
            "pictures": [],
            **{key: list(values) for key, values in found.items()},
            "cost": {
                "training_multiply_adds": sum(line["training_multiply_adds"] for line in lines),
                "training_steps": sum(line["steps"] for line in lines),
                "seconds": seconds,
            },
            "versions": {"recursive_lth": "0.2.0", "python": "3.11.2", "torch": "2.8.0"},
            "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "device": "cpu"},
            "levels": list(lines),
        }
        (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    return folder


def write_named(out: Path, name: str) -> Path:
    """The folder `out`/`name` of one of the runs of `LINES`."""
    lines = LINES[name]()
    found: dict[str, list[Line]] = {}
    if name == "arms":
        found["critical"] = critical_compressions()
    if name == "overlap":
        found["overlap"] = overlaps()
    if name in {"controls", "overlap"}:
        found["pictures"] = pictures(lines, size=3 if name == "overlap" else 28)
    return write_tickets(out / name, lines, finished=name != "unfinished", **found)


LINES: dict[str, Callable[[], list[Line]]] = {
    "controls": run_with_controls,
    "arms": run_with_arms,
    "overlap": run_with_overlap,
    "transfer": run_with_transfer,
    "unfinished": lambda: run_with_controls()[:60],
}


def _experiment(lines: Sequence[Line]) -> str:
    """experiment.toml, with an arm for each that the lines have."""
    text = f"""format = 1
command = "prune"
name = "fake_tickets"
seed = 7
claim = '{CLAIM}'
[data]
name = "mnist"
[start]
architecture = "lenet-300-100"
[training]
epochs = 8.0
optimizer = "adam"
learning_rate = 0.0012
[pruning]
score = "magnitude"
rate = 0.2
rewind = "init"
[tickets]
replicates = 3
controls = ["reinit", "shuffled_mask"]
"""
    arms = list(dict.fromkeys(line["arm"] for line in lines))
    if len(arms) > 1:
        text += "".join(
            f'[[arms]]\nname = "{arm}"\nset = ["pruning.score={arm}"]\n' for arm in arms
        )
    return text
