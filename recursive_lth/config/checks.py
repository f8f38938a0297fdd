"""Checks that the sections share, and `pick`, which looks a name up in a registry."""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

from recursive_lth.errors import InputError

T = TypeVar("T")


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?` with the known name most like `word`, or else the list of all."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(names)}"


def pick(registry: Mapping[str, T], name: str, what: str) -> T:
    """The entry of a registry. Raises `InputError` naming the nearest key where there is none."""
    if name not in registry:
        raise InputError(f"unknown {what} {name!r}: {nearest(name, registry)}")
    return registry[name]


def within(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise unless value lies in [low, high], or in (low, high] with `open_low`."""
    is_inside = low < value <= high if open_low else low <= value <= high
    if not is_inside or not math.isfinite(value):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{']' if high < math.inf else ')'}"
        raise InputError(f"{name} must be a finite number in {interval}, got {value}")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
