"""Small networks on a GPU: steps recorded as CUDA graphs against steps one by one.

    python experiments/benchmarks/graphs.py

Claim: a training step of LeNet-300-100 at batch 60 is at least 3 times as fast recorded, and one of
32 tickets at once takes at most 3 times as long as one ticket's. Both with Adam, on random data
that lie on the device, the rival our own loop without recording. Each ratio is of one process in
which both take turns; medians of 9 turns. Writes graphs.json beside itself, with the device's name.

Not run on one yet: nobody here had a GPU. `--device cpu --steps 9` runs the same code without
anything to record.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from types import MappingProxyType
from typing import Any

import torch
from engines import data, member, ratio, turns

from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Training
from recursive_lth.files import write_json
from recursive_lth.training import recorded
from recursive_lth.training.batches import Batches
from recursive_lth.training.device import wait
from recursive_lth.training.samples import Samples
from recursive_lth.training.together import Member, alone, training_together

TICKETS, DENSITY = 32, 0.2
RECIPE = Training(optimizer="adam", learning_rate=1.2e-3, batch_size=60)


def tickets(device: torch.device) -> list[Member]:
    """LeNet-300-100s with random masks, each with an order of its own of the same data."""
    batches = data((784,), 4000, RECIPE)
    samples = Samples(batches.images.to(device), batches.labels.to(device))
    there = Batches(samples, torch.zeros(1, device=device), RECIPE)
    network = mlp((784,), 10, (300, 100))
    return [member(network, DENSITY, there, RECIPE, seed) for seed in range(TICKETS)]


def side(loop: Iterator[Any], device: torch.device, steps: int) -> Callable[[], float]:
    """Seconds a step, from the first's launch to the last's end."""

    def advance() -> float:
        wait(device)
        began = perf_counter()
        for _ in range(steps):
            next(loop)
        wait(device)
        return (perf_counter() - began) / steps

    return advance


def started(advance: Callable[[], float], *, is_recorded: bool) -> Callable[[], float]:
    """A side that has taken its first turn, in which it is decided whether it is recorded."""
    tapes = recorded.TAPES
    recorded.TAPES = tapes if is_recorded else MappingProxyType({})
    try:
        advance()
    finally:
        recorded.TAPES = tapes
    return advance


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=300, help="of a turn")
    arguments = parser.parse_args()
    device, steps = torch.device(arguments.device), arguments.steps
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU here: --device cpu shows that the rest runs")
    members = tickets(device)
    one = members[0]
    sides = {
        "eager": started(side(alone(one), device, steps), is_recorded=False),
        "recorded": started(side(alone(one), device, steps), is_recorded=True),
        "together": started(side(training_together(members), device, steps), is_recorded=True),
    }
    times = turns(sides)
    found = ratio("LeNet-300-100, batch 60", times, "eager", "recorded")
    longer = [a / b for a, b in zip(times["together"], times["recorded"], strict=True)]
    print(f"a step of {TICKETS} tickets takes {median(longer):.2f} times as long as one of one")
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        about = {"device": name, "torch": torch.__version__, "tickets": TICKETS}
        write_json(
            Path(__file__).with_suffix(".json"), {**about, "lone": found, "together": longer}
        )


if __name__ == "__main__":
    main()
