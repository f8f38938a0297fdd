"""The verdicts of a study, drawn: all of them in one plot, and each by its pairs."""

import math
from collections.abc import Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg, point_key
from recursive_lth.report.study_record import Row, StudyRecord
from recursive_lth.report.study_table import write_deciding
from recursive_lth.report.study_values import shorten
from recursive_lth.report.ticks import set_points

MARKS = {  # a verdict's shape, colour, and whether it is filled
    "supported": ("o", "accent", True),
    "refuted": ("D", "test", True),
    "undecided": ("s", "muted", False),
}
LETTERS = 44  # of a name that fits beside the plot
LEAST_USUAL = 0.2  # standard deviations: a small effect (Cohen 1988)
FURTHEST = 2.5  # times the largest effect, from where an interval is cut by an arrow


def draw_forest(record: StudyRecord) -> str | None:
    """SVG: each contrast's effect in standard deviations of its pairs, with its 95 % interval.

    To the right lies what is claimed. Dots are pairs. None without verdicts.
    """
    verdicts = record.verdicts
    if not verdicts:
        return None

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        drawn = [sizes(verdict) for verdict in verdicts]
        _set_frame(axes, drawn)
        for y, (verdict, size) in enumerate(zip(verdicts, drawn, strict=True)):
            _paint_row(axes, y, verdict, size)
            _tell_row(axes, y, verdict, write_deciding(verdict, record.family))
        axes.axvline(0, color=LIGHT["muted"], linewidth=1.1, zorder=1)
        axes.set_yticks(range(len(verdicts)), [shorten(str(v["name"]), LETTERS) for v in verdicts],
                        color=LIGHT["ink"])  # fmt: skip
        axes.set_ylim(len(verdicts) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_xlabel("against the claim   ←   standard deviations of the pairs   →   as claimed")
        keys: list[Line2D] = [verdict_key(name) for name in MARKS
                              if any(v["verdict"] == name for v in verdicts)]  # fmt: skip
        keys.append(point_key("o", LIGHT["faint"], LIGHT["muted"], "pairs", size=4.5))
        figure.legend(handles=keys, loc="outside upper right", ncols=len(keys), frameon=False,
                      borderaxespad=0.1, handletextpad=0.3)  # fmt: skip

    return draw_svg("standardised effects with intervals", FULL_WIDTH, 104 + 36.0 * len(verdicts),
                    paint)  # fmt: skip


def verdict_key(name: str) -> Line2D:
    """A legend's entry for a verdict."""
    marker, colour, is_filled = MARKS[name]
    return point_key(marker, LIGHT[colour if is_filled else "paper"], LIGHT[colour], name, size=7.5)


def sizes(verdict: Row) -> dict[str, list[float]] | None:
    """Effect, interval and pairs in standard deviations of the pairs, positive where as claimed.

    None where the pairs have no spread to measure by: a single one, or all alike.
    """
    sign = 1.0 if verdict["direction"] == "more" else -1.0
    gains = [sign * (pair["arm"] - pair["rival"]) for pair in verdict["pairs"]]
    spread = verdict["effect"].get("sd")
    if not gains or not spread:
        return None
    ends = [verdict["effect"].get(end) for end in ("low", "high")]
    known = sorted(sign * end / spread for end in ends if end is not None)
    return {
        "pairs": [gain / spread for gain in gains],
        "mean": [math.fsum(gains) / len(gains) / spread],
        "ends": known if len(known) == 2 else [],
    }


def _set_frame(axes: Axes, drawn: Sequence[dict[str, list[float]] | None]) -> None:
    known = [size for size in drawn if size is not None]
    means = [size["mean"][0] for size in known] or [0.0]
    dots = [dot for size in known for dot in size["pairs"]]
    usual = max(LEAST_USUAL, median(abs(mean) for mean in means))
    most = FURTHEST * max(1.0, *(abs(mean) for mean in means))
    ends = [min(max(end, -most), most) for size in known for end in size["ends"]]
    set_points(axes, min([-1.0, *ends, *dots]), max([1.0, *ends, *dots]), usual)


def _paint_row(axes: Axes, y: int, verdict: Row, size: dict[str, list[float]] | None) -> None:
    marker, shade, is_filled = MARKS[verdict["verdict"]]
    colour = LIGHT[shade]
    if size is None:
        words = (
            "no pair"
            if not verdict["pairs"]
            else ("one pair" if len(verdict["pairs"]) == 1 else "all pairs alike")
        )
        text = axes.text(0.5, y, f"{words}: no spread to measure by", va="center", ha="center",
                         transform=axes.get_yaxis_transform(), size=9.5)  # fmt: skip
        text.set_color(LIGHT["muted"])
        text.set_bbox({"facecolor": LIGHT["paper"], "edgecolor": "none", "pad": 2})
        return
    left_edge, right_edge = axes.get_xlim()
    axes.scatter(size["pairs"], [y + 0.27] * len(size["pairs"]), s=15, zorder=2,
                 facecolors=LIGHT["faint"], edgecolors=LIGHT["muted"], linewidths=0.8)  # fmt: skip
    if size["ends"]:
        axes.plot(size["ends"], [y, y], color=colour, linewidth=2.4, alpha=0.9, zorder=3)
        for end, edge, arrow in zip(size["ends"], (left_edge, right_edge), "<>", strict=True):
            if not left_edge <= end <= right_edge:
                axes.scatter(edge, y, s=26, marker=arrow, color=colour, clip_on=False, zorder=3)
    axes.scatter(size["mean"], [y], s=58, marker=marker, zorder=4, linewidths=1.7,
                 facecolors=colour if is_filled else LIGHT["paper"], edgecolors=colour)  # fmt: skip


def _tell_row(axes: Axes, y: int, verdict: Row, p: str) -> None:
    """The corrected p and the verdict, at the right of a row."""
    colour = LIGHT[MARKS[verdict["verdict"]][1]]
    right = axes.get_yaxis_transform()
    axes.text(1.02, y - 0.02, verdict["verdict"], transform=right, va="bottom", size=10,
              color=colour)  # fmt: skip
    axes.text(1.02, y + 0.06, f"p = {p}".replace("= <", "< ").replace(" = –", " unknown"),
              transform=right, va="top", size=9, color=LIGHT["muted"])  # fmt: skip
