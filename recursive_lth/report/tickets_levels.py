"""Curves over the levels of a `prune` run: accuracy and early stopping against what remains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg, point_key
from recursive_lth.report.quantities import short_count
from recursive_lth.report.tickets_record import TicketsRecord
from recursive_lth.report.tickets_table import density, has_arms, name_variant
from recursive_lth.report.ticks import set_accuracies

Row = Mapping[str, Any]
Frame = Callable[[Axes, float, float], None]  # sets the upright axis from its least and its most
SHADES = ("accent", "test", "widen", "residual", "other", "warning", "muted", "deepen")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_CURVES = 8  # arms in one frame; of more, a table of cells says it better
MOST_PANELS = 6
LEAST_LEVELS = 3
BESIDE_TITLE = 5  # keys of a legend
DASHES = (0, (4, 3))


class Look(NamedTuple):
    """How a curve is drawn: the same in every panel."""

    colour: str
    marker: str
    dashes: Any


def draw_accuracy(record: TicketsRecord) -> str | None:
    """SVG: test accuracy at the end of training against density; bands are one deviation.

    None where there are too many arms for curves, or fewer than three levels.
    """
    return _draw(record, "test_accuracy", "Test accuracy", set_accuracies)


def draw_early_stop(record: TicketsRecord) -> str | None:
    """SVG: the step of least validation loss against density; None also where all are alike."""
    steps = {row["early_stop_step"]["mean"] for row in record.table}
    if len(steps) < 2:
        return None
    return _draw(record, "early_stop_step", "Early-stopping step", _set_steps)


def _draw(record: TicketsRecord, key: str, title: str, frame: Frame) -> str | None:
    panels = panels_of(record.table, key)
    if len({row["level"] for row in record.table}) < LEAST_LEVELS or not panels:
        return None
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    if len(panels) == 1 and has_arms(record.table) and len(names) > MOST_CURVES:
        return None
    looks = {name: look(number) for number, name in enumerate(names)}
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
        figure.set_layout_engine("constrained", rect=(0, 0, 0.985, 1), w_pad=0.2, h_pad=0.1)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (arm, curves) in zip(grid.flat, panels.items(), strict=False):
            axes.set_title(f"{title}: {arm}" if arm else title)
            for name, rows in curves.items():
                _paint_curve(axes, rows, key, looks[name])
            _paint_dense(axes, curves, key)
            _set_densities(axes, [row for rows in curves.values() for row in rows])
        rows = [row for curves in panels.values() for some in curves.values() for row in some]
        frame(grid[0, 0], *_reach(rows, key))
        handles = _list_keys(looks, panels, key)
        _place_keys(figure, grid[0, 0], handles, is_alone=len(panels) == 1)

    return draw_svg(f"{title} against remaining weights", FULL_WIDTH, 60 + 330 * lines, paint)


def _place_keys(figure: Figure, axes: Axes, keys: list[Artist], *, is_alone: bool) -> None:
    """The legend beside the title where there is room for it, else above all panels."""
    if is_alone and len(keys) <= BESIDE_TITLE:
        axes.legend(handles=keys, loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=len(keys),
                    handlelength=1.9, columnspacing=1.4, borderaxespad=0.2)  # fmt: skip
        return
    figure.legend(handles=keys, loc="outside upper right", ncols=min(len(keys), 6),
                  handlelength=1.9, columnspacing=1.4, borderaxespad=0.1)  # fmt: skip


def panels_of(table: Sequence[Row], key: str) -> dict[str, dict[str, list[Row]]]:
    """Curves by panel and name: one panel of all arms, or one an arm where they have controls.

    A curve is the rows of a network that know `key`, from dense to sparse. A network that is there
    at one level only has none; a dense rival stands at the density of the ticket it is held
    against.
    """
    several = has_arms(table)
    is_split = several and any(row["variant"] != "ticket" for row in table)
    at = {(r["arm"], r["level"]): r["density"] for r in table if r["variant"] == "ticket"}
    found: dict[str, dict[str, list[Row]]] = {}
    for row in table:
        placed = {**row, "density": at.get((row["arm"], row["level"]), row["density"])}
        if row[key]["mean"] is None or placed["density"] == 0:
            continue  # of no weights there is no logarithm
        name = name_variant(row["variant"]) if is_split or not several else row["arm"]
        found.setdefault(row["arm"] if is_split else "", {}).setdefault(name, []).append(placed)
    panels = {
        arm: {
            name: sorted(rows, key=lambda row: (-row["density"], row["level"]))
            for name, rows in curves.items()
            if len(rows) > 1
        }
        for arm, curves in found.items()
    }
    return {arm: curves for arm, curves in list(panels.items())[:MOST_PANELS] if curves}


def look(number: int) -> Look:
    """The look of the curve of this number: colours and marks repeat dashed after eight."""
    is_new = number < len(SHADES)
    place = number % len(SHADES)
    return Look(LIGHT[SHADES[place]], MARKERS[place], "solid" if is_new else DASHES)


def _reach(rows: Sequence[Row], key: str) -> tuple[float, float]:
    """The least and the most that bands and points of all curves reach."""
    ends = [(row[key]["mean"], row[key]["sd"] or 0) for row in rows]
    return min(mean - sd for mean, sd in ends), max(mean + sd for mean, sd in ends)


def _paint_curve(axes: Axes, rows: Sequence[Row], key: str, style: Look) -> None:
    x = [row["density"] for row in rows]
    y = [row[key]["mean"] for row in rows]
    low = [row[key]["mean"] - (row[key]["sd"] or 0) for row in rows]
    high = [row[key]["mean"] + (row[key]["sd"] or 0) for row in rows]
    axes.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    axes.plot(x, y, color=style.colour, marker=style.marker, markersize=5.5, linewidth=1.8,
              linestyle=style.dashes, zorder=3)  # fmt: skip
    empty = [place for place, row in enumerate(rows) if row["collapsed"]]
    axes.scatter([x[n] for n in empty], [y[n] for n in empty], s=110, facecolors="none",
                 edgecolors=LIGHT["warning"], linewidths=1.5, zorder=4)  # fmt: skip


def _dense(curves: Mapping[str, Sequence[Row]], key: str) -> float | None:
    """What the dense network reaches; None where the curves of a panel begin from several."""
    found = {rows[0][key]["mean"] for rows in curves.values() if rows[0]["level"] == 0}
    return found.pop() if len(found) == 1 else None


def _paint_dense(axes: Axes, curves: Mapping[str, Sequence[Row]], key: str) -> None:
    dense = _dense(curves, key)
    if dense is not None:
        axes.axhline(dense, color=LIGHT["muted"], linewidth=1, linestyle=DASHES, zorder=1)


def _list_keys(
    looks: Mapping[str, Look], panels: Mapping[str, Mapping[str, Sequence[Row]]], key: str
) -> list[Artist]:
    handles: list[Artist] = [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=6, linewidth=1.8,
               linestyle=style.dashes, label=name)
        for name, style in looks.items()
    ]  # fmt: skip
    if any(_dense(curves, key) is not None for curves in panels.values()):
        handles.append(Line2D([], [], color=LIGHT["muted"], linewidth=1, linestyle=DASHES,
                              label="dense network"))  # fmt: skip
    rows = [row for curves in panels.values() for some in curves.values() for row in some]
    if any(row["collapsed"] for row in rows):
        handles.append(point_key("o", LIGHT["paper"], LIGHT["warning"], "a layer is empty", size=9))
    return handles


def _set_steps(axes: Axes, low: float, high: float) -> None:
    pad = 0.06 * ((high - low) or 1.0)
    axes.set_ylim(max(0.0, low - pad), high + pad)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: short_count(v)))


def _set_densities(axes: Axes, rows: Sequence[Row]) -> None:
    """A logarithmic axis that falls to the right, marked at the levels' own densities."""
    found = sorted({row["density"] for row in rows}, reverse=True)
    apart = found[:1]
    for one in found[1:]:
        if apart[-1] / one > (found[0] / found[-1]) ** (1 / 13):  # at most so many marks fit
            apart.append(one)
    axes.set_xscale("log")
    axes.set_xlim(found[0] * 1.08, found[-1] / 1.08)
    axes.xaxis.set_major_locator(FixedLocator(apart))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda d, _: density(d)))
    axes.set_xlabel("remaining weights")
