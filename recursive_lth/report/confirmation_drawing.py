"""Tickets held against their parents and controls, drawn: gains with their intervals."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg
from recursive_lth.report.confirmations import name_rival
from recursive_lth.report.record import RunRecord
from recursive_lth.report.ticks import set_points

Comparison = tuple[int, Mapping[str, Any]]  # of which generation, against whom
LEAST_POINTS = 0.05


def draw_confirmations(record: RunRecord) -> str | None:
    """SVG: ticket minus rival in points of validation accuracy, with 95 % intervals over pairs.

    One panel a rival, one line a confirmed ticket; None where there is none.
    """
    panels: dict[str, list[Comparison]] = {}
    for line in record.generations:
        for each in (line.get("confirmation") or {"against": []})["against"]:
            if each["accuracy"] is not None:
                panels.setdefault(each["rival"], []).append((line["generation"], each))
    if not panels:
        return None
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    height = lines * (23.0 * max(map(len, panels.values())) + 84)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(lines, columns, squeeze=False)
        figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.1)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (rival, rows) in zip(grid.flat, panels.items(), strict=False):
            axes.set_title(f"against {name_rival(rival)}")
            _paint_panel(axes, rows)

    return draw_svg("ticket minus parent and controls, with intervals", FULL_WIDTH, height, paint)


def _paint_panel(axes: Axes, rows: Sequence[Comparison]) -> None:
    effects = [each["accuracy"] for _, each in rows]
    ends = [100 * effect[end] for effect in effects for end in ("low", "high")]
    usual = max(LEAST_POINTS, median(abs(100 * effect["mean"]) for effect in effects))
    set_points(axes, min(0.0, *ends), max(0.0, *ends), usual)
    for y, (effect, (_, each)) in enumerate(zip(effects, rows, strict=True)):
        mean, word = 100 * effect["mean"], each["verdict"]
        colour = LIGHT["accent" if mean > 0 else "test"]
        is_clear = word in {"won", "lost"}
        axes.plot([100 * effect["low"], 100 * effect["high"]], [y, y], color=colour,
                  linewidth=2.2, alpha=0.9 if is_clear else 0.5)  # fmt: skip
        axes.scatter(mean, y, s=46, zorder=3, facecolors=colour if is_clear else LIGHT["paper"],
                     edgecolors=colour, linewidths=1.6)  # fmt: skip
        axes.text(1.02, y, word, transform=axes.get_yaxis_transform(), va="center",
                  color=LIGHT["muted"], size=9.5)  # fmt: skip
    axes.axvline(0, color=LIGHT["muted"], linewidth=1.1, zorder=1)
    axes.set_yticks(range(len(rows)), [str(generation) for generation, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.set_ylabel("generation")
    axes.set_xlabel("points of validation accuracy")
