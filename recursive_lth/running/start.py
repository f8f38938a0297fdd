"""What a run starts from: a network of the zoo, a model of torchvision's, or a saved ticket."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator

from recursive_lth.architecture import zoo
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.importing.torchvision_models import torchvision_model
from recursive_lth.architecture.layer import Shape
from recursive_lth.config import Start
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket, load_ticket

TORCHVISION = "torchvision:"
FILE = ".safetensors"


def is_imported(name: str) -> bool:
    """True iff a start's name stands for no network of our own zoo."""
    return name.startswith(TORCHVISION) or name.endswith(FILE)


def build(start: Start, shape: Shape, classes: int) -> Architecture:
    """The architecture of generation 0, or level 0.

    `torchvision:resnet18` is a model of torchvision's registry, a path that ends in .safetensors
    a saved ticket. Raises `InputError` where there is no such network or it does not fit the data.
    """
    name = start.architecture
    if not is_imported(name):
        return zoo.build(start, shape, classes)
    if start.hidden:
        raise InputError(
            f"{name} has its own widths, got start.hidden={list(start.hidden)}: set it to []"
        )
    if name.startswith(TORCHVISION):
        return torchvision_model(name.removeprefix(TORCHVISION), tuple(shape), classes)
    return _of_ticket(Path(name), tuple(shape), classes)


def _of_ticket(path: Path, shape: Shape, classes: int) -> Architecture:
    found = load_ticket(path).architecture
    own = found.shapes[found.input]
    if own != shape or found.classes != classes:
        raise InputError(
            f"{path} reads {own} and tells {found.classes} classes "
            f"apart; the data have {shape} and {classes}: start from a ticket of such data"
        )
    return found


def brings_weights(start: Start) -> bool:
    """True iff a run starts with the weights of a saved ticket."""
    return start.architecture.endswith(FILE) and start.weights == "own"


def first_ticket(start: Start, shape: Shape, classes: int, generator: Generator) -> Ticket:
    """What a run starts with: a dense ticket with fresh weights, or a saved one.

    A saved ticket keeps its weights, in float32, its masks, skeleton, and the values to rewind to,
    whatever step `pruning.rewind` names; it is born anew in generation 0. Raises `InputError` as
    `build` does, and where its weights are no plain weights.
    """
    architecture = build(start, shape, classes)
    if not brings_weights(start):
        return seed_ticket(birth(architecture), generator, start.initialisation)
    found = load_ticket(Path(start.architecture))
    if found.basis != "identity" or found.is_filled:
        raise InputError(
            f"{start.architecture} holds weights in basis {found.basis}"
            f"{', with rewind values at pruned places' if found.is_filled else ''}: set "
            'start.weights="fresh", or save a ticket of its module()'
        )
    births = {name: torch.zeros_like(born) for name, born in found.births.items()}
    return replace(
        found,
        weights={name: tensor.float() for name, tensor in found.weights.items()},
        rewind={name: tensor.float() for name, tensor in found.rewind.items()},
        births=births,
        parent="",
        provenance=None,
    )


def origin(networks: Iterable[tuple[Start, Architecture]]) -> dict[str, str]:
    """What a run must find again when it goes on: the networks that its files do not hold."""
    digests = [
        load_ticket(Path(start.architecture)).digest if brings_weights(start) else network.digest
        for start, network in networks
        if is_imported(start.architecture)
    ]
    return {"start": " ".join(digests)} if digests else {}
