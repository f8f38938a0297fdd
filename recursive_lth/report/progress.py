"""Accuracy and size of every ticket, over the generations."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg, place_legend, point_key
from recursive_lth.report.quantities import count, percent, short_count
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import best, grows_on, start

MOST_LABELS = 16  # more numbers than these beside the points would overlap


def draw_accuracy(record: RunRecord) -> str:
    """SVG: accuracy and remaining weights of every ticket, its depth written in its point."""

    def paint(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        figure.set_layout_engine("constrained", h_pad=0.1, hspace=0.06)
        _paint_accuracy(above, record)
        _paint_sizes(below, record)
        ticks = range(len(record.generations))
        names = [str(line["generation"]) for line in record.generations]
        every = 1 + len(names) // 40
        below.set_xticks(list(ticks)[::every], names[::every])
        below.set_xlabel("generation")
        below.set_xlim(-0.6, len(names) - 0.4)

    return draw_svg("accuracy and remaining weights over the generations", FULL_WIDTH, 520, paint)


def _paint_accuracy(axes: Axes, record: RunRecord) -> None:
    lines = record.generations
    values = [line["val_accuracy"] for line in lines]
    tests = [line["test_accuracy"] for line in lines]
    sound = [v for v, line in zip(values, lines, strict=True) if line["accepted"]]
    sound += [t for t, line in zip(tests, lines, strict=True) if t is not None and line["accepted"]]
    low, high = min(sound or values), max([*sound, *values])
    span = max(high - low, 0.002)
    floor = max(
        low - 0.5 * span, min([*values, *sound])
    )  # a collapsed ticket must not flatten all others
    shown = [max(v, floor) for v in values]
    axes.set_title("Accuracy")
    axes.set_ylim(floor - 0.18 * span, high + 0.16 * span)
    dense = start(lines)
    if dense is not None:
        axes.axhline(
            dense["val_accuracy"], color=LIGHT["muted"], linewidth=1, linestyle=(0, (4, 3))
        )
    known = [x for x, line in enumerate(lines) if line["accepted"] and tests[x] is not None]
    axes.plot(known, [tests[x] for x in known], color=LIGHT["test"], linewidth=1.2, alpha=0.7)
    _paint_points(axes, record, shown)
    for x, (line, test) in enumerate(zip(lines, tests, strict=True)):
        if test is not None and test >= floor - 0.18 * span:
            fill = LIGHT["test"] if line["accepted"] else "none"
            axes.scatter(x, test, s=34, marker="D", facecolors=fill, edgecolors=LIGHT["test"],
                         zorder=5)  # fmt: skip
        if values[x] < floor:
            axes.annotate(f"▾ {percent(values[x])}", (x, floor), (0, -12), ha="center", va="top",
                          textcoords="offset points", color=LIGHT["muted"], size=9.5)  # fmt: skip
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: percent(v, digits=1)))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    hollow = "rejected, or grows on" if any(map(grows_on, lines)) else "rejected"
    handles = [
        point_key("o", LIGHT["accent"], LIGHT["accent"], "validation"),
        point_key("o", LIGHT["paper"], LIGHT["muted"], hollow),
        Line2D([], [], color=LIGHT["muted"], linewidth=1, linestyle=(0, (4, 3)), label="ticket 0"),
    ]
    if known:
        handles.insert(1, point_key("D", LIGHT["test"], LIGHT["test"], "test"))
    place_legend(axes, handles)


def _paint_sizes(axes: Axes, record: RunRecord) -> None:
    sizes = [line["remaining_weights"] for line in record.generations]
    axes.set_title("Remaining weights")
    if max(sizes) > 4 * max(min(sizes), 1):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(max(min(sizes), 1) / 1.6, max(sizes) * 1.9)
    else:
        axes.set_ylim(0, max(*sizes, 1) * 1.25)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: short_count(v)))
    _paint_points(axes, record, sizes)
    if len(sizes) <= MOST_LABELS:
        for x, size in enumerate(sizes):
            axes.annotate(count(size), (x, size), (0, 14), textcoords="offset points", ha="center",
                          color=LIGHT["muted"], size=10)  # fmt: skip


def _paint_points(axes: Axes, record: RunRecord, values: Sequence[float]) -> None:
    """A circle for each ticket with its depth inside, hollow where rejected; lines to parents."""
    places = {line["digest"]: x for x, line in enumerate(record.generations)}
    top = best(record)
    for x, line in enumerate(record.generations):
        is_accepted = line["accepted"]
        colour = LIGHT["accent"] if is_accepted else LIGHT["muted"]
        parent = places.get(line["parent"])
        if parent is not None:
            dashes = "solid" if is_accepted else (0, (1.5, 2.5))
            axes.plot([parent, x], [values[parent], values[x]], color=colour, linestyle=dashes,
                      linewidth=1.6 if is_accepted else 1.1, zorder=2)  # fmt: skip
        if line is top:
            axes.scatter(x, values[x], s=420, facecolors="none", edgecolors=colour, zorder=3)
        fill = colour if is_accepted else LIGHT["paper"]
        axes.scatter(x, values[x], s=240, facecolors=fill, edgecolors=colour, zorder=4)
        ink = LIGHT["paper"] if is_accepted else LIGHT["muted"]
        axes.annotate(str(line["depth"]), (x, values[x]), ha="center", va="center_baseline",
                      size=9.5, weight="bold", color=ink, zorder=6)  # fmt: skip
