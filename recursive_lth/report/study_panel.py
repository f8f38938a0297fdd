"""The panel of a study, drawn: each measure with the arms side by side, and along trainings."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg
from recursive_lth.report.study_pairs import spread_out
from recursive_lth.report.study_record import Place, StudyRecord
from recursive_lth.report.study_table import last_place
from recursive_lth.report.study_values import band, shorten, spell, write_moment
from recursive_lth.report.tickets_levels import look
from recursive_lth.report.ticks import set_numbers
from recursive_lth.statistics import interval

WIDTH = 470  # pixels of a measure's figure: two stand side by side
MOST_ARMS = 16  # in one frame: so many looks there are
MOST_BANDS = 6  # arms whose bands can be told apart
KEYS = 5  # of a legend beside one another
LETTERS = 26  # of an arm's name that fits beside its row
RATIO = 8.0  # of the values of one measure, from where equal ratios are to look equal
TRAINING = 0.7  # of the axis between two trainings' places that a training takes; moves the rest


class Strip(NamedTuple):
    """What was read at one moment: for each arm that says something the values of its seeds."""

    moment: float
    values: dict[str, list[float]]
    lacks: dict[str, str]  # in how many seeds it does so, where not in all


def draw_strips(record: StudyRecord, measure: str) -> str | None:
    """SVG: a measure at each moment of the last training, a row for each arm: dots are seeds,
    beside them their mean and its 95 % interval. None where it says nothing anywhere."""
    strips = read_strips(record, measure)
    if not strips:
        return None
    rows = [arm for arm in record.arms if any(arm in strip.values for strip in strips)]
    height = sum(58 + 25.0 * len(rows) for _ in strips)
    is_share = record.unit(measure) == "share"

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", h_pad=0.08)
        for axes, strip in zip(figure.subplots(len(strips), 1, squeeze=False)[:, 0], strips,
                               strict=True):  # fmt: skip
            axes.set_title(write_moment(strip.moment), size=10, weight="normal", pad=5,
                           color=LIGHT["muted"])  # fmt: skip
            _paint_strip(axes, strip, rows, is_share=is_share)

    return draw_svg(f"{spell(measure)} of the arms", WIDTH, height, paint)


def read_strips(record: StudyRecord, measure: str) -> list[Strip]:
    """What a measure says of the last training of each arm, moment by moment."""
    moments = sorted({place[1] for arm in record.arms for place in record.places(measure, arm)})
    strips = []
    for moment in moments:
        places = {arm: last_place(record, measure, arm, moment) for arm in record.arms}
        found = {
            arm: list(record.values(measure, arm, place).values())
            for arm, place in places.items()
            if place is not None
        }
        known = {arm: values for arm, values in found.items() if values}
        if known:
            lacks = {arm: record.lacks(measure, arm, p) for arm, p in places.items() if p}
            strips.append(Strip(moment, known, lacks))
    return strips


def _paint_strip(axes: Axes, strip: Strip, rows: Sequence[str], *, is_share: bool) -> None:
    reach = [value for values in strip.values.values() for value in values]
    lowest, highest = _frame(min(reach), max(reach), is_share=is_share)
    for y, arm in enumerate(rows):
        values = strip.values.get(arm)
        if values is None:
            axes.text(0.01, y, "says nothing here", transform=axes.get_yaxis_transform(), size=9,
                      va="center", color=LIGHT["muted"])  # fmt: skip
            continue
        places = [y + 0.2 + 0.6 * place for place in spread_out(len(values))]
        axes.scatter(values, places, s=15, zorder=2, facecolors=LIGHT["faint"], linewidths=0.8,
                     edgecolors=LIGHT["muted"])  # fmt: skip
        axes.text(1.01, y, strip.lacks[arm], transform=axes.get_yaxis_transform(), size=8.5,
                  va="center", color=LIGHT["muted"])  # fmt: skip
        found = interval(values)
        if found["low"] is not None:
            ends = max(found["low"], lowest), min(found["high"], highest)
            axes.plot(ends, [y - 0.2, y - 0.2], color=LIGHT["accent"], linewidth=2.2, zorder=3)
            for end, whole, arrow in zip(ends, (found["low"], found["high"]), "<>", strict=True):
                if end != whole:
                    axes.scatter(end, y - 0.2, s=24, marker=arrow, color=LIGHT["accent"], zorder=3)
            reach += ends
        axes.scatter([found["mean"]], [y - 0.2], s=34, color=LIGHT["accent"], zorder=4)
    set_numbers(axes, axes.xaxis, reach, is_share=is_share, ratio=RATIO)
    axes.set_yticks(range(len(rows)), [shorten(arm, LETTERS) for arm in rows], color=LIGHT["ink"])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")


def _frame(least: float, most: float, *, is_share: bool) -> tuple[float, float]:
    """How far intervals are drawn: those of few seeds must not flatten everything else.

    What lies within 0 and 1 as shares do stays there.
    """
    half = most - least
    low = max(least - half, least / 2) if least > 0 else least - half
    if is_share and least >= 0 and most <= 1:
        return max(low, 0.0), min(most + half, 1.0)
    return low, most + half


def draw_along(record: StudyRecord) -> str | None:
    """SVG: every measure along the trainings of each arm, or the generations of a lineage.

    Means over seeds, bands are one deviation. None where there is nothing to follow: one training
    of each arm and two moments, or more arms than one frame holds.
    """
    arms = record.arms
    measures = [m for m in record.about if any(read_line(record, m, arm) for arm in arms)]
    places = {arm: {place for m in measures for place in record.places(m, arm)} for arm in arms}
    has_way = any(
        len({place[0] for place in found}) > 1 or len(found) > 2 for found in places.values()
    )
    if not measures or not has_way or len(arms) > MOST_ARMS:
        return None
    every = {place for found in places.values() for place in found}
    columns = min(3, len(measures))
    lines = -(-len(measures) // columns)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for axes in grid.flat[len(measures) :]:
            axes.set_axis_off()
        for number, (axes, measure) in enumerate(zip(grid.flat, measures, strict=False)):
            unit = record.unit(measure)
            told = f"{spell(measure)}, {unit}" if unit and unit != "share" else spell(measure)
            axes.set_title(told, size=10.5)
            _paint_measure(axes, record, measure, every)
            axes.tick_params(labelbottom=number + columns >= len(measures))
            if number + columns >= len(measures):
                axes.set_xlabel("generation" if record.is_lineage else "training")
        if len(arms) > 1:
            _place_keys(figure, arms)

    height = 24 * -(-len(arms) // KEYS) * (len(arms) > 1) + 36 + 178.0 * lines
    return draw_svg("the panel along the trainings", FULL_WIDTH, height, paint)


def read_line(record: StudyRecord, measure: str, arm: str) -> dict[Place, list[float]]:
    """Where a measure says something in an arm, in order, and what over the seeds."""
    found = {p: list(record.values(measure, arm, p).values()) for p in record.places(measure, arm)}
    return {place: values for place, values in found.items() if values}


def _paint_measure(axes: Axes, record: StudyRecord, measure: str, every: set[Place]) -> None:
    stretch = TRAINING if len({moment for _, moment in every}) > 1 else 0.0
    reach: list[float] = []
    for number, arm in enumerate(record.arms):
        colour, marker, dashes = look(number)
        line = read_line(record, measure, arm)
        across = [place[0] + stretch * (place[1] - 0.5) for place in line]
        told = [band(values) for values in line.values()]
        means, low, high = ([each[i] for each in told] for i in range(3))
        if len(record.arms) > MOST_BANDS:
            low = high = means
        axes.fill_between(across, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(across, means, color=colour, linestyle=dashes, marker=marker, markersize=4.5,
                  linewidth=1.5, zorder=3)  # fmt: skip
        reach += [*low, *high]
    set_numbers(axes, axes.yaxis, reach, is_share=record.unit(measure) == "share", ratio=RATIO)
    first, last = (end(training for training, _ in every) for end in (min, max))
    axes.set_xlim(first - 0.5, last + 0.5)
    if last - first < 12:
        axes.xaxis.set_major_locator(FixedLocator(range(first, last + 1)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f}"))


def _place_keys(figure: Figure, arms: Sequence[str]) -> None:
    keys = []
    for number, arm in enumerate(arms):
        colour, marker, dashes = look(number)
        keys.append(Line2D([], [], color=colour, marker=marker, linestyle=dashes, markersize=5,
                           linewidth=1.6, label=arm))  # fmt: skip
    figure.legend(handles=keys, loc="outside upper right", ncols=min(len(keys), KEYS),
                  handlelength=2.2, columnspacing=1.4, borderaxespad=0.1)  # fmt: skip
