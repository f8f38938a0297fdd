"""One contrast of a study, drawn: its pairs, and what lies between them with its interval.

An estimation plot after Gardner and Altman 1986 ("Confidence intervals rather than P values").
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recursive_lth.report.canvas import LIGHT, draw_svg
from recursive_lth.report.study_forest import MARKS
from recursive_lth.report.study_record import Row
from recursive_lth.report.study_values import shorten, spell
from recursive_lth.report.ticks import mark_writer, set_numbers

WIDTH, HEIGHT = 470, 300  # pixels
LETTERS = 16  # of an arm's name that fits below its column


def draw_contrast(verdict: Row) -> str | None:
    """SVG: a line for each seed from the rival's value to the arm's; beside it the differences,
    their mean and its 95 % interval. None where no pair has both values."""
    pairs = verdict["pairs"]
    if not pairs:
        return None
    is_share = verdict["unit"] == "share"

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.1)
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _paint_pairs(left, verdict, is_share=is_share)
        _paint_differences(right, verdict, is_share=is_share)

    return draw_svg(f"pairs of {verdict['name']}", WIDTH, HEIGHT, paint)


def _paint_pairs(axes: Axes, verdict: Row, *, is_share: bool) -> None:
    sign = 1 if verdict["direction"] == "more" else -1
    for pair in verdict["pairs"]:
        is_claimed = sign * (pair["arm"] - pair["rival"]) > 0
        colour = LIGHT["accent" if is_claimed else "test"]
        style = "solid" if is_claimed else (0, (4, 2))
        axes.plot([0, 1], [pair["rival"], pair["arm"]], color=colour, linewidth=1.3, alpha=0.85,
                  linestyle=style, marker="o", markersize=5)  # fmt: skip
    found = [pair[side] for pair in verdict["pairs"] for side in ("rival", "arm")]
    set_numbers(axes, axes.yaxis, found, is_share=is_share)
    names = [_fold(str(verdict[side])) for side in ("rival", "arm")]
    axes.set_xticks([0, 1], names, color=LIGHT["ink"])
    axes.set_xlim(-0.3, 1.3)
    unit = "" if is_share or not verdict["unit"] else f", {verdict['unit']}"
    axes.set_title(f"{shorten(spell(verdict['measure']), 26)}{unit}", size=10.5)


def _paint_differences(axes: Axes, verdict: Row, *, is_share: bool) -> None:
    marker, shade, is_filled = MARKS[verdict["verdict"]]
    factor = 100.0 if is_share else 1.0
    gains = [factor * (pair["arm"] - pair["rival"]) for pair in verdict["pairs"]]
    mean = sum(gains) / len(gains)
    ends = [factor * end for name in ("low", "high")
            if (end := verdict["effect"].get(name)) is not None]  # fmt: skip
    margin = factor * (verdict.get("margin") or 0.0)
    if margin:
        axes.axhspan(-margin, margin, facecolor=LIGHT["faint"], alpha=0.6, linewidth=0, zorder=0)
    axes.axhline(0, color=LIGHT["muted"], linewidth=1.1, zorder=1)
    axes.scatter(spread_out(len(gains)), gains, s=26, facecolors=LIGHT["faint"], zorder=2,
                 edgecolors=LIGHT["muted"], linewidths=0.9)  # fmt: skip
    colour = LIGHT[shade]
    if len(ends) == 2:
        axes.plot([1, 1], ends, color=colour, linewidth=2.4, zorder=3)
    axes.scatter([1], [mean], s=62, marker=marker, zorder=4, linewidths=1.7, edgecolors=colour,
                 facecolors=colour if is_filled else LIGHT["paper"])  # fmt: skip
    reach = [*gains, *ends, 0.0, -margin, margin]
    set_numbers(axes, axes.yaxis, reach, is_share=False)
    write = mark_writer(*axes.get_ylim(), is_share=False)
    axes.yaxis.set_major_formatter(lambda v, _: f"+{write(v)}" if v > 1e-12 else write(v))
    axes.set_xticks([0, 1], ["pairs", "mean,\n95 % interval"], color=LIGHT["ink"])
    axes.set_xlim(-0.5, 1.5)
    axes.set_title("difference, points" if is_share else "difference", size=10.5)


def spread_out(number: int) -> list[float]:
    """Places side by side about 0, so that no dot hides another.

    >>> spread_out(3)
    [-0.08, 0.0, 0.08]
    """
    step = min(0.08, 0.6 / max(number - 1, 1))
    return [step * (i - (number - 1) / 2) for i in range(number)]


def _fold(name: str) -> str:
    """A name in at most two lines, broken at a space, hyphen or underscore where there is one."""
    if len(name) <= LETTERS:
        return name
    breaks: Sequence[int] = [i + 1 for i, c in enumerate(name) if c in " -_" and i < LETTERS]
    place = breaks[-1] if breaks else LETTERS
    return f"{name[:place]}\n{shorten(name[place:], LETTERS)}"
