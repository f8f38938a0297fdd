"""Arms side by side: accuracy at each density, and how far each score compresses, drawn."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, bare_axes, draw_svg, point_key
from recursive_lth.report.quantities import percent
from recursive_lth.report.tickets_record import TicketsRecord
from recursive_lth.report.tickets_table import density

Row = Mapping[str, Any]
MOST_LEVELS = 12
LEAST_SPAN = 0.02  # of accuracies; what differs less is not made to look different
ROOMY = 112  # pixels of a cell that has room for a deviation


def draw_arms(record: TicketsRecord) -> str | None:
    """SVG: test accuracy of each arm's ticket at each level; cells of collapsed networks say so.

    None where there is one arm, or more levels than cells fit beside each other.
    """
    rows = [row for row in record.table if row["variant"] == "ticket"]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    levels = sorted({row["level"] for row in rows})
    if len(arms) < 2 or len(levels) > MOST_LEVELS:
        return None
    alive = [row["test_accuracy"]["mean"] for row in rows if not row["collapsed"]]
    high = max(alive, default=1.0)
    span = max(high - min(alive, default=0.0), LEAST_SPAN)
    digits = 2 if span == LEAST_SPAN else 1
    left, top, line = 24 + 7.2 * max(map(len, arms)), 56, 28
    cell = min(190.0, (FULL_WIDTH - left) / len(levels))
    width, height = left + cell * len(levels) + 4, top + line * len(arms) + 6

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, height)
        axes.text(0, 12, "Test accuracy", weight="bold", size=12, va="center")
        for y, arm in enumerate(arms):
            axes.text(left - 10, top + (y + 0.5) * line, arm, ha="right", va="center", size=10.5)
        for x, level in enumerate(levels):
            here = {row["arm"]: row for row in rows if row["level"] == level}
            _paint_title(axes, left + (x + 0.5) * cell, level, here)
            best = max(row["test_accuracy"]["mean"] for row in here.values())
            for y, arm in enumerate(arms):
                if arm in here:
                    row, place = here[arm], (left + x * cell, top + y * line, cell, line)
                    share = max(0.0, 1 - (high - row["test_accuracy"]["mean"]) / span)
                    is_best = row["test_accuracy"]["mean"] == best and level > 0
                    _paint_cell(axes, place, row, min(1.0, share), digits, is_best=is_best)

    return draw_svg("test accuracy of each arm at each level", width, height, paint)


def _paint_title(axes: Axes, x: float, level: int, here: Mapping[str, Row]) -> None:
    some = [row["density"] for row in here.values()]
    title = density(some[0]) if max(some) < 1.05 * min(some) else f"level {level}"
    axes.text(x, 42, "dense" if level == 0 else title, ha="center", va="center", size=10.5,
              color=LIGHT["muted"])  # fmt: skip


def _paint_cell(
    axes: Axes,
    place: tuple[float, float, float, float],
    row: Row,
    share: float,
    digits: int,
    *,
    is_best: bool,
) -> None:
    (x, y, w, h), is_empty = place, row["collapsed"] > 0
    box = Rectangle((x + 2, y + 2), w - 4, h - 4, linewidth=0)
    box.set(facecolor=LIGHT["accent"], alpha=0.06 + 0.54 * share)
    if is_empty:
        box.set(facecolor="none", edgecolor=LIGHT["warning"], alpha=1.0, linewidth=1.2,
                linestyle=(0, (3, 2)))  # fmt: skip
    axes.add_patch(box)
    found = row["test_accuracy"]
    text = percent(found["mean"], digits=digits)
    if is_empty:
        text += f" · empty in {row['collapsed']} of {row['n']}" if w >= ROOMY else " ∅"
    elif found["sd"] is not None and w >= ROOMY:
        text += f" ± {100 * found['sd']:.{digits}f}"
    axes.text(x + w / 2, y + h / 2, text, ha="center", va="center", size=10,
              weight="bold" if is_best and not is_empty else "normal",
              color=LIGHT["warning"] if is_empty else LIGHT["ink"])  # fmt: skip


def draw_critical(record: TicketsRecord) -> str | None:
    """SVG: the compression at which each arm's score empties a layer, a point a replicate.

    None where none was looked for.
    """
    found: dict[str, list[float]] = {}
    for row in record.critical:
        found.setdefault(row["arm"], []).append(row["compression"])
    if not found:
        return None
    most = max(row["maximal_compression"] for row in record.critical)
    arms = sorted(found, key=lambda arm: sum(found[arm]) / len(found[arm]))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        figure.set_layout_engine("constrained", rect=(0, 0, 0.985, 1))
        axes.set_title("Largest compression that leaves every layer a weight")
        axes.axvline(most, color=LIGHT["test"], linewidth=2)
        for y, arm in enumerate(arms):
            is_most = min(found[arm]) > 0.99 * most
            colour = LIGHT["accent" if is_most else "widen"]
            axes.plot([1, max(found[arm])], [y, y], color=colour, linewidth=1.2, alpha=0.35)
            axes.scatter(found[arm], [y] * len(found[arm]), s=46, color=colour, alpha=0.75,
                         linewidths=0, zorder=3)  # fmt: skip
        axes.set_yticks(range(len(arms)), arms, color=LIGHT["ink"])
        axes.set_ylim(-0.7, len(arms) - 0.3)
        axes.set_xscale("log")
        axes.set_xlim(1, most * 1.5)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}×"))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        keys = [point_key("|", LIGHT["test"], LIGHT["test"], "largest possible", size=12)]
        axes.legend(handles=keys, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)

    height = 24.0 * len(arms) + 84
    return draw_svg("critical compression of each arm", FULL_WIDTH, height, paint)
