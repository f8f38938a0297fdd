"""What a function of the zoo takes, and what it asks of its arguments."""

from collections.abc import Callable

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Shape
from recursive_lth.errors import InputError

Build = Callable[[Shape, int, tuple[int, ...]], Architecture]  # sample's shape, classes, widths


def need_images(name: str, shape: Shape) -> None:
    """Raise `InputError` unless samples are (channels, height, width)."""
    if len(shape) != 3:
        raise InputError(f"{name} needs images (channels, height, width), got {shape}: use mlp")


def check_widths(name: str, hidden: tuple[int, ...], count: int) -> None:
    """Raise `InputError` unless as many widths are given as the network has, or none."""
    if hidden and len(hidden) != count:
        raise InputError(
            f"{name} takes {count} widths, got {list(hidden)}: start.hidden=[] gives it its own"
        )
