"""Classic tickets side by side and sparse, against the same work one after another and dense.

    python experiments/benchmarks/prune_together.py --data-dir DATA

Claim: `prune lth_lenet_mnist --workers 2` (16 levels, five seeds, two controls a level, 230
networks) takes at most a third of the time of training one network after another on the dense
engine, and finds the same table within seed noise.

- *alone*: one process that trains dense networks one after another, by two threads.
- *together*: two workers of one thread each, `auto`, as many as one program as go together.

The table comes of a run of both at four epochs a level, half of the experiment's own; the ratio is
the median of turns at one epoch, in which what a run does besides training weighs more. Each way is
a process of its own. Writes prune_together.json beside itself, both or what `--only` names, and
prints the table. Some 60 minutes on two cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from engines import machine

from recursive_lth.files import read_json, write_json
from recursive_lth.lottery.run import prune
from recursive_lth.running import wanted
from recursive_lth.shelf import load_ticket_experiment
from recursive_lth.statistics import interval

STEP = 1e-4  # one of 10,000 test images
WAYS = ("alone", "together")
Place = tuple[int, str]  # level, variant


def settings_of(way: str, epochs: float) -> list[str]:
    """The experiment, shortened; alone also dense, with both cores."""
    own = ["training.engine=dense", "training.threads=2"] if way == "alone" else []
    return [f"training.epochs={epochs}", "tickets.look_every=300", *own]


def run(way: str, epochs: float, data_dir: Path) -> dict[str, Any]:
    """Seconds of one way and every network's test accuracy; of this very process."""
    if way == "alone":
        wanted.MOST_WORK = 0  # nobody keeps company
        torch.set_flush_denormal(True)  # before there is a second thread, which inherits it
    experiment = load_ticket_experiment("lth_lenet_mnist", settings_of(way, epochs))
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            [line["level"], line["variant"], line["replicate"], line["test_accuracy"]]
            for line in prune(
                experiment,
                data_dir=data_dir,
                out=Path(folder),
                device="cpu",
                workers="1" if way == "alone" else "2",
            )
        ]
    return {"seconds": perf_counter() - began, "lines": lines}


def elsewhere(way: str, epochs: float, data_dir: Path) -> dict[str, Any]:
    """`run` in a process of its own."""
    told = ["--way", way, "--epochs", str(epochs), "--data-dir", str(data_dir)]
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, *told], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{way}, {epochs:g} epochs: {found['seconds']:.0f} s", flush=True)
    return found


def in_turns(count: int, epochs: float, data_dir: Path) -> dict[str, Any]:
    """Seconds of so many turns of both, and how many times as fast."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(count):
        for way, found in seconds.items():
            found.append(elsewhere(way, epochs, data_dir)["seconds"])
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    return {"epochs": epochs, "seconds": seconds, "ratios": ratios, "ratio": median(ratios)}


def table(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean accuracy of both ways at each place, and the paired difference with its interval."""
    cells: dict[Place, dict[str, list[float]]] = defaultdict(lambda: {way: [] for way in WAYS})
    for way in WAYS:
        for level, variant, _, accuracy in sorted(found[way]["lines"]):
            cells[level, variant][way].append(accuracy)
    rows = []
    for (level, variant), by_way in sorted(cells.items()):
        alone, together = (np.array(by_way[way]) for way in WAYS)
        difference = interval((together - alone).tolist(), step=STEP)
        rows.append(
            {
                "level": level,
                "variant": variant,
                "n": len(alone),
                "alone": float(alone.mean()),
                "spread": float(alone.std(ddof=1)),
                "together": float(together.mean()),
                "difference": difference["mean"],
                "low": difference["low"],
                "high": difference["high"],
            }
        )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The table, accuracies in percent, and at how many places 0 is not in the interval."""
    for row in rows:
        print(
            f"{row['level']:3} {row['variant']:14} {100 * row['alone']:.2f} +- "
            f"{100 * row['spread']:.2f}  {100 * row['together']:.2f}  "
            f"{100 * row['difference']:+.2f} ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"
        )
    outside = sum(not row["low"] <= 0 <= row["high"] for row in rows)
    print(f"0 is outside the interval at {outside} of {len(rows)} places", flush=True)


def of_table(epochs: float, data_dir: Path) -> dict[str, Any]:
    """Seconds of one run each, and the table of both."""
    long = {way: elsewhere(way, epochs, data_dir) for way in WAYS}
    seconds = {way: found["seconds"] for way, found in long.items()}
    rows, ratio = table(long), seconds["alone"] / seconds["together"]
    show(rows)
    return {"epochs": epochs, "seconds": seconds, "ratio": ratio, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=float, default=4.0, help="a level, for the table")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--turn-epochs", type=float, default=1.0, help="a level, in each turn")
    parser.add_argument("--only", choices=("table", "turns"))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    data_dir, path = arguments.data_dir, Path(__file__).with_suffix(".json")
    if arguments.way:
        print(json.dumps(run(arguments.way, arguments.epochs, data_dir)))
        return
    found = read_json(path) if path.exists() and arguments.only else {}
    found["machine"] = machine()
    if arguments.only != "turns":
        found["table"] = of_table(arguments.epochs, data_dir)
        write_json(path, found)
    if arguments.only != "table":
        found["turns"] = turns = in_turns(arguments.turns, arguments.turn_epochs, data_dir)
        print(f"{turns['ratio']:.2f} times as fast: {[round(one, 2) for one in turns['ratios']]}")
    write_json(path, found)


if __name__ == "__main__":
    main()
