"""What becomes of learning when a network is split: with its optimizer moved, and without.

    python experiments/optimizer_transplant.py --data-dir data

Claim: a child whose moments and rates are corrected for its copies (`growth.optimizer=carry_path`)
goes its parent's way, to rounding; one whose moments are carried alone, or begun anew, does not.
And: new entries under a carried Adam move as fresh ones, where zero moments under the old count of
steps move 3.15 times as far. Real data, float64, half of the parent's weights pruned, split after
30 steps. Writes optimizer_transplant.md and .json beside itself, in half a minute.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.network import Weights, network
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.config import Data, GrowthStep, Training
from recursive_lth.files import write_atomic, write_json
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.grow import grow, seed_ticket
from recursive_lth.growth.optimizer import INHERIT
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.datasets import load
from recursive_lth.training.loop import training
from recursive_lth.training.per_entry import PerEntry
from recursive_lth.training.samples import Samples
from recursive_lth.training.split import split

NETWORKS = {"mlp": ("mnist", (48, 32)), "convnet": ("cifar10", (8, 16, 16))}
RECIPES = {
    "SGD": Training(optimizer="sgd", learning_rate=0.05, momentum=0),
    "momentum": Training(optimizer="sgd", learning_rate=0.02),
    "Adam": Training(optimizer="adam", learning_rate=1e-3),
    "AdamW": Training(optimizer="adamw", learning_rate=1e-3, weight_decay=0.1),
}
POLICIES = ("carry_path", "carry", "reset")
LIVED, STEPS, OLD = 30, (1, 20), 5000


def half(architecture: Any) -> Ticket:
    """A ticket in float64 that keeps a random half of its weights."""
    whole = seed_ticket(birth(architecture), seeds.generator(0, "birth"), "kaiming_normal")
    masks = {
        n: torch.rand(m.shape, generator=seeds.generator(0, n)) < 0.5
        for n, m in whole.masks.items()
    }
    doubled = {n: t.double() for n, t in whole.weights.items()}
    return replace(whole, weights=masking.apply(doubled, masks), rewind=doubled, masks=masks)


def trained(
    ticket: Ticket, batches: Batches, recipe: Training, state: State, start: int, steps: int
) -> tuple[Ticket, State]:
    """The ticket and its optimizer after so many steps more, on the same batches for all."""
    loop = training(
        ticket.architecture,
        ticket.weights,
        ticket.masks,
        batches,
        replace(recipe, schedule="constant"),
        steps=10**6,
        seed=1,
        start=start,
        state=state,
    )
    *_, last = islice(loop, steps)
    after: Weights = {n: t.detach().clone() for n, t in last.weights.items()}
    return replace(ticket, weights=after), last.state()


def gap(one: Ticket, other: Ticket, images: Tensor) -> float:
    """The largest difference of a logit between two networks."""
    logits = [network(t.architecture)(t.weights, images, training=True)[0] for t in (one, other)]
    return float((logits[0] - logits[1]).abs().max())


def paths(name: str, recipe: Training, data_dir: Path) -> dict[str, list[float]]:
    """How far a split child is from its parent after some steps, by what its optimizer inherits."""
    data_name, hidden = NETWORKS[name]
    data = load(data_name, data_dir)
    parts = split(data, Data(data_name, train_limit=3000), 0, torch.device("cpu"))
    samples = Samples(parts.train.images.double(), parts.train.labels)
    batches = Batches(samples, parts.black.double(), recipe)
    images = samples.images[:64]
    start = half(ARCHITECTURES[name](data.sample_shape, data.classes, hidden))
    parent, state = trained(start, batches, recipe, {}, 0, LIVED)
    step = GrowthStep("split", 0.3, 0.5, "split_unevenly")
    batch = Batch(images, samples.labels[:64])
    sprout = grow(parent, step, batch, generation=1, generator=seeds.generator(0, "split"))
    found: dict[str, list[float]] = {}
    for policy in POLICIES:
        begun = INHERIT[policy](state, sprout, 0)
        for steps in STEPS:
            one, _ = trained(parent, batches, recipe, state, LIVED, steps)
            other, _ = trained(sprout.ticket, batches, recipe, begun, LIVED, steps)
            found.setdefault(policy, []).append(gap(one, other, images))
    return found


def moves(age: float) -> Tensor:
    """The first steps of a weight of empty moments at an age, under Adam, in learning rates."""
    weight = torch.zeros(2, dtype=torch.float64).requires_grad_()
    optimizer = PerEntry([weight], Training(optimizer="adam", learning_rate=1.0))
    inside = optimizer.state[weight]
    inside |= {"step": torch.tensor(float(OLD)), "age": torch.tensor([age, OLD])}
    inside |= {kind: torch.zeros(2).double() for kind in ("exp_avg", "exp_avg_sq")}
    path = [0.0]
    for _ in range(40):
        weight.grad = torch.full((2,), 0.3, dtype=torch.float64)
        optimizer.step()
        path.append(float(weight.detach()[0]))
    return torch.tensor(path).diff().abs()


def page(gaps: Mapping[str, Mapping[str, list[float]]], aged: Tensor, silent: Tensor) -> str:
    heads = [f"{policy}, {steps}" for policy in POLICIES for steps in STEPS]
    lines = [
        "# The optimizer through growth",
        "",
        (__doc__ or "").split("\n\n")[2].strip(),
        "",
        "Largest difference of a logit between a parent and its child with half of a layer's units",
        f"split, both trained on the same batches for {STEPS[0]} and {STEPS[1]} steps:",
        "",
        f"| network, optimizer | {' | '.join(heads)} |",
        "|---" * (1 + len(heads)) + "|",
    ]
    for name, row in gaps.items():
        cells = [f"{value:.0e}" for policy in row.values() for value in policy]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([
        *lines,
        "",
        "Steps of a new entry under Adam and a steady gradient, in learning rates, in a network",
        f"that is {OLD} steps old:",
        "",
        "| | first step | largest of 40 |",
        "|---|---|---|",
        f"| with an age of its own | {float(aged[0]):.3f} | {float(aged.max()):.3f} |",
        f"| padded with zeros | {float(silent[0]):.3f} | {float(silent.max()):.3f} |",
    ]) + "\n"  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    data_dir = parser.parse_args().data_dir
    torch.set_num_threads(1)
    gaps = {
        f"{network}, {name}": paths(network, recipe, data_dir)
        for network in NETWORKS
        for name, recipe in RECIPES.items()
    }
    aged, silent = moves(0), moves(OLD)
    text = page(gaps, aged, silent)
    print(text)
    here = Path(__file__)
    write_atomic(here.with_suffix(".md"), text)
    numbers = {"gaps": gaps, "aged": aged.tolist(), "silent": silent.tolist()}
    write_json(here.with_suffix(".json"), numbers)


if __name__ == "__main__":
    main()
