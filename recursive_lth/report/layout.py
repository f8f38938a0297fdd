"""Where the boxes and the edges of architectures stand in a drawing, in pixels, y running down."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import JOINS
from recursive_lth.report.boxes import Box, assign_columns, assign_lanes, assign_rows, collapse
from recursive_lth.report.standing import Line

WIDTH, HEIGHT, GAP, LANE, HEAD = 230, 46, 16, 13, 44
SIGN = 24  # height and width of the sign that adds or joins streams
Point = tuple[float, float]
Edge = tuple[str, str]  # names of the boxes it leaves and enters


@dataclass(frozen=True)
class Layout:
    """One ticket's architecture as boxes in rows and columns; a skip has a lane beside them."""

    architecture: Architecture
    boxes: Mapping[str, Box]
    rows: Mapping[str, int]
    columns: Mapping[str, int]
    layers: Mapping[str, Mapping[str, int]]  # weights and remaining of each weight layer

    @cached_property
    def edges(self) -> list[Edge]:
        """Every edge between boxes."""
        return [(source, name) for name, box in self.boxes.items() for source in box.inputs]

    @cached_property
    def lanes(self) -> dict[tuple[int, int], int]:
        """The lane of every edge that must pass round a box, by its first and last row."""
        filled = {(self.rows[n], self.columns[n]) for n in self.boxes}
        return assign_lanes(
            (self.rows[a], self.rows[b])
            for a, b in self.edges
            if self.columns[a] == self.columns[b]
            and any((r, self.columns[a]) in filled for r in range(self.rows[a] + 1, self.rows[b]))
        )

    @cached_property
    def pitch(self) -> float:
        """Pixels from one column to the next, with room for the lanes between them."""
        return WIDTH + LANE * (2 + max(self.lanes.values(), default=-1)) + 8

    @cached_property
    def width(self) -> float:
        """Pixels from the left of the first column to the right of the last lane."""
        return self.pitch * (1 + max(self.columns.values()))

    def is_sign(self, name: str) -> bool:
        """Whether a box adds or joins streams, and is drawn as a small sign."""
        return self.architecture.layers[name].operation in JOINS

    def frame(self, name: str, tops: Mapping[int, float]) -> tuple[float, float, float, float]:
        """Left, top, width and height of a box whose rows begin at `tops`."""
        x, y = self.columns[name] * self.pitch, tops[self.rows[name]]
        if self.is_sign(name):
            return x + (WIDTH - SIGN) / 2, y, SIGN, SIGN
        return x, y, WIDTH, HEIGHT

    def corners(self, edge: Edge, tops: Mapping[int, float]) -> list[Point]:
        """The corners of an edge from where it leaves to the tip of its arrow.

        Within a column it runs straight down, or round what is between in a lane; from column to
        column it leaves sideways and enters from above, or comes back into the side; where a box
        stands in the way it runs in the gap between two rows instead.
        """
        (x0, y0, w0, h0), (x1, y1, w1, h1) = (self.frame(name, tops) for name in edge)
        first, last = (self.columns[name] for name in edge)
        lane = self.lanes.get((self.rows[edge[0]], self.rows[edge[1]]))
        leaves, enters = y0 + 0.76 * h0, y1 + 0.36 * h1
        below, above = (x0 + w0 / 2, y0 + h0), (x1 + w1 / 2, y1 - 2)
        if first < last and self._is_filled(edge[0], first, last):
            x, gap = x0 + 0.75 * w0, tops[self.rows[edge[0]] + 1] - 0.75 * GAP
            return [(x, y0 + h0), (x, gap), (above[0], gap), above]
        if first < last:
            return [(x0 + w0, leaves), (above[0], leaves), above]
        if first > last and self._is_filled(edge[1], last, first):
            x, gap = last * self.pitch + WIDTH + LANE / 2, tops[self.rows[edge[1]]] - 0.3 * GAP
            start = x0 + 0.25 * w0
            return [(start, y0 + h0), (start, gap), (x, gap), (x, enters), (x1 + w1 + 2, enters)]
        if first > last:
            return [below, (below[0], enters), (x1 + w1 + 2, enters)]
        if lane is None:
            return [below, above]
        x = first * self.pitch + WIDTH + LANE * (1 + lane)
        return [(x0 + w0, leaves), (x, leaves), (x, enters), (x1 + w1 + 2, enters)]

    def _is_filled(self, name: str, low: int, high: int) -> bool:
        """Whether a box of this one's row stands right of the low column, up to the high one."""
        row = self.rows[name]
        return any(self.rows[n] == row and low < self.columns[n] <= high for n in self.boxes)


def lay_out(line: Line, *, after: Layout | None = None) -> Layout:
    """The layout of a ticket's architecture; on the rows of `after` where its boxes all have one.

    On common rows a layer stands at one height in both, and a new one leaves a gap before it.
    """
    architecture = Architecture.from_dict(line["architecture"])
    boxes = collapse(architecture)
    rows = assign_rows(boxes)
    if after is not None and set(boxes) <= set(after.boxes):
        shared = {name: after.rows[name] for name in boxes}
        if all(shared[a] < shared[b] for b, box in boxes.items() for a in box.inputs):
            rows = shared
    return Layout(architecture, boxes, rows, assign_columns(boxes, rows), line["layers"])


def stack_rows(*layouts: Layout) -> tuple[dict[int, float], float]:
    """The top of each row and the height of all; a row of nothing but signs is lower."""
    heights: dict[int, float] = {}
    for layout in layouts:
        for name, row in layout.rows.items():
            need = SIGN if layout.is_sign(name) else HEIGHT
            heights[row] = max(heights.get(row, 0), need)
    tops, y = {}, float(HEAD)
    for row in sorted(heights):
        tops[row] = y
        y += heights[row] + GAP
    return tops, y
