"""Learning curves of a study: the arms side by side against what they spend, bands over seeds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg
from recursive_lth.report.quantities import short_count
from recursive_lth.report.study_panel import KEYS, MOST_ARMS, MOST_BANDS
from recursive_lth.report.study_record import Row, StudyRecord
from recursive_lth.report.study_values import band as band_of
from recursive_lth.report.tickets_levels import look
from recursive_lth.report.ticks import set_accuracies, set_numbers
from recursive_lth.statistics import average

MOST_PANELS = 18
RATIO = 2.0  # of losses, from where equal ratios are to look equal
TWENTIETH = 0.05


class Band(NamedTuple):
    """One training of an arm at its looks: means over the seeds, and one deviation about them."""

    spent: list[float]  # multiply-adds of the arm so far
    mean: list[float]
    low: list[float]
    high: list[float]


def draw_loss(record: StudyRecord) -> str | None:
    """SVG: validation loss of each arm against the multiply-adds spent. None without curves."""
    return _draw(record, "val_loss", "validation loss", _set_losses)


def draw_accuracy(record: StudyRecord) -> str | None:
    """SVG: validation accuracy of each arm against the multiply-adds spent; None without curves."""
    return _draw(record, "val_accuracy", "validation accuracy", _set_accuracies)


def _draw(
    record: StudyRecord, key: str, title: str, frame: Callable[[Axes, Sequence[float]], None]
) -> str | None:
    found = {arm: read_bands(record.curves, arm, key) for arm in record.arms}
    bands = {arm: trainings for arm, trainings in found.items() if trainings}
    if not bands:
        return None
    shown = list(bands)[:MOST_PANELS]
    columns = min(3 if len(shown) != 4 else 2, len(shown))
    lines = -(-len(shown) // columns)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(shown) :]:
            axes.set_axis_off()
        for axes, arm in zip(grid.flat, shown, strict=False):
            axes.set_title(arm)
            for other, trainings in bands.items():
                _paint_arm(axes, trainings, is_own=other == arm)
        for axes in grid[:, 0]:
            axes.set_ylabel(title)
        frame(grid[0, 0], [v for some in bands.values() for band in some
                           for v in (*band.mean, *band.low, *band.high)])  # fmt: skip
        for number, axes in enumerate(grid.flat[: len(shown)]):
            _set_spent(axes, is_lowest=number + columns >= len(shown))

    return draw_svg(f"{title} against multiply-adds, by arm", FULL_WIDTH, 40 + 235 * lines, paint)


def draw_last(record: StudyRecord) -> str | None:
    """SVG: validation loss in the last training of each arm, from that training's beginning.

    None without curves, where there are too many arms for one frame, and where the last trainings
    were not made.
    """
    counts = {reading["arm"]: reading.get("trainings", 0) for reading in record.readings}
    bands = {
        arm: trainings[-1]
        for arm in record.arms
        if (trainings := read_bands(record.curves, arm, "val_loss"))
        and len(trainings) >= counts.get(arm, 0)
    }
    if not 1 < len(bands) <= MOST_ARMS:
        return None

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", rect=(0, 0, 0.985, 1))
        axes = figure.subplots()
        keys = []
        for number, (arm, band) in enumerate(bands.items()):
            colour, marker, dashes = look(number)
            spent = [s - band.spent[0] for s in band.spent]
            if len(bands) <= MOST_BANDS:
                axes.fill_between(spent, band.low, band.high, color=colour, alpha=0.13, linewidth=0)
            every = max(1, len(spent) // 6)
            style: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.8,
                                     "marker": marker, "markersize": 5.5}  # fmt: skip
            axes.plot(spent, band.mean, markevery=(number % every, every), zorder=3, **style)
            keys.append(Line2D([], [], label=arm, **style))
        _set_losses(axes, [v for b in bands.values() for v in (*b.mean, *b.low, *b.high)])
        axes.set_ylabel("validation loss")
        axes.set_xlim(left=0)
        _set_spent(axes, is_lowest=True)
        axes.set_xlabel("multiply-adds of this training")
        figure.legend(handles=keys, loc="outside upper right", ncols=min(len(keys), KEYS),
                      handlelength=2.2, columnspacing=1.4, borderaxespad=0.1)  # fmt: skip

    return draw_svg("validation loss in the last training of each arm", FULL_WIDTH, 380, paint)


def read_bands(curves: Sequence[Row], arm: str, key: str) -> list[Band]:
    """The trainings of an arm in order, each at the looks that all its seeds have had."""
    found = []
    for training in sorted({row["training"] for row in curves if row["arm"] == arm}):
        seeds = [row["curve"] for row in curves if (row["arm"], row["training"]) == (arm, training)]
        looks = [at for at in zip(*seeds, strict=False) if any(p.get(key) is not None for p in at)]
        if not looks:
            continue
        known = [[p[key] for p in at if p.get(key) is not None] for at in looks]
        means, low, high = (list(part) for part in zip(*map(band_of, known), strict=True))
        spent = [float(average(point["spent"] for point in at)["mean"]) for at in looks]
        found.append(Band(spent, means, low, high))
    return found


def _paint_arm(axes: Axes, trainings: Sequence[Band], *, is_own: bool) -> None:
    colour = LIGHT["accent" if is_own else "muted"]
    for number, band in enumerate(trainings):
        if is_own:
            axes.fill_between(band.spent, band.low, band.high, color=colour, alpha=0.2, linewidth=0,
                              zorder=2)  # fmt: skip
            if number:
                axes.axvline(band.spent[0], color=LIGHT["muted"], linewidth=0.9, zorder=1,
                             linestyle=(0, (2, 3)))  # fmt: skip
        axes.plot(band.spent, band.mean, color=colour, linewidth=1.9 if is_own else 0.8,
                  alpha=1 if is_own else 0.5, zorder=3 if is_own else 1.5)  # fmt: skip


def _set_spent(axes: Axes, *, is_lowest: bool) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short_count(v)))
    axes.tick_params(labelbottom=is_lowest)
    if is_lowest:
        axes.set_xlabel("multiply-adds spent")


def _set_losses(axes: Axes, found: Sequence[float]) -> None:
    set_numbers(axes, axes.yaxis, found, is_share=False, ratio=RATIO)


def _set_accuracies(axes: Axes, found: Sequence[float]) -> None:
    set_accuracies(axes, *accuracies_shown(found))


def accuracies_shown(found: Sequence[float]) -> tuple[float, float]:
    """The least and the largest in the frame: all, unless the lowest twentieth takes half of it.

    So first steps from nothing do not flatten all the rest, and a shallow dip is not cut off.

    >>> accuracies_shown([0.86, *[0.88] * 40, 0.9]), accuracies_shown([0.1, *[0.88] * 40, 0.9])
    ((0.86, 0.9), (0.88, 0.9))
    """
    kept = sorted(min(value, 1.0) for value in found)
    least, low, high = kept[0], kept[int(TWENTIETH * len(kept))], kept[-1]
    return (low if low - least > high - low else least), high
