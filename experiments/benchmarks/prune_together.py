"""Classic tickets side by side and sparse, against the same work one after another and dense.

    python experiments/benchmarks/prune_together.py --data-dir DATA

Claim: `prune lth_lenet_mnist --workers 2` (16 levels, five seeds, two controls a level, 230
networks) takes at most a third of the time of training one network after another on the dense
engine, and finds the same table within seed noise.

- *alone*: one process that trains dense networks one after another, by two threads.
- *together*: two workers of one thread each, `auto`, as many as one program as go together.

Both take turns, at three epochs a level in place of the experiment's eight, each a process of its
own; the ratio is their median. More epochs favour *together*, less of whose time is training. The
table comes of the last turn: turns of *together* may differ in last bits, by what they measured.
Beside it stands the mean over replicates of their mean difference over all places, with its
interval. Writes prune_together.json beside itself after each turn. Some 105 minutes on two cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from engines import machine

from recursive_lth.files import write_json
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
    return [f"training.epochs={epochs}", *own]


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


def in_turns(count: int, epochs: float, data_dir: Path) -> Iterator[dict[str, Any]]:
    """After each turn of both: all seconds, how many times as fast, this turn's table."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(count):
        ways = WAYS if number % 2 == 0 else WAYS[::-1]
        found = {way: elsewhere(way, epochs, data_dir) for way in ways}
        for way, of_way in seconds.items():
            of_way.append(found[way]["seconds"])
        ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
        yield {
            "machine": machine(),
            "epochs": epochs,
            "seconds": seconds,
            "ratios": ratios,
            "ratio": median(ratios),
            **compared({way: found[way]["lines"] for way in WAYS}),
        }


def compared(lines: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """A row for each place, and `overall` the replicates' mean differences, with intervals."""
    cells: dict[Place, dict[str, list[float]]] = defaultdict(lambda: {way: [] for way in WAYS})
    for way in WAYS:
        for level, variant, _, accuracy in sorted(lines[way]):
            cells[level, variant][way].append(accuracy)
    rows, differences = [], []
    for (level, variant), by_way in sorted(cells.items()):
        alone, together = (np.array(by_way[way]) for way in WAYS)
        differences.append(together - alone)
        rows.append(
            {
                "level": level,
                "variant": variant,
                "n": len(alone),
                "alone": float(alone.mean()),
                "spread": float(alone.std(ddof=1)),
                "together": float(together.mean()),
                **difference((together - alone).tolist()),
            }
        )
    return {"rows": rows, "overall": difference(np.mean(differences, axis=0).tolist())}


def difference(pairs: Sequence[float]) -> dict[str, float]:
    """Their mean and its interval."""
    found = interval(pairs, step=STEP)
    return {"difference": found["mean"], "low": found["low"], "high": found["high"]}


def show(found: Mapping[str, Any]) -> None:
    """The table, accuracies in percent, what it comes to, and how many times as fast."""
    for row in found["rows"]:
        print(
            f"{row['level']:3} {row['variant']:14} {100 * row['alone']:.2f} +- "
            f"{100 * row['spread']:.2f}  {100 * row['together']:.2f}  {in_percent(row)}"
        )
    outside = sum(not row["low"] <= 0 <= row["high"] for row in found["rows"])
    print(f"0 is outside the interval at {outside} of {len(found['rows'])} places")
    print(f"over all places {in_percent(found['overall'])}")
    print(f"{found['ratio']:.2f} times as fast: {[round(one, 2) for one in found['ratios']]}")


def in_percent(row: Mapping[str, float]) -> str:
    """A difference with its interval."""
    mean, low, high = (100 * row[key] for key in ("difference", "low", "high"))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=float, default=3.0, help="a level")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run(arguments.way, arguments.epochs, arguments.data_dir)))
        return
    for found in in_turns(arguments.turns, arguments.epochs, arguments.data_dir):
        write_json(Path(__file__).with_suffix(".json"), found)
    show(found)


if __name__ == "__main__":
    main()
