"""Tickets held against their controls, drawn: differences with their intervals."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg
from recursive_lth.report.tickets_record import TicketsRecord
from recursive_lth.report.tickets_table import density, has_arms, name_pair
from recursive_lth.report.ticks import set_points

Row = Mapping[str, Any]
MOST_PANELS = 18
LEAST_POINTS = 0.05


def draw_pairs(record: TicketsRecord) -> str | None:
    """SVG: ticket minus control in points of test accuracy, with 95 % intervals over pairs.

    One panel a control (of each arm, where there are several), one line a level. None where there
    are no controls.
    """
    if not record.pairs:
        return None
    several = has_arms(record.table)
    panels: dict[str, list[Row]] = {}
    for row in record.pairs:
        name = name_pair(row)
        panels.setdefault(f"{row['arm']}: {name}" if several else name, []).append(row)
    shown = dict(list(panels.items())[:MOST_PANELS])
    columns = min(3 if len(shown) != 4 else 2, len(shown))
    lines = -(-len(shown) // columns)
    height = lines * (23.0 * max(map(len, shown.values())) + 84)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(lines, columns, squeeze=False)
        figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.1)
        for axes in grid.flat[len(shown) :]:
            axes.set_axis_off()
        for axes, (name, rows) in zip(grid.flat, shown.items(), strict=False):
            axes.set_title(name)
            _paint_panel(axes, rows)

    return draw_svg("ticket minus control, with intervals", FULL_WIDTH, height, paint)


def _paint_panel(axes: Axes, rows: Sequence[Row]) -> None:
    low, high, usual = _reach(rows)
    set_points(axes, low, high, usual)
    left, right = axes.get_xlim()
    for y, row in enumerate(rows):
        found = row["difference"]
        mean, colour = 100 * found["mean"], LIGHT["accent" if found["mean"] > 0 else "test"]
        clear = is_clear(found)
        if found["low"] is not None:
            ends = 100 * found["low"], 100 * found["high"]
            axes.plot(ends, [y, y], color=colour, linewidth=2.2, alpha=0.9 if clear else 0.5)
            for end, edge, marker in zip(ends, (left, right), "<>", strict=True):
                if not left <= end <= right:
                    axes.scatter(edge, y, s=26, marker=marker, color=colour, clip_on=False)
        axes.scatter(mean, y, s=46, zorder=3, facecolors=colour if clear else LIGHT["paper"],
                     edgecolors=colour, linewidths=1.6)  # fmt: skip
        axes.text(1.02, y, f"{row['wins']} of {row['n']}", transform=axes.get_yaxis_transform(),
                  va="center", color=LIGHT["muted"], size=9.5)  # fmt: skip
    axes.axvline(0, color=LIGHT["muted"], linewidth=1.1, zorder=1)
    axes.set_yticks(range(len(rows)), [density(row["density"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.text(1.02, -0.75, "wins", transform=axes.get_yaxis_transform(), va="bottom", size=9.5,
              color=LIGHT["muted"])  # fmt: skip
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.set_xlabel("points of test accuracy")


def is_clear(found: Row) -> bool:
    """True iff the 95 % interval of a difference leaves out 0."""
    return found["low"] is not None and (found["low"] > 0 or found["high"] < 0)


def _reach(rows: Sequence[Row]) -> tuple[float, float, float]:
    """The frame in points and what is usual in it; very long intervals are cut."""
    means = [100 * row["difference"]["mean"] for row in rows]
    usual = max(LEAST_POINTS, median(abs(mean) for mean in means))
    most = 2.5 * max(LEAST_POINTS, *map(abs, means))
    known = [row["difference"] for row in rows if row["difference"]["low"] is not None]
    low = min([0.0, *means, *(max(100 * found["low"], -most) for found in known)])
    high = max([0.0, *means, *(min(100 * found["high"], most) for found in known)])
    return low, high, usual
