"""Throughput of our training loop against a minimal hand-written one that does the same maths.

    python experiments/benchmarks/training_loop.py

LeNet-300-100 at a fifth of its weights, batches of 60 and 128, Adam and SGD with momentum, on
samples of MNIST's shape; both loops in one process, on the same threads, taking turns. Writes
`training_loop.json` beside itself: the ratio of throughputs (ours over the minimal loop's) of each
turn, with the median. The two end with equal weights, which is checked.
"""

import argparse
import json
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
import torch.nn.functional as F
from engines import machine
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import lenet_300_100
from recursive_lth.config import Training
from recursive_lth.training.batches import Batches
from recursive_lth.training.device import pinned
from recursive_lth.training.loop import training
from recursive_lth.training.samples import Samples

SAMPLES = 12_000
DENSITY = 0.2


def minimal(
    weights: dict[str, Tensor],
    masks: dict[str, Tensor],
    data: Samples,
    recipe: Training,
    steps: int,
) -> dict[str, Tensor]:
    """What one would write by hand for exactly this network: nothing general, nothing spare."""
    live = {name: tensor.clone().requires_grad_() for name, tensor in weights.items()}
    parameters = list(live.values())
    if recipe.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(
            parameters, lr=recipe.learning_rate, momentum=recipe.momentum, fused=True
        )
    else:
        optimizer = torch.optim.Adam(parameters, lr=recipe.learning_rate, fused=True)
    covered = [live[name] for name in masks]
    cover = [mask.float() for mask in masks.values()]
    images = data.images.flatten(1)
    per_epoch = len(data) // recipe.batch_size
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = torch.randperm(len(data), generator=seeds.generator(0, "order", epoch))
        indices = order[place * recipe.batch_size : (place + 1) * recipe.batch_size]
        x = images.index_select(0, indices)
        x = F.relu(F.linear(x, live["fc1.weight"], live["fc1.bias"]))
        x = F.relu(F.linear(x, live["fc2.weight"], live["fc2.bias"]))
        x = F.linear(x, live["output.weight"], live["output.bias"])
        loss = F.cross_entropy(x, data.labels.index_select(0, indices))
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            torch._foreach_mul_([tensor.grad for tensor in covered], cover)
            optimizer.step()
            torch._foreach_mul_(covered, cover)
    return live


def ours(
    architecture: Architecture,
    weights: dict[str, Tensor],
    masks: dict[str, Tensor],
    batches: Batches,
    recipe: Training,
    steps: int,
) -> dict[str, Tensor]:
    """The library's loop."""
    loop = training(architecture, weights, masks, batches, recipe, steps=steps, seed=0)
    *_, last = loop
    return last.weights


def compare(recipe: Training, steps: int, turns: int) -> dict[str, object]:
    """Milliseconds a step of both loops and the ratio of their throughputs, turn by turn."""
    architecture = lenet_300_100((1, 28, 28), 10, ())
    draw = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(architecture.shape(name), generator=draw) * 0.05
        for name in architecture.tensors
    }
    masks = {
        name: torch.rand(architecture.shape(name), generator=draw) < DENSITY
        for name in architecture.prunable
    }
    weights |= {name: weights[name] * mask for name, mask in masks.items()}
    images = torch.randn(SAMPLES, 1, 28, 28, generator=draw)
    data = Samples(images, torch.randint(0, 10, (SAMPLES,), generator=draw))
    batches = Batches(data, torch.zeros(1), recipe)
    times: dict[str, list[float]] = {"ours": [], "minimal": []}
    for turn in range(turns + 1):
        began = perf_counter()
        mine = ours(architecture, weights, masks, batches, recipe, steps)
        middle = perf_counter()
        theirs = minimal(weights, masks, data, recipe, steps)
        ended = perf_counter()
        if turn == 0:  # warm-up
            gap = max(float((mine[n] - theirs[n]).detach().abs().max()) for n in theirs)
            if gap > 1e-4:
                raise SystemExit(f"the two loops differ by {gap}: they do not do the same maths")
            continue
        times["ours"].append(1000 * (middle - began) / steps)
        times["minimal"].append(1000 * (ended - middle) / steps)
    ratios = [b / a for a, b in zip(times["ours"], times["minimal"], strict=True)]
    return {
        "optimizer": recipe.optimizer,
        "batch_size": recipe.batch_size,
        "milliseconds_a_step": times,
        "throughput_ratios": ratios,
        "median_ratio": median(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    rows = []
    with pinned(arguments.threads):
        for batch_size in (60, 128):
            for optimizer, rate in (("adam", 1.2e-3), ("sgd", 0.1)):
                recipe = Training(
                    optimizer=optimizer,
                    learning_rate=rate,
                    batch_size=batch_size,
                    schedule="constant",
                )
                rows.append(compare(recipe, arguments.steps, arguments.turns))
                print(f"{optimizer:5} batch {batch_size:3}: {rows[-1]['median_ratio']:.3f}")
    result = {"threads": arguments.threads, "machine": machine(), "rows": rows}
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
