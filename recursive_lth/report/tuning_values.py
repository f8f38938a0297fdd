"""What the values of a tuning's parameters did, drawn: parallel coordinates and importances."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, bare_axes, draw_svg, point_key
from recursive_lth.report.quantities import percent
from recursive_lth.report.tuning_record import TuningRecord
from recursive_lth.report.tuning_table import (
    name_objective,
    ordered_keys,
    write_objective,
    write_value,
)
from recursive_lth.tuning.ranking import Row, leading, sign

COLOURS = ("accent", "widen", "deepen", "residual", "branch", "other")
TOP, LOW, SIDE = 74.0, 330.0, 70.0  # pixels: ends of the upright axes, and room beside the outer
LETTERS = 17  # of a value that fits beside its axis


class Upright(NamedTuple):
    """One axis: its title, where each trial crosses it (0 below, 1 on top), and its marks."""

    title: str
    places: list[float]
    marks: list[tuple[float, str]]


def draw_parallel(record: TuningRecord) -> str | None:
    """SVG: a line for each complete trial through its values and its objectives.

    The front, or the better quarter by a single objective, is drawn strong. None without trials.
    """
    done, names = record.complete, record.objectives
    if not done:
        return None
    strong = {row["trial"] for row in (record.front if len(names) > 1 else _better(record))}
    parameters = {p["key"]: p for p in record.experiment["tune"]["parameters"]}
    uprights = [_of_parameter(p, [row["values"][key] for row in done])
                for key, p in parameters.items()]  # fmt: skip
    uprights += [_of_objective(name, done) for name in names]
    width = max(float(FULL_WIDTH), 2 * SIDE + 118.0 * (len(uprights) - 1))
    gap = (width - 2 * SIDE) / max(len(uprights) - 1, 1)

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, LOW + 20)
        for trial in sorted(range(len(done)), key=lambda i: done[i]["trial"] in strong):
            is_strong = done[trial]["trial"] in strong
            across = [SIDE + gap * x for x in range(len(uprights))]
            up = [LOW - (LOW - TOP) * upright.places[trial] for upright in uprights]
            axes.plot(across, up, color=LIGHT["accent" if is_strong else "muted"],
                      alpha=0.9 if is_strong else 0.35, linewidth=1.9 if is_strong else 1.0,
                      solid_joinstyle="round")  # fmt: skip
        for x, upright in enumerate(uprights):
            _paint_upright(axes, SIDE + gap * x, x, upright, is_objective=x >= len(parameters))
        word = "front" if len(names) > 1 else "better quarter"
        keys = [point_key("_", LIGHT["accent"], LIGHT["accent"], word, size=14),
                point_key("_", LIGHT["muted"], LIGHT["muted"], "others", size=14)]  # fmt: skip
        axes.legend(handles=keys, loc="upper right", ncols=2, borderaxespad=0.1)

    return draw_svg("values and objectives of every trial", width, LOW + 20, paint)


def _better(record: TuningRecord) -> list[Row]:
    name = leading(record.objectives)
    done = sorted(record.complete, key=lambda row: -sign(name) * row["objectives"][name])
    return done[: max(1, len(done) // 4)]


def _of_parameter(parameter: Mapping[str, Any], found: Sequence[Any]) -> Upright:
    choices = parameter.get("choices") or []
    if choices:
        step = 1 / max(len(choices) - 1, 1)
        marks = [(i * step, _short(write_value(choice))) for i, choice in enumerate(choices)]
        return Upright(parameter["key"], [choices.index(v) * step for v in found], marks)
    is_log = bool(parameter.get("log"))
    low, high = float(parameter["low"]), float(parameter["high"])
    middle = math.sqrt(low * high) if is_log else (low + high) / 2
    places = [_place(float(value), low, high, is_log=is_log) for value in found]
    marks = [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")]
    if not (low.is_integer() and high.is_integer() and not middle.is_integer()):
        marks.insert(1, (0.5, f"{middle:.3g}"))
    return Upright(parameter["key"], places, marks)


def _of_objective(name: str, done: Sequence[Row]) -> Upright:
    found = [row["objectives"][name] for row in done]
    low, high = min(found), max(found)
    is_log = name != "val_accuracy" and low > 0 and high > 3 * low
    places = [_place(value, low, high, is_log=is_log) for value in found]
    ends = [(0.0, low), (1.0, high)] if high > low else [(0.5, low)]
    marks = [(place, write_objective(name, value)) for place, value in ends]
    return Upright(name_objective(name), places, marks)


def _place(value: float, low: float, high: float, *, is_log: bool) -> float:
    if high <= low:
        return 0.5
    if is_log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _paint_upright(
    axes: Axes, x: float, number: int, upright: Upright, *, is_objective: bool
) -> None:
    """An upright axis, its title on one of two heights so that neighbours do not touch."""
    axes.plot([x, x], [TOP, LOW], color=LIGHT["ink" if is_objective else "muted"], linewidth=1.2,
              zorder=3)  # fmt: skip
    axes.text(x, TOP - (30 if number % 2 else 14), upright.title, ha="center", size=10.5,
              weight="bold" if is_objective else "normal")  # fmt: skip
    for place, word in upright.marks:
        y = LOW - (LOW - TOP) * place
        text = axes.text(x + 6, y, word, va="center", size=9.5, color=LIGHT["ink"], zorder=5)
        text.set_bbox({"facecolor": LIGHT["paper"], "alpha": 0.85, "edgecolor": "none", "pad": 1})


def draw_importances(record: TuningRecord) -> str | None:
    """SVG: a bar for each parameter and objective. None where there are none."""
    found = record.importances
    keys = ordered_keys(found)
    if not keys:
        return None
    thick = 0.8 / len(found)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        axes.set_title("Share of the variance that a parameter explains by itself")
        for number, shares in enumerate(found.values()):
            for y, key in enumerate(keys):
                share, at = shares.get(key, 0.0), y + (number - (len(found) - 1) / 2) * thick
                axes.barh(at, share, height=0.86 * thick, color=LIGHT[COLOURS[number]])
                axes.text(share + 0.006, at, percent(share, digits=0), va="center", size=9.5,
                          color=LIGHT["muted"])  # fmt: skip
        axes.set_yticks(range(len(keys)), keys, color=LIGHT["ink"])
        axes.set_ylim(len(keys) - 0.4, -0.6)
        axes.set_xlim(0, 1.12 * max(max(shares.values()) for shares in found.values()))
        axes.set_xticks([])
        axes.grid(visible=False)
        handles = [point_key("s", LIGHT[colour], LIGHT[colour], name_objective(name))
                   for name, colour in zip(found, COLOURS, strict=False)]  # fmt: skip
        axes.legend(handles=handles, loc="lower right", borderaxespad=0.2)

    height = 60 + (18.0 * len(found) + 12) * len(keys)
    return draw_svg("importance of each parameter", FULL_WIDTH, height, paint)
