"""Two workers of one thread each against one, on two cores: how much more they get done.

    python experiments/benchmarks/workers.py --data-dir DATA

Claim: two workers do at least 1.7 times as much in the same time, to the same results. Found, on
an Intel Xeon: 1.75 times for tickets (three turns), 1.75 for trials (one; another day 1.76), and
1.80 for candidates (five). On an AMD EPYC, with earlier code and half as many
epochs of tickets, it was 1.67 for trials, 1.53 for tickets and 1.51 for candidates.

`candidates` is the judging of a generation of sixteen growths of a ticket on MNIST, `tickets` are
the 50 networks of five LeNet-300-100 pruned over three levels with two controls, too dense to be
sparse. `trials` are sixteen of `tune_digits`, all drawn at random. `loops` says what the machine
can do: two bare training loops, one after the other or each in a process of its own. Starting the
workers counts for tickets and trials; for candidates it does not, whose parent is trained before.
Each way is a process of its own, the ways take turns, ratios are medians.

Writes workers.json beside itself, all or what `--only` names. Some forty minutes on two cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from engines import machine

from recursive_lth import seeds
from recursive_lth.architecture.zoo import lenet_300_100
from recursive_lth.config import Training
from recursive_lth.files import read_json, write_json
from recursive_lth.growth.fresh import fresh
from recursive_lth.lottery.run import prune
from recursive_lth.search.judging.choose import choose
from recursive_lth.search.signal import parent_of
from recursive_lth.search.workplace import at_work
from recursive_lth.shelf import load_experiment, load_ticket_experiment, load_tuning_experiment
from recursive_lth.training.batches import Batches
from recursive_lth.training.device import pinned
from recursive_lth.training.loop import training
from recursive_lth.training.samples import Samples
from recursive_lth.tuning.run import tune

CANDIDATES = (
    "training.engine=dense",  # what `auto` measures differs from run to run, and with it last bits
    "growth.policy=random",
    "growth.candidates=16",
    "growth.together=16",
    "growth.judge_epochs=2",
    "growth.rungs=1",
    "budget.generations=2",
)
TICKETS = (
    "training.engine=dense",
    "training.epochs=4",  # half of the experiment's own
    "pruning.rounds=3",
)
TRIALS = ("tune.random_trials=16",)  # none is proposed by what others came to: all the same
STEPS, SAMPLES = 8000, 55_000  # of a bare loop
Way = Callable[[str, Path | None], tuple[float, Any]]  # (workers, data) -> (seconds, results)


def candidates(workers: str, data_dir: Path | None) -> tuple[float, Any]:
    """Choose among sixteen growths."""
    experiment = load_experiment("recursive_mnist", CANDIDATES)
    with (
        tempfile.TemporaryDirectory() as folder,
        at_work(
            experiment,
            data_dir=data_dir,
            out=Path(folder),
            device="cpu",
            resume="auto",
            workers=workers,
            watch=None,
        ) as (_, bench),
    ):
        parent = parent_of(bench)
        began = perf_counter()
        found = choose(bench, parent, 2, [])
        return perf_counter() - began, [one.loss for one in found.candidates]


def tickets(workers: str, data_dir: Path | None) -> tuple[float, Any]:
    """Prune five LeNets."""
    experiment = load_ticket_experiment("lth_lenet_mnist", TICKETS)
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        lines = list(
            prune(experiment, data_dir=data_dir, out=Path(folder), device="cpu", workers=workers)
        )
    found = sorted((x["replicate"], x["level"], x["variant"], x["test_accuracy"]) for x in lines)
    return perf_counter() - began, found


def trials(workers: str, data_dir: Path | None) -> tuple[float, Any]:
    """Tune policies of growth, on digits."""
    experiment = load_tuning_experiment("tune_digits", TRIALS)
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(tune(experiment, out=Path(folder), device="cpu", workers=workers))
    found = {row["trial"]: row["objectives"] for row in rows}
    return perf_counter() - began, found


def loops(workers: str, data_dir: Path | None) -> tuple[float, Any]:
    """Two bare loops, here or beside each other."""
    if workers == "1":
        began = perf_counter()
        found = [_loop(seed) for seed in (0, 1)]
        return perf_counter() - began, [result for _, result in found]
    with get_context("spawn").Pool(2) as pool:
        found = pool.map(_loop, (0, 1), chunksize=1)
    return max(seconds for seconds, _ in found), [result for _, result in found]


def _loop(seed: int) -> tuple[float, float]:
    """Seconds and last loss of a dense LeNet's training."""
    generator = seeds.generator(seed, "benchmark")
    images = torch.randn(SAMPLES, 1, 28, 28, generator=generator)
    labels = torch.randint(0, 10, (SAMPLES,), generator=generator)
    recipe = Training(epochs=1, optimizer="adam", learning_rate=1e-3, batch_size=60, threads=1)
    data = Batches(Samples(images, labels), torch.zeros(1), recipe)
    architecture = lenet_300_100((1, 28, 28), 10, ())
    weights = fresh(architecture, generator, "glorot_normal")
    masks = {
        name: torch.ones_like(weights[name], dtype=torch.bool) for name in architecture.prunable
    }
    with pinned(1):
        began, loss = perf_counter(), 0.0
        for step in training(architecture, weights, masks, data, recipe, steps=STEPS, seed=seed):
            loss = step.loss
        return perf_counter() - began, float(loss)


WAYS: dict[str, Way] = {
    "candidates": candidates,
    "tickets": tickets,
    "trials": trials,
    "loops": loops,
}


def elsewhere(name: str, workers: str, data_dir: Path) -> dict[str, Any]:
    """One way in a process of its own."""
    told = ["--way", name, "--workers", workers, "--data-dir", str(data_dir)]
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, *told], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(name, workers, round(found["seconds"], 1), "s", flush=True)
    return found


def compare(name: str, turns: int, data_dir: Path) -> dict[str, Any]:
    """Seconds of every turn with one worker and with two, and the median of their ratios."""
    seconds: dict[str, list[float]] = {"1": [], "2": []}
    results = []
    for turn in range(turns):
        for workers in ("1", "2") if turn % 2 else ("2", "1"):
            found = elsewhere(name, workers, data_dir)
            seconds[workers].append(found["seconds"])
            results.append(found["results"])
    ratios = [one / two for one, two in zip(seconds["1"], seconds["2"], strict=True)]
    return {
        "seconds": seconds,
        "ratios": ratios,
        "ratio": median(ratios),
        "same": all(result == results[0] for result in results),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--workers", choices=("1", "2"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        seconds, results = WAYS[arguments.way](arguments.workers, arguments.data_dir)
        print(json.dumps({"seconds": seconds, "results": results}))
        return
    names = [arguments.only] if arguments.only else list(WAYS)
    found = {name: compare(name, arguments.turns, arguments.data_dir) for name in names}
    for name, one in found.items():
        print(f"{name}: {one['ratio']:.2f} times as much, results equal: {one['same']}")
    path = Path(__file__).with_suffix(".json")
    before = read_json(path) if path.exists() and arguments.only else {}
    write_json(path, {**before, "machine": machine(), **found})


if __name__ == "__main__":
    main()
