"""How much each growth changes the function, on real data, in evaluation and in training mode.

    python experiments/certificates.py --data-dir DATA

Claim: a growth that claims to preserve the function changes no logit by more than 1e-10, in float64
and in both modes; every other says so. Each network is trained for some steps first and half of its
weights are pruned; then every operator with every initialisation grows it at its first, middle and
last place. Writes `certificates.md` and `certificates.json` beside itself, in minutes on two cores.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from recursive_lth import seeds
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.config import Data, GrowthStep, Training
from recursive_lth.errors import InputError
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.certificate import BrokenPromiseError
from recursive_lth.growth.grow import grow, seed_ticket
from recursive_lth.growth.initialise import INITIALISATIONS
from recursive_lth.growth.operators import PLACES
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.datasets import load
from recursive_lth.training.loop import training
from recursive_lth.training.split import split

NETWORKS: dict[str, tuple[str, tuple[int, ...]]] = {
    "mlp": ("mnist", (48, 32)),
    "lenet-5": ("mnist", ()),
    "conv-2": ("mnist", (8,)),
    "convnet": ("cifar10", (8, 16, 16)),
    "vgg-11": ("cifar10", (4, 8, 8, 8, 8)),
    "resnet-20": ("cifar10", (4, 8, 8)),
    "resnet-18": ("cifar10", (4, 8, 8, 8)),
    "wrn-16-4": ("cifar10", (4, 8, 8)),
    "mobilenet": ("cifar10", (4, 4, 8, 8)),
    "convmixer": ("cifar10", (8,)),
}
SAMPLES, STEPS, RATIO = 32, 30, 0.3


def trained(network: str, data_dir: Path) -> tuple[Ticket, Batch]:
    """A ticket after some steps on real data, half of it pruned, and samples that it trained on."""
    name, hidden = NETWORKS[network]
    data = load(name, data_dir)
    parts = split(data, Data(name, train_limit=4000), 0, torch.device("cpu"))
    architecture = ARCHITECTURES[network](data.sample_shape, data.classes, hidden)
    ticket = seed_ticket(birth(architecture), seeds.generator(0, "birth"), "kaiming_normal")
    recipe = Training()
    batches = Batches(parts.train, parts.black, recipe)
    *_, last = training(
        architecture, ticket.weights, ticket.masks, batches, recipe, steps=STEPS, seed=0
    )
    weights = last.snapshot()
    masks = {}
    for tensor, mask in ticket.masks.items():
        size = {tensor: weights[tensor].abs()}
        masks |= masking.drop_lowest({tensor: mask}, size, mask.numel() // 2, floor=1)
    grown_up = replace(ticket, weights=masking.apply(weights, masks), masks=masks)
    return grown_up, Batch(parts.train.images[:SAMPLES], parts.train.labels[:SAMPLES])


def certificates(
    ticket: Ticket, batch: Batch, operator: str, initialisation: str
) -> list[dict[str, Any]]:
    """The certificates at the first, middle and last place; of a refusal its reason."""
    count = len(PLACES[operator](ticket.architecture))
    found = []
    for i in sorted({0, count // 2, count - 1}) if count else ():
        step = GrowthStep(operator, (i + 0.5) / count, RATIO, initialisation)
        draw = seeds.generator(1, "birth")
        try:
            sprout = grow(ticket, step, batch, generation=1, generator=draw)
            found.append(asdict(sprout.certificate) | {"place": step.place})
        except BrokenPromiseError:
            raise
        except InputError as error:
            found.append({"place": step.place, "refused": str(error)})
    return found


def cell(found: list[dict[str, Any]]) -> str:
    """The worst of the places: a change that is claimed to be rounding, or what is not claimed."""
    if not found:
        return ""
    grown = [c for c in found if "refused" not in c]
    if not grown:
        return "refused"
    worst = max(max(c["eval"], c["train"]) for c in grown)
    claims = all(c["claims_exact"] for c in grown)  # `grow` stops where one is not kept
    size = f"{worst:.0e}" if worst else "0"
    return size if claims else f"no: {worst:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    data_dir = parser.parse_args().data_dir
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for network in NETWORKS:
        ticket, batch = trained(network, data_dir)
        for operator, names in INITIALISATIONS.items():
            for name in names:
                row = found.setdefault(f"{operator} | {name}", {})
                row[network] = certificates(ticket, batch, operator, name)
                print(network, operator, name, cell(row[network]) or "no place", flush=True)
    write(found)


def write(found: dict[str, dict[str, Any]]) -> None:
    """The table and all numbers, beside this file."""
    head = " | ".join(("operator", "initialisation", *NETWORKS))
    lines = [
        "# Certificates of growth",
        "",
        "The largest change of a logit in evaluation or training mode, float64, over the first,",
        f"middle and last place, on {SAMPLES} training images. A number alone is claimed to be",
        "rounding (at most 1e-10, or the script fails); *no* claims nothing; an empty cell has no",
        "such place; *refused* says why in the JSON.",
        "",
        f"| {head} |",
        "|---" * (2 + len(NETWORKS)) + "|",
        *(f"| {key} | {' | '.join(map(cell, row.values()))} |" for key, row in found.items()),
        "",
        "By `python experiments/certificates.py --data-dir DATA`.",
    ]
    here = Path(__file__)
    here.with_suffix(".md").write_text("\n".join(lines) + "\n", "utf-8")
    here.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
