"""Which layers make the same units: one width symbol for all streams that are added."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from recursive_lth.architecture.importing.parts import Part
from recursive_lth.architecture.layer import MAKES_UNITS
from recursive_lth.errors import InputError

Row = tuple[tuple[str, int], ...]  # segments: a layer that makes units, and how many channels


@dataclass(frozen=True)
class Streams:
    """The symbol of each layer that makes units, and of each symbol how many units it has."""

    symbols: Mapping[str, str]
    widths: Mapping[str, int]


def streams(parts: Mapping[str, Part]) -> Streams:
    """Symbols for all layers that make units, named after the first that makes them.

    What is added shares a symbol, segment by segment. A unit is one channel, save where a grouped
    convolution reads them: then it is one of its groups.

    Raises `InputError` where streams are joined otherwise than they are added, or groups do not fit
    each other.
    """
    first = {name: name for name, part in parts.items() if part.spec.operation in MAKES_UNITS}
    made: dict[str, list[tuple[str, int]]] = {}  # by maker: the layer and its channels
    groups: dict[str, list[tuple[str, int]]] = {}  # by maker: who reads it in how many groups
    rows: dict[str, Row] = {}
    for name, part in parts.items():
        sources = [rows[source] for source in part.inputs]
        match part.spec.operation:
            case "input" | "linear" | "conv":
                rows[name] = ((name, part.spec.channels),)
                made[name] = [(name, part.spec.channels)]
            case "groupconv":
                if len(sources[0]) > 1:
                    raise InputError(
                        f"{name}: a grouped convolution reads streams that are joined by a "
                        "concatenation: put a convolution between them"
                    )
                maker = sources[0][0][0]
                groups.setdefault(maker, []).append((name, part.spec.groups))
                rows[name] = ((maker, part.spec.channels),)
            case "concat":
                rows[name] = tuple(segment for row in sources for segment in row)
            case "flatten":
                pixels = math.prod(parts[part.inputs[0]].shape[1:])
                rows[name] = tuple((maker, channels * pixels) for maker, channels in sources[0])
            case "add":
                rows[name] = sources[0]
                for other in sources[1:]:
                    _unite(first, name, sources[0], other)
            case _:
                rows[name] = sources[0]
    widths: dict[str, int] = {}
    for symbol in dict.fromkeys(_root(first, maker) for maker in first):
        makers = [maker for maker in first if _root(first, maker) == symbol]
        channels = [one for maker in makers for one in made[maker]]
        readers = [one for maker in makers for one in groups.get(maker, [])]
        is_input = parts[symbol].spec.operation == "input"
        widths[symbol] = _units(channels, readers, is_input)
    return Streams({maker: _root(first, maker) for maker in first}, widths)


def _root(first: Mapping[str, str], maker: str) -> str:
    """The earliest layer that makes the same units."""
    while first[maker] != maker:
        maker = first[maker]
    return maker


def _unite(first: dict[str, str], name: str, left: Row, right: Row) -> None:
    """Make two rows that are added one, segment by segment."""
    if [channels for _, channels in left] != [channels for _, channels in right]:
        texts = ("+".join(f"{m} ({c})" for m, c in row) for row in (left, right))
        raise InputError(
            f"{name}: adds {' to '.join(texts)}, which are joined from unlike streams: put a "
            "convolution or linear layer behind the concatenation"
        )
    order = list(first)
    for (one, _), (other, _) in zip(left, right, strict=True):
        early, late = sorted((_root(first, one), _root(first, other)), key=order.index)
        first[late] = early


def _units(channels: list[tuple[str, int]], readers: list[tuple[str, int]], is_input: bool) -> int:
    """How many units layers have that make so many channels and are read in so many groups."""
    wanted = list(readers)
    if is_input:
        wanted.append(channels[0])
    units = wanted[0][1] if wanted else math.gcd(*(count for _, count in channels))
    if any(count != units for _, count in wanted) or any(n % units for _, n in channels):
        texts = [f"{name} in {count} groups" for name, count in readers]
        texts += [f"{name} as {count} channels" for name, count in channels]
        raise InputError(
            f"one stream is used by {', '.join(texts)}: give all grouped convolutions on a "
            "stream the same number of groups, and the input's as many as it has channels"
        )
    return units
