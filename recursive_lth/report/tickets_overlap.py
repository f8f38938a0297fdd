"""Connections that the tickets of several arms share, drawn against what chance would share."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg
from recursive_lth.report.quantities import percent
from recursive_lth.report.tickets_record import TicketsRecord
from recursive_lth.report.tickets_table import density

Row = Mapping[str, Any]
TOTAL = "all layers"
MOST_WRITTEN = 14  # bars with room for their number


def draw_overlap(record: TicketsRecord) -> str | None:
    """SVG: connections shared by the tickets of all arms: layer by layer, and level by level.

    The bars are of the sparsest level at which anything is shared. None where nothing is, or where
    the run has one arm.
    """
    entries = of_all_arms(record.overlap)
    shared = [entry for entry in entries if entry["total"]["jaccard"]["mean"]]
    if not shared:
        return None
    entry = shared[-1]
    arms = len(entry["arms"])

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", rect=(0, 0, 0.985, 1), w_pad=0.12)
        has_levels = len(entries) > 2
        grid = figure.subplots(
            1, 1 + has_levels, squeeze=False, width_ratios=[2, 1] if has_levels else None
        )
        bars = grid[0, 0]
        bars.set_title(f"Shared by {arms} tickets at {density(entry['density'])}, by layer")
        _paint_bars(bars, {**entry["layers"], TOTAL: entry["total"]})
        if has_levels:
            grid[0, 1].set_title("All layers, by density")
            _paint_levels(grid[0, 1], entries)
        keys = [
            Patch(facecolor=LIGHT["accent"], alpha=0.75, label="kept by all, of those any keeps"),
            Line2D([], [], color=LIGHT["test"], linewidth=2.4, label="by chance"),
        ]
        figure.legend(handles=keys, loc="outside upper right", ncols=2, borderaxespad=0.1)

    return draw_svg("connections that tickets share", FULL_WIDTH, 390, paint)


def of_all_arms(overlap: Sequence[Row]) -> list[Row]:
    """For each level the entry of the most arms, from dense to sparse."""
    found: dict[int, Row] = {}
    for entry in overlap:
        known = found.get(entry["level"])
        if known is None or len(entry["arms"]) > len(known["arms"]):
            found[entry["level"]] = entry
    return [found[level] for level in sorted(found)]


def _paint_bars(axes: Axes, cells: Mapping[str, Row]) -> None:
    places = range(len(cells))
    heights = [cell["jaccard"]["mean"] or 0.0 for cell in cells.values()]
    spreads = [cell["jaccard"]["sd"] or 0.0 for cell in cells.values()]
    chances = [cell["expected"]["mean"] or 0.0 for cell in cells.values()]
    tops = [max(h + s, c) for h, s, c in zip(heights, spreads, chances, strict=True)]
    bars = axes.bar(places, heights, width=0.62, color=LIGHT["accent"], alpha=0.75)
    bars[-1].set_alpha(1.0)
    axes.errorbar(places, heights, yerr=spreads, fmt="none", ecolor=LIGHT["ink"], elinewidth=1.2)
    for x, (height, chance, top) in enumerate(zip(heights, chances, tops, strict=True)):
        axes.plot([x - 0.38, x + 0.38], [chance] * 2, color=LIGHT["test"], linewidth=2.4,
                  zorder=4)  # fmt: skip
        if len(cells) <= MOST_WRITTEN:
            axes.annotate(percent(height, digits=1), (x, top), (0, 5), ha="center", size=10,
                          textcoords="offset points")  # fmt: skip
    is_many = len(cells) > MOST_WRITTEN // 2
    axes.set_xticks(list(places), list(cells), rotation=35 if is_many else 0,
                    ha="right" if is_many else "center", rotation_mode="anchor")  # fmt: skip
    axes.set_xlim(-0.6, max(len(cells), 3) - 0.4)
    axes.set_ylim(0, min(1.12, 1.16 * max(tops)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: percent(v, digits=0)))


def _paint_levels(axes: Axes, entries: Sequence[Row]) -> None:
    """All layers together: what is shared, and what chance would share, at each density."""
    places = range(len(entries))
    for key, colour in (("expected", LIGHT["test"]), ("jaccard", LIGHT["accent"])):
        means = [entry["total"][key]["mean"] or 0.0 for entry in entries]
        spreads = [entry["total"][key]["sd"] or 0.0 for entry in entries]
        low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
        high = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(places, means, color=colour, marker="o", markersize=5, linewidth=1.8)
    every = 1 + (len(entries) - 1) // 6
    axes.set_xticks(list(places)[::every], [density(e["density"]) for e in entries][::every])
    axes.set_xlim(-0.45, len(entries) - 0.7)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("remaining weights")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: percent(v, digits=0)))
