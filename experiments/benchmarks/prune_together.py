"""Classic tickets side by side and sparse, against the same work one after another and dense.

    python experiments/benchmarks/prune_together.py --data-dir DATA

Claim: `prune lth_lenet_mnist --workers 2` (16 levels, five seeds, two controls a level, 230
networks) takes at most a third of the time of training one network after another on the dense
engine, and finds the same table within seed noise. Four epochs a level, in place of eight, since
what each level costs is what is compared; start-up weighs more here. Each way is a process of its
own, one thread a process, the ways one after the other.

Found, on an Intel Xeon: 3.31 times, with other work beside the first way, which by itself takes a
twentieth less. That was before sparse perceptrons trained by a compiled step.

Writes prune_together.json beside itself, and prints the table. Some 30 minutes on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from recursive_lth.files import write_json
from recursive_lth.lottery.run import prune
from recursive_lth.running import wanted
from recursive_lth.shelf import load_ticket_experiment
from recursive_lth.statistics import interval

STEP = 1e-4  # one of 10,000 test images
WAYS = ("alone", "together")
Place = tuple[int, str]  # level, variant


def settings_of(way: str, epochs: float) -> list[str]:
    """The experiment, shortened; alone also dense."""
    dense = ["training.engine=dense"] if way == "alone" else []
    return [f"training.epochs={epochs}", "tickets.look_every=300", *dense]


def run(way: str, epochs: float, workers: str, data_dir: Path) -> dict[str, Any]:
    """Seconds of one way and every network's test accuracy; of this very process."""
    if way == "alone":
        wanted.MOST_WORK = 0  # nobody keeps company
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
                workers="1" if way == "alone" else workers,
            )
        ]
    return {"seconds": perf_counter() - began, "lines": lines}


def elsewhere(way: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """`run` in a process of its own."""
    told = ["--way", way, "--epochs", str(arguments.epochs), "--workers", arguments.workers]
    told += ["--data-dir", str(arguments.data_dir)]
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, *told], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(way, round(found["seconds"], 1), "s", flush=True)
    return found


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--workers", default="2")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        found = run(arguments.way, arguments.epochs, arguments.workers, arguments.data_dir)
        print(json.dumps(found))
        return
    results = {way: elsewhere(way, arguments) for way in reversed(WAYS)}
    seconds = {way: results[way]["seconds"] for way in WAYS}
    rows = table(results)
    for row in rows:
        print(
            f"{row['level']:3} {row['variant']:14} {100 * row['alone']:.2f} +- "
            f"{100 * row['spread']:.2f}  {100 * row['together']:.2f}  "
            f"{100 * row['difference']:+.2f} ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"
        )
    ratio = seconds["alone"] / seconds["together"]
    outside = sum(not row["low"] <= 0 <= row["high"] for row in rows)
    print(f"{ratio:.2f} times as fast; 0 outside the interval at {outside} of {len(rows)} places")
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "cores": os.cpu_count(),
            "torch": torch.__version__,
            "workers": arguments.workers,
            "epochs": arguments.epochs,
            "seconds": seconds,
            "ratio": ratio,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
