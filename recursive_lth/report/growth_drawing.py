"""An architecture before and after a growth, side by side, with what is new in one colour."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from recursive_lth.report.boxes import Box, describe
from recursive_lth.report.canvas import LIGHT, bare_axes, draw_svg
from recursive_lth.report.layout import Layout, Point, lay_out, stack_rows
from recursive_lth.report.standing import Line

MARGIN, BETWEEN = 6, 24


def draw_growth(parent: Line, child: Line) -> str:
    """SVG: the parent's architecture and the child's, new and widened layers in the accent."""
    right = lay_out(child)
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


def draw_network(line: Line) -> str:
    """SVG: the architecture of one ticket."""
    layout = lay_out(line)
    tops, height = stack_rows(layout)
    width = layout.width + 2 * MARGIN
    title = f"generation {line['generation']}"

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
    old = None if before is None else set(before.edges)
    for edge in sorted(layout.edges, key=lambda e: old is not None and e not in old):
        corners = [(x + left, y) for x, y in layout.corners(edge, tops)]
        _paint_edge(axes, corners, is_new=old is not None and edge not in old)
    for box in layout.boxes.values():
        x, y, w, h = layout.frame(box.name, tops)
        is_new = before is not None and box.name not in before.boxes
        gained = 0 if before is None or is_new else _units_gained(layout, before, box)
        _paint_frame(axes, (x + left, y, w, h), is_new=is_new, is_wider=gained != 0)
        if layout.is_sum(box.name):
            axes.text(x + left + w / 2, y + h / 2, "+", ha="center", va="center", size=14)
        else:
            tag = "new" if is_new else f"{gained:+d} units" if gained else ""
            _write_box(axes, x + left, y, w, layout, box, tag)


def _units_gained(layout: Layout, before: Layout, box: Box) -> int:
    """How many more units the box's weight layer makes than it did before."""
    now, then = layout.architecture, before.architecture
    if box.name not in then.layers or not now.layers[box.name].width:
        return 0
    return now.shapes[box.name][0] - then.shapes[box.name][0]


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
    words = describe(layout.architecture, box)
    axes.text(left, y + 29, words, size=9.5, color=LIGHT["muted"], va="center")
    if tag:
        label = axes.text(right, y + 29, tag, size=9.5, ha="right", va="center")
        label.set(weight="bold", color=LIGHT["accent"])
    if box.name in layout.layers:
        counts = layout.layers[box.name]
        share = counts["remaining"] / max(counts["weights"], 1)
        for end, colour in ((right, "faint"), (left + share * (right - left), "muted")):
            axes.plot([left, end], [y + 39] * 2, color=LIGHT[colour], linewidth=2.4)
