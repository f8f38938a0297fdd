"""The network that a run starts from: one of the zoo, of torchvision's models, or a ticket's."""

from collections.abc import Iterable
from pathlib import Path

from recursive_lth.architecture import zoo
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.importing.torchvision_models import torchvision_model
from recursive_lth.architecture.layer import Shape
from recursive_lth.config import Start
from recursive_lth.errors import InputError
from recursive_lth.ticket.ticket import load_ticket

TORCHVISION = "torchvision:"
FILE = ".safetensors"


def is_imported(name: str) -> bool:
    """True iff a start's name stands for no network of our own zoo."""
    return name.startswith(TORCHVISION) or name.endswith(FILE)


def build(start: Start, shape: Shape, classes: int) -> Architecture:
    """The architecture of generation 0, or level 0, whose weights are then drawn anew.

    `torchvision:resnet18` is a model of torchvision's registry, a path that ends in .safetensors
    the structure of a saved ticket. A ticket's weights and masks are not taken: the first network
    of a run is dense and trained from birth, and all that follows is measured against it.

    Raises `InputError` where there is no such network or it does not fit the data.
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


def origin(networks: Iterable[tuple[Start, Architecture]]) -> dict[str, str]:
    """What a run must find again when it goes on: the structures that its files do not hold."""
    digests = [a.digest for start, a in networks if is_imported(start.architecture)]
    return {"start": " ".join(digests)} if digests else {}
