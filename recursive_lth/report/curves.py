"""The training curves of a run along all the steps it took, one phase after another."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg, place_legend
from recursive_lth.report.quantities import percent, short_count
from recursive_lth.report.record import RunRecord

TINTS = {"train": "widen", "prune": "residual", "judge": "muted", "grow": "deepen"}
Curve = tuple[list[float], list[dict[str, Any]]]  # steps since the segment began, and the points


@dataclass
class Segment:
    """One phase of one generation: where on the axis of steps it lies, and the curves within it.

    Candidates are trained side by side from the same start, so the longest gives the length.
    """

    generation: int
    phase: str
    start: float = 0.0
    curves: dict[int | None, Curve] = field(default_factory=dict)

    @property
    def length(self) -> float:
        """Steps of the longest curve."""
        return max(steps[-1] for steps, _ in self.curves.values())


def read_segments(metrics: Sequence[dict[str, Any]]) -> list[Segment]:
    """The phases in the order they ran, each starting where the one before it ended.

    A resumed run writes some points twice; the later ones hold. A candidate's later round goes on
    from its earlier one.
    """
    segments: dict[tuple[int, str], Segment] = {}
    for point in metrics:
        key = point["generation"], point["phase"]
        segment = segments.setdefault(key, Segment(*key))
        _append(segment.curves.setdefault(point["candidate"], ([], [])), point)
    start = 0.0
    for segment in segments.values():
        segment.start = start
        start += segment.length
    return list(segments.values())


def _append(curve: Curve, point: dict[str, Any]) -> None:
    steps, points = curve
    base = 0.0
    if points and point["round"] != points[-1]["round"]:
        base = steps[-1] if point["step"] <= points[-1]["step"] else steps[-1] - points[-1]["step"]
    elif points:
        base = steps[-1] - points[-1]["step"]
        while steps and steps[-1] >= base + point["step"]:
            steps.pop()
            points.pop()
    steps.append(base + point["step"])
    points.append(point)


def draw_curves(record: RunRecord) -> str | None:
    """SVG: validation loss and accuracy along the steps; None where nothing was written yet."""
    segments = read_segments(record.metrics)
    if not segments:
        return None

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", h_pad=0.1, hspace=0.06)
        above, below = figure.subplots(2, 1, sharex=True)
        above.set_title("Validation loss")
        below.set_title("Validation accuracy")
        for axes, key in ((above, "val_loss"), (below, "val_accuracy")):
            for segment in segments:
                _paint_segment(axes, segment, key)
        _scale_loss(above, segments)
        _scale_accuracy(below, segments)
        _mark_generations(above, segments)
        below.set_xlim(0, max(segments[-1].start + segments[-1].length, 1))
        below.set_xlabel("steps, one phase after another")
        below.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short_count(v)))
        _paint_legend(above, segments)

    return draw_svg("training curves", FULL_WIDTH, 520, paint)


def _paint_segment(axes: Axes, segment: Segment, key: str) -> None:
    end = segment.start + segment.length
    tint = LIGHT[TINTS.get(segment.phase, "other")]
    axes.axvspan(segment.start, end, facecolor=tint, alpha=0.09, linewidth=0)
    for candidate, (steps, points) in segment.curves.items():
        x = [segment.start + step for step in steps]
        y = [point[key] for point in points]
        if candidate is None:
            axes.plot(x, y, color=LIGHT["accent"], linewidth=1.7, zorder=3)
        else:
            axes.plot(x, y, color=LIGHT["muted"], linewidth=0.7, alpha=0.65, zorder=2)


def _values(segments: Sequence[Segment], key: str, *, main: bool) -> list[float]:
    """Sorted values of the main curves, or of all where there is no main curve."""
    found = sorted(
        point[key]
        for segment in segments
        for candidate, (_, points) in segment.curves.items()
        if candidate is None or not main
        for point in points
        if point[key] is not None
    )
    return found if found or not main else _values(segments, key, main=False)


def _scale_loss(axes: Axes, segments: Sequence[Segment]) -> None:
    values = _values(segments, "val_loss", main=False)
    if values and values[0] > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))


def _scale_accuracy(axes: Axes, segments: Sequence[Segment]) -> None:
    """From the lowest twentieth up: the first steps from nothing would flatten all the rest."""
    values = _values(segments, "val_accuracy", main=True)
    if values:
        low, high = values[len(values) // 20], values[-1]
        margin = 0.08 * max(high - low, 0.002)
        axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: percent(v, digits=1)))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _mark_generations(axes: Axes, segments: Sequence[Segment]) -> None:
    total = segments[-1].start + segments[-1].length
    shown, last = None, -1.0
    for segment in segments:
        if segment.generation == shown:
            continue
        shown = segment.generation
        for panel in axes.figure.axes:
            panel.axvline(segment.start, color=LIGHT["faint"], linewidth=1.2, zorder=1)
        if segment.start - last > 0.025 * total:
            last = segment.start
            axes.annotate(str(shown), (segment.start, 1), (4, -3), va="top", size=10,
                          xycoords=("data", "axes fraction"), textcoords="offset points",
                          weight="bold", color=LIGHT["muted"])  # fmt: skip


def _paint_legend(axes: Axes, segments: Sequence[Segment]) -> None:
    handles: list[Any] = [Line2D([], [], color=LIGHT["accent"], linewidth=1.7, label="ticket")]
    if any(candidate is not None for s in segments for candidate in s.curves):
        handles.append(Line2D([], [], color=LIGHT["muted"], linewidth=0.8, label="candidate"))
    for phase in dict.fromkeys(segment.phase for segment in segments):
        tint = LIGHT[TINTS.get(phase, "other")]
        handles.append(Patch(facecolor=tint, alpha=0.25, linewidth=0, label=phase))
    place_legend(axes, handles)
