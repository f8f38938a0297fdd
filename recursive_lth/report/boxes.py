"""An architecture as a reader wants it drawn: few boxes, each with a row and a column.

A convolution, its BatchNorm and its activation are one box. Rows follow the data; the longest path
is column 0 and what runs beside it, such as a shortcut convolution, stands further right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS, JOINS, SLIDES, WEIGHTED, Layer

NORM_OR_ACTIVATION = frozenset({"batchnorm", *ACTIVATIONS})
FOLLOWERS = NORM_OR_ACTIVATION | {"flatten"}
WORDS = {
    "batchnorm": "norm",
    "meanpool": "mean pool",
    "maxpool": "max pool",
    "avgpool": "mean pool",
}


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
    """Whether a layer is drawn in the box of the chain before it: norm and activation follow.

    A convolution joins the norm and activation that stand before it (pre-activation); what comes
    after such a one stands before the next.
    """
    operations = [layers[name].operation for name in chain]
    is_prelude = all(operation in FOLLOWERS for operation in operations)
    is_whole = operations[0] in NORM_OR_ACTIVATION and not is_prelude
    fits = layer.operation in FOLLOWERS and not is_whole
    return fits or (is_prelude and layer.operation in WEIGHTED)


def _title(layers: Mapping[str, Layer], chain: list[str]) -> str:
    return next((name for name in chain if layers[name].operation in WEIGHTED), chain[0])


def describe(architecture: Architecture, box: Box) -> str:
    """The operations of a box in words: `3×3 conv /2 · norm · relu`.

    The addition or concatenation that a box begins with is drawn as a sign, and left out.
    """
    words = [_word(architecture, name) for name in box.members]
    return " · ".join(words[architecture.layers[box.members[0]].operation in JOINS :])


def _word(architecture: Architecture, name: str) -> str:
    layer = architecture.layers[name]
    word = WORDS.get(layer.operation, layer.operation)
    if layer.operation == "groupconv":
        is_depthwise = architecture.shape(f"{name}.weight")[1] == 1
        word = f"{'depthwise' if is_depthwise else 'grouped'} conv"
    if layer.operation == "adaptivepool":
        return f"mean pool to {layer.kernel}×{layer.kernel}"
    if layer.operation in SLIDES:
        stride = f" /{layer.stride}" if layer.stride > 1 else ""
        return f"{layer.kernel}×{layer.kernel} {word}{stride}"
    return word


def assign_rows(boxes: Mapping[str, Box]) -> dict[str, int]:
    """The row of each box: boxes on the longest path from the input to it."""
    rows: dict[str, int] = {}
    for name, box in boxes.items():
        rows[name] = max((rows[source] + 1 for source in box.inputs), default=0)
    return rows


def assign_columns(boxes: Mapping[str, Box], rows: Mapping[str, int]) -> dict[str, int]:
    """The column of each box: 0 along the longest path, else the first that is free beside it.

    Free is a column that is empty from the box's first input to its last reader, where its edges
    run, so that none is drawn across another box.
    """
    columns: dict[str, int] = {}
    name = max(rows, key=lambda n: rows[n])
    while name:
        columns[name] = 0
        name = max(boxes[name].inputs, key=lambda n: rows[n], default="")
    taken = {(rows[n], 0) for n in columns}
    ends = dict(rows)  # the row of a box's last reader
    for name, box in boxes.items():
        ends |= {source: max(ends[source], rows[name]) for source in box.inputs}
    for name, box in boxes.items():
        if name not in columns:
            first = min((rows[source] + 1 for source in box.inputs), default=rows[name])
            needed = range(first, max(ends[name], rows[name] + 1))
            column = next(
                c for c in range(1, len(boxes) + 1) if not {(row, c) for row in needed} & taken
            )
            columns[name] = column
            taken |= {(row, column) for row in needed}
    return columns


def assign_lanes(spans: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """A lane for each (first row, last row), such that no two that overlap share one."""
    lanes: dict[tuple[int, int], int] = {}
    for first, last in sorted(set(spans), key=lambda span: (span[1] - span[0], span)):
        busy = {lane for (a, b), lane in lanes.items() if a < last and first < b}
        lanes[first, last] = next(lane for lane in range(len(busy) + 1) if lane not in busy)
    return lanes
