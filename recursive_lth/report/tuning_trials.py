"""The trials of a tuning, drawn: how they went one after another, and what they trade off."""

from collections.abc import Sequence
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg, place_legend, point_key
from recursive_lth.report.ticks import set_numbers
from recursive_lth.report.tuning_record import TuningRecord
from recursive_lth.report.tuning_table import name_objective
from recursive_lth.tuning.ranking import Row, sign


def draw_history(record: TuningRecord) -> str | None:
    """SVG: each objective of every trial in turn, and the best so far. None without trials."""
    done = record.complete
    if not done:
        return None
    names, front = record.objectives, {row["trial"] for row in record.front}
    failed = [row["trial"] for row in record.trials if row["objectives"] is None]

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", h_pad=0.12)
        grid = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(grid, names, strict=True):
            _paint_history(axes, done, name, front)
            for trial in failed:
                axes.scatter(trial, 0.03, s=34, marker="x", color=LIGHT["warning"],
                             transform=axes.get_xaxis_transform())  # fmt: skip
        last = max(row["trial"] for row in record.trials)
        grid[-1].set_xlabel("trial")
        grid[-1].set_xlim(-0.6, max(last, 4) + 0.6)
        grid[-1].xaxis.set_major_locator(MaxNLocator(12, integer=True))
        keys = _keys("best" if len(names) == 1 else "front")
        keys.append(Line2D([], [], color=LIGHT["accent"], linewidth=1.4, label="best so far"))
        if failed:
            keys.append(point_key("x", LIGHT["warning"], LIGHT["warning"], "failed"))
        place_legend(grid[0], keys)

    height = 70 + 165 * len(names)
    return draw_svg("objectives of the trials in turn", FULL_WIDTH, height, paint)


def _paint_history(axes: Axes, done: Sequence[Row], name: str, front: set[int]) -> None:
    axes.set_title(name_objective(name).capitalize())
    trials, found = [row["trial"] for row in done], [row["objectives"][name] for row in done]
    reached, top = [], found[0]
    for value in found:
        top = max(top, value, key=lambda v: sign(name) * v)
        reached.append(top)
    axes.step(trials, reached, where="post", color=LIGHT["accent"], linewidth=1.4, zorder=2)
    _paint_points(axes, trials, found, [trial in front for trial in trials])
    set_objective(axes, axes.yaxis, name, found)


def draw_front(record: TuningRecord) -> str | None:
    """SVG: objectives against each other, two by two, the front filled and joined by steps.

    A panel's steps bound what is reached in its two objectives alone; a trial of the front that
    lies inside is better in the third. None with one objective, or without trials.
    """
    done, names = record.complete, record.objectives
    if len(names) < 2 or not done:
        return None
    pairs = list(combinations(names, 2))
    front = {row["trial"] for row in record.front}

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.14)
        for axes, (y, x) in zip(
            figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True
        ):
            _paint_pair(axes, done, x, y, front)
        keys = _keys("front")
        figure.legend(handles=keys, loc="outside upper right", ncols=2, frameon=False)

    return draw_svg("objectives against each other", FULL_WIDTH, 400, paint)


def _paint_pair(axes: Axes, done: Sequence[Row], x: str, y: str, front: set[int]) -> None:
    across, up = ([row["objectives"][name] for row in done] for name in (x, y))
    edge: list[tuple[float, float]] = []
    for a, b in sorted(
        zip(across, up, strict=True), key=lambda p: (-sign(x) * p[0], -sign(y) * p[1])
    ):
        if not edge or sign(y) * b > sign(y) * edge[-1][1]:
            edge.append((a, b))
    axes.plot([a for a, _ in edge], [b for _, b in edge], color=LIGHT["accent"], linewidth=1.3,
              drawstyle="steps-post", alpha=0.7, zorder=2)  # fmt: skip
    _paint_points(axes, across, up, [row["trial"] in front for row in done])
    set_objective(axes, axes.xaxis, x, across)
    set_objective(axes, axes.yaxis, y, up)
    axes.grid(visible=True, axis="both")
    axes.set_xlabel(name_objective(x))
    axes.set_title(name_objective(y).capitalize())


def _paint_points(
    axes: Axes, across: Sequence[float], up: Sequence[float], is_front: Sequence[bool]
) -> None:
    for a, b, is_filled in zip(across, up, is_front, strict=True):
        axes.scatter(a, b, s=64 if is_filled else 40, zorder=4 if is_filled else 3, linewidths=1.4,
                     facecolors=LIGHT["accent"] if is_filled else LIGHT["paper"],
                     edgecolors=LIGHT["accent"] if is_filled else LIGHT["muted"])  # fmt: skip


def _keys(word: str) -> list[Line2D]:
    return [
        point_key("o", LIGHT["accent"], LIGHT["accent"], word),
        point_key("o", LIGHT["paper"], LIGHT["muted"], "other trials"),
    ]


def set_objective(axes: Axes, axis: Axis, name: str, found: Sequence[float]) -> None:
    """An axis of an objective: percentages, or counts, by ratios where they differ by much."""
    set_numbers(axes, axis, found, is_share=name == "val_accuracy")
