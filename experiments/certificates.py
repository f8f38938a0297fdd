"""How much each growth changes the function, on real data, in both modes and both precisions.

    python experiments/certificates.py --data-dir DATA

Each network is trained for some steps first (mlp on MNIST, the others on CIFAR-10), then grown at
three places by every operator with every initialisation; a cell is the largest change of a logit on
64 training samples. Writes `certificates.md` beside itself.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from recursive_lth import seeds
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.config import Data, GrowthStep, Training
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.certificate import largest_change
from recursive_lth.growth.grow import grow, seed_ticket
from recursive_lth.growth.initialise import INITIALISATIONS, is_preserving
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.datasets import load
from recursive_lth.training.loop import training
from recursive_lth.training.split import split

NETWORKS = (("mlp", "mnist"), ("convnet", "cifar10"), ("resnet-20", "cifar10"))
PLACES = (0.0, 0.5, 1.0)
STEPS = 30
MODES = ("float32 eval", "float32 train", "float64 eval", "float64 train")
HEAD = " | ".join(("network", "operator", "initialisation", "claims exact", *MODES))


def trained(network: str, data_name: str, data_dir: Path) -> tuple[Ticket, Batch]:
    """A ticket after some steps on real data, and 64 samples of them."""
    data = load(data_name, data_dir)
    parts = split(data, Data(data_name, train_limit=4000), 0, torch.device("cpu"))
    architecture = ARCHITECTURES[network](data.sample_shape, data.classes, ())
    ticket = seed_ticket(birth(architecture), seeds.generator(0, "birth"), "kaiming_normal")
    recipe = Training()
    batches = Batches(parts.train, parts.black, recipe)
    *_, last = training(
        architecture, ticket.weights, ticket.masks, batches, recipe, steps=STEPS, seed=0
    )
    return replace(ticket, weights=last.snapshot()), Batch(
        parts.train.images[:64], parts.train.labels[:64]
    )


def cells(ticket: Ticket, operator: str, initialisation: str, batch: Batch) -> list[float]:
    """The largest change over the places: float32 and float64, evaluation and training mode."""
    worst = [0.0] * 4
    for place in PLACES:
        step = GrowthStep(operator, place, 0.3, initialisation)
        draw = seeds.generator(1, "birth")
        grown = grow(ticket, step, batch, generation=1, generator=draw).ticket
        sides = [(t.architecture, t.weights) for t in (ticket, grown)]
        found = [
            largest_change(sides[0], sides[1], batch.images, training=mode, dtype=dtype)
            for dtype in (torch.float32, torch.float64)
            for mode in (False, True)
        ]
        worst = [max(pair) for pair in zip(worst, found, strict=True)]
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    lines = [f"| {HEAD} |", f"|{'---|' * 8}"]
    for network, data in NETWORKS:
        ticket, batch = trained(network, data, parser.parse_args().data_dir)
        for operator, initialisations in INITIALISATIONS.items():
            for name in initialisations:
                found = [f"{x:.1e}" for x in cells(ticket, operator, name, batch)]
                claim = "yes" if is_preserving(operator, name) else "no"
                lines.append(f"| {' | '.join([network, operator, name, claim, *found])} |")
                print(lines[-1])
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
