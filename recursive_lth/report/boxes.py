"""An architecture as a reader wants it drawn: few boxes, each with a row and a column.

A convolution, its BatchNorm and its ReLU are one box. Rows follow the data; the longest path is
column 0 and what runs beside it, such as a shortcut convolution, stands further right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS, SLIDES, WEIGHTED, Layer

FOLLOWERS = frozenset({"batchnorm", "flatten", *ACTIVATIONS})
WORDS = {"batchnorm": "norm", "add": "+", "meanpool": "mean pool", "maxpool": "max pool"}


@dataclass(frozen=True)
class Box:
    """A chain of layers that is drawn as one; `name` is its weight layer's, or its first's."""

    name: str
    members: tuple[str, ...]  # in the order they run
    inputs: tuple[str, ...]  # names of boxes


def collapse(architecture: Architecture) -> dict[str, Box]:
    """The boxes of an architecture by name, in the order they run."""
    chains: dict[str, list[str]] = {}  # layer -> the chain it belongs to
    for name in architecture.order:
        layer = architecture.layers[name]
        before = chains[layer.inputs[0]] if len(layer.inputs) == 1 else []
        joins = before and architecture.graph.out_degree(layer.inputs[0]) == 1
        if joins and _fits(architecture.layers, before, layer):
            before.append(name)
            chains[name] = before
        else:
            chains[name] = [name]
    titles = {layer: _title(architecture.layers, chain) for layer, chain in chains.items()}
    return {
        titles[chain[0]]: Box(
            titles[chain[0]],
            tuple(chain),
            tuple(titles[source] for source in architecture.layers[chain[0]].inputs),
        )
        for name, chain in chains.items()
        if name == chain[0]
    }


def _fits(layers: Mapping[str, Layer], chain: list[str], layer: Layer) -> bool:
    """Whether a layer is drawn in the box of the chain before it: norm and ReLU follow, and a
    convolution joins the norm and ReLU that stand before it (pre-activation)."""
    is_prelude = all(layers[name].operation in FOLLOWERS for name in chain)
    return layer.operation in FOLLOWERS or (is_prelude and layer.operation in WEIGHTED)


def _title(layers: Mapping[str, Layer], chain: list[str]) -> str:
    return next((name for name in chain if layers[name].operation in WEIGHTED), chain[0])


def describe(architecture: Architecture, box: Box) -> str:
    """The operations of a box in words: `3×3 conv /2 · norm · relu`."""
    return " · ".join(_word(architecture.layers[name]) for name in box.members)


def _word(layer: Layer) -> str:
    if layer.operation in SLIDES:
        stride = f" /{layer.stride}" if layer.stride > 1 else ""
        return f"{layer.kernel}×{layer.kernel} {WORDS.get(layer.operation, 'conv')}{stride}"
    return WORDS.get(layer.operation, layer.operation)


def assign_rows(boxes: Mapping[str, Box]) -> dict[str, int]:
    """The row of each box: boxes on the longest path from the input to it."""
    rows: dict[str, int] = {}
    for name, box in boxes.items():
        rows[name] = max((rows[source] + 1 for source in box.inputs), default=0)
    return rows


def assign_columns(boxes: Mapping[str, Box], rows: Mapping[str, int]) -> dict[str, int]:
    """The column of each box: 0 along the longest path, else the first that is free in its row."""
    columns: dict[str, int] = {}
    name = max(rows, key=lambda n: rows[n])
    while name:
        columns[name] = 0
        name = max(boxes[name].inputs, key=lambda n: rows[n], default="")
    taken = {(rows[n], 0) for n in columns}
    for name in boxes:
        if name not in columns:
            column = next(c for c in range(1, len(boxes) + 1) if (rows[name], c) not in taken)
            columns[name] = column
            taken.add((rows[name], column))
    return columns


def assign_lanes(spans: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """A lane for each (first row, last row), such that no two that overlap share one."""
    lanes: dict[tuple[int, int], int] = {}
    for first, last in sorted(set(spans), key=lambda span: (span[1] - span[0], span)):
        busy = {lane for (a, b), lane in lanes.items() if a < last and first < b}
        lanes[first, last] = next(lane for lane in range(len(busy) + 1) if lane not in busy)
    return lanes
