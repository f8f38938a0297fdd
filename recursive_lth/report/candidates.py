"""The growths that were tried in each generation, and what each would have gained."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recursive_lth.report.canvas import (
    FULL_WIDTH,
    LIGHT,
    draw_svg,
    operator_colour,
    operator_kind,
    place_legend,
    point_key,
)
from recursive_lth.report.record import RunRecord

KIND_WORDS = {
    "widen": "wider",
    "deepen": "deeper",
    "residual": "block",
    "branch": "path",
    "other": "other",
}


def draw_candidates(record: RunRecord) -> str | None:
    """SVG: how much calibrated loss each candidate growth gained over not growing.

    None where no generation had candidates.
    """
    turns = [line for line in record.generations if line["candidates"]]
    if not turns:
        return None
    offered = [c for line in turns for c in line["candidates"]]
    gains = [c["gain"] for c in offered if c["gain"] is not None]
    reach = max([*gains, 0.0]) or max((abs(g) for g in gains), default=1.0) or 1.0
    floor = max(min([*gains, 0.0]), -2.5 * reach)
    tried = {operator_kind(c["growth"]["operator"]) for c in offered if c["growth"]}
    kinds = [kind for kind in KIND_WORDS if kind in tried]

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        axes.set_title("Loss gained over not growing")
        axes.axhline(0, color=LIGHT["muted"], linewidth=1)
        depth = 0.14 * (reach - floor)
        axes.set_ylim(floor - 1.7 * depth, reach + 0.12 * (reach - floor))
        for x, line in enumerate(turns):
            if x % 2:
                axes.axvspan(x - 0.5, x + 0.5, color=LIGHT["wash"], linewidth=0, zorder=0)
            _paint_candidates(axes, x, line["candidates"], floor, depth)
        axes.set_xticks(range(len(turns)), [str(line["generation"]) for line in turns])
        axes.set_xlim(-0.55, max(len(turns), 3) - 0.45)
        axes.set_xlabel("generation whose growth was searched")
        keys = [point_key("o", LIGHT[kind], LIGHT[kind], KIND_WORDS[kind]) for kind in kinds]
        keys += [
            point_key("o", LIGHT["muted"], LIGHT["muted"], "not growing"),
            point_key("o", LIGHT["paper"], LIGHT["ink"], "chosen", size=10),
            point_key("x", LIGHT["muted"], LIGHT["muted"], "stopped early"),
            point_key("v", LIGHT["paper"], LIGHT["muted"], "failed, too large or far below"),
        ]
        place_legend(axes, keys)

    return draw_svg("candidates of each generation", FULL_WIDTH, 360, paint)


def _paint_candidates(
    axes: Axes, x: int, candidates: Sequence[dict[str, Any]], floor: float, depth: float
) -> None:
    step = 0.76 / max(len(candidates) - 1, 1)
    for place, candidate in enumerate(candidates):
        growth, gain = candidate["growth"], candidate["gain"]
        colour = operator_colour(growth["operator"] if growth else "none")
        at = x - 0.38 + place * step if len(candidates) > 1 else x
        is_below = gain is None or gain < floor
        y = floor - depth if is_below else gain
        if candidate["status"] == "chosen":
            axes.scatter(at, y, s=190, facecolors="none", edgecolors=LIGHT["ink"], linewidths=1.4,
                         zorder=4)  # fmt: skip
        if candidate["status"] == "stopped":
            axes.scatter(at, y, s=42, marker="x", color=colour, linewidths=1.7, zorder=3)
        elif is_below:
            axes.scatter(at, y, s=46, marker="v", facecolors="none", edgecolors=colour, zorder=3)
        else:
            axes.scatter(at, y, s=66, color=colour, linewidths=0, zorder=3)
