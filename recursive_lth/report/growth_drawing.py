"""An architecture before and after a growth, side by side, with what is new in one colour."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from recursive_lth.report.boxes import Box, describe
from recursive_lth.report.canvas import LIGHT, bare_axes, draw_svg
from recursive_lth.report.changes import is_changed, tell_change
from recursive_lth.report.layout import WIDTH, Edge, Layout, Point, lay_out, stack_rows
from recursive_lth.report.standing import Line

MARGIN, BETWEEN = 6, 24
LETTER = 5.2  # pixels of a small letter in the widest system fonts
SIGNS = {"add": "+", "concat": "‖"}


def draw_growth(parent: Line, child: Line) -> str:
    """SVG: the parent's architecture and the child's, new and changed layers in the accent.

    Where the growth left the architecture as it was, as re-wiring does, it is drawn once.
    """
    right = lay_out(child)
    if lay_out(parent).architecture == right.architecture:
        return draw_network(child, note="the same layers before and after")
    left = lay_out(parent, after=right)
    tops, height = stack_rows(left, right)
    width = left.width + right.width + BETWEEN + 2 * MARGIN
    before = f"before · generation {parent['generation']}"
    after = f"after · generation {child['generation']}"

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, height)
        _paint_network(axes, left, tops, MARGIN, before, None)
        _paint_network(axes, right, tops, width - MARGIN - right.width, after, left)

    name = f"architecture before and after generation {child['generation']} {child['digest'][:12]}"
    return draw_svg(name, width, height, paint)


def draw_network(line: Line, *, note: str = "") -> str:
    """SVG: the architecture of one ticket, with a note behind its title."""
    layout = lay_out(line)
    tops, height = stack_rows(layout)
    width = layout.width + 2 * MARGIN
    title = f"generation {line['generation']}" + f" · {note}" * bool(note)

    def paint(figure: Figure) -> None:
        _paint_network(bare_axes(figure, width, height), layout, tops, MARGIN, title, None)

    return draw_svg(f"architecture {line['digest'][:12]}", width, height, paint)


def _paint_network(
    axes: Axes,
    layout: Layout,
    tops: Mapping[int, float],
    left: float,
    title: str,
    before: Layout | None,
) -> None:
    """Draw a layout `left` pixels from the left; what `before` lacks is marked as new."""
    axes.text(left, 14, title, weight="bold", size=12, va="center")
    new = set() if before is None else _new_edges(layout, before)
    for edge in sorted(layout.edges, key=lambda e: e in new):
        corners = [(x + left, y) for x, y in layout.corners(edge, tops)]
        _paint_edge(axes, corners, is_new=edge in new)
    for box in layout.boxes.values():
        x, y, w, h = layout.frame(box.name, tops)
        is_new = before is not None and box.name not in before.architecture.layers
        sides = None if before is None else (before.architecture, layout.architecture)
        is_wider = sides is not None and not is_new and is_changed(*sides, box)
        _paint_frame(axes, (x + left, y, w, h), is_new=is_new, is_wider=is_wider)
        if layout.is_sign(box.name):
            _write_sign(axes, x + left, y, w, h, layout, box)
        else:
            tag = "new" if is_new else tell_change(*sides, box) if sides else ""
            _write_box(axes, x + left, y, w, layout, box, tag)


def _new_edges(layout: Layout, before: Layout) -> set[Edge]:
    """The edges between boxes whose layers were not connected before."""
    known = set(before.architecture.graph.edges)
    ends = {n: (box.members[0], box.members[-1]) for n, box in layout.boxes.items()}
    return {(a, b) for a, b in layout.edges if (ends[a][1], ends[b][0]) not in known}


def _write_sign(
    axes: Axes, x: float, y: float, w: float, h: float, layout: Layout, box: Box
) -> None:
    """The sign of an addition or concatenation; what follows it, and a new width, at its left."""
    operation = layout.architecture.layers[box.name].operation
    axes.text(x + w / 2, y + h / 2, SIGNS[operation], ha="center", va="center", size=14)
    shape = "×".join(map(str, layout.architecture.shapes[box.members[-1]]))
    lines = [shape] * (operation == "concat") + [describe(layout.architecture, box)]
    text = "\n".join(_shorten(line, (WIDTH - w) / 2 - 8) for line in lines if line)
    axes.text(x - 8, y + h / 2, text, size=9.5, color=LIGHT["muted"], ha="right", va="center",
              linespacing=1.0)  # fmt: skip


def _shorten(text: str, room: float) -> str:
    """The text, its end left out where it would be wider than `room` pixels."""
    letters = int(room / LETTER)
    return text if len(text) <= letters else f"{text[: max(letters - 1, 0)].rstrip(' ·')}…"


def _paint_edge(axes: Axes, corners: list[Point], *, is_new: bool) -> None:
    colour = LIGHT["accent" if is_new else "muted"]
    line = PathPatch(_round(corners), fill=False, edgecolor=colour)
    line.set_linewidth(2.0 if is_new else 1.1)
    axes.add_patch(line)
    tip = Path([(0, 0), (-3.4, -6), (3.4, -6), (0, 0)], closed=True)  # points down
    is_down = corners[-2][0] == corners[-1][0]
    turned = Affine2D().rotate_deg(0 if is_down else 90).translate(*corners[-1])
    axes.add_patch(PathPatch(turned.transform_path(tip), facecolor=colour, linewidth=0))


def _round(corners: list[Point], radius: float = 9) -> Path:
    """A path through corners that are joined by level or upright lines, each corner rounded."""
    points, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [_near(corner, before, radius), corner, _near(corner, after, radius)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*points, corners[-1]], [*codes, Path.LINETO])


def _near(corner: Point, end: Point, radius: float) -> Point:
    """The point `radius` from the corner towards the end, or half way where that is nearer."""
    dx, dy = end[0] - corner[0], end[1] - corner[1]
    length = abs(dx) + abs(dy)
    reach = min(radius / length, 0.5) if length else 0.0
    return corner[0] + reach * dx, corner[1] + reach * dy


def _paint_frame(
    axes: Axes, frame: tuple[float, float, float, float], *, is_new: bool, is_wider: bool
) -> None:
    x, y, w, h = frame
    shape = "round,pad=0,rounding_size=6"
    box = FancyBboxPatch((x, y), w, h, boxstyle=shape, facecolor=LIGHT["paper"])
    box.set_edgecolor(LIGHT["accent" if is_new or is_wider else "faint"])
    box.set_linewidth(1.8 if is_new or is_wider else 1.2)
    axes.add_patch(box)
    if is_new or is_wider:
        tint = FancyBboxPatch((x, y), w, h, boxstyle=shape, linewidth=0)
        tint.set(facecolor=LIGHT["accent"], alpha=0.22 if is_new else 0.06)
        axes.add_patch(tint)


def _write_box(
    axes: Axes, x: float, y: float, w: float, layout: Layout, box: Box, tag: str
) -> None:
    """The words of a box: name and shape, operations and tag, and the bar of what remains."""
    shape = "×".join(map(str, layout.architecture.shapes[box.members[-1]]))
    room = int((w - 30 - 6.4 * len(shape)) / 7)  # letters of the widest system fonts
    name = box.name if len(box.name) <= room else f"…{box.name[1 - room :]}"
    left, right = x + 9, x + w - 9
    axes.text(left, y + 14, name, weight="bold", size=10.5, va="center")
    axes.text(right, y + 14, shape, size=10.5, ha="right", va="center")
    words = _shorten(
        describe(layout.architecture, box), w - 18 - LETTER * (len(tag) + 2) * bool(tag)
    )
    axes.text(left, y + 29, words, size=9.5, color=LIGHT["muted"], va="center")
    if tag:
        label = axes.text(right, y + 29, tag, size=9.5, ha="right", va="center")
        label.set(weight="bold", color=LIGHT["accent"])
    if box.name in layout.layers:
        counts = layout.layers[box.name]
        share = counts["remaining"] / max(counts["weights"], 1)
        for end, colour in ((right, "faint"), (left + share * (right - left), "muted")):
            axes.plot([left, end], [y + 39] * 2, color=LIGHT[colour], linewidth=2.4)
