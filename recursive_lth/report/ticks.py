"""Marks of axes that are not linear: round numbers, none too close to another."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from recursive_lth.report.quantities import percent

ACCURACIES = (
    *(0.9, 0.99, 0.999, 0.5, 0.98, 0.95, 0.8, 0.97, 0.995, 0.7, 0.1, 0.96, 0.93, 0.985, 0.3),
    *(0.6, 0.85, 0.998, 0.975, 0.94, 0.4, 0.2, 0.75, 0.65, 0.983, 0.981, 0.978, 0.965, 0.992),
)  # the first are marked first
POINTS = (0, *(s * n for n in (10, 1, 0.1, 50, 5, 0.5, 20, 2, 0.2, 100) for s in (1, -1)))
LEAST_ERROR = 1e-9  # errors are shown on a logarithmic scale, which has no 0
NEARLY_RIGHT = 0.9995  # from here on errors are too few for their ratio to mean anything
STRETCHED_FROM = 4.0  # times the least error; where errors differ more, equal ratios look equal


def spaced(
    wanted: Iterable[float], low: float, high: float, place: Callable[[float], float], gap: float
) -> list[float]:
    """Those of the numbers wanted that lie in the frame and `gap` of it from all before them.

    >>> spaced((0, 1, 0.9, 5, 7), 0, 6, float, 0.1)
    [0, 1, 5]
    """
    found: list[float] = []
    least = gap * abs(place(high) - place(low))
    for number in wanted:
        if low <= number <= high and all(
            abs(place(number) - place(other)) >= least for other in found
        ):
            found.append(number)
    return sorted(found)


def set_accuracies(axes: Axes, low: float, high: float) -> None:
    """An axis of accuracies, stretched towards 100 % where the errors differ by large factors."""
    if high > NEARLY_RIGHT or 1 - low <= STRETCHED_FROM * (1 - high):
        pad = 0.06 * ((high - low) or 0.01)
        axes.set_ylim(max(low - pad, 0), min(high + pad, 1 + pad / 3))
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        digits = 2 if high - low < 0.006 else 1 if high - low < 0.06 else 0
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: percent(v, digits=digits)))
        return
    least, most = _stretch(low).item(), _stretch(high).item()
    pad = 0.06 * (most - least)
    low, high = 1 - 10 ** -max(least - pad, 0), 1 - 10 ** -(most + pad)
    axes.set_yscale("function", functions=(_stretch, _shrink))
    axes.set_ylim(low, high)
    marks = spaced(ACCURACIES, low, high, lambda a: _stretch(a).item(), 0.085)
    _mark(axes.yaxis, marks, lambda v: f"{100 * v:.4g} %")


def _stretch(accuracy: ArrayLike) -> NDArray[np.float64]:
    error: NDArray[np.float64] = np.maximum(1 - np.asarray(accuracy, float), LEAST_ERROR)
    return -np.log10(error)


def _shrink(place: ArrayLike) -> NDArray[np.float64]:
    error: NDArray[np.float64] = np.power(10.0, -np.asarray(place, float))
    return 1 - error


def set_points(axes: Axes, low: float, high: float, usual: float) -> None:
    """An axis of differences in points around 0, compressed outwards where some are far larger than
    is usual."""
    pad = 0.06 * ((high - low) or 1.0)
    if max(-low, high) <= 8 * usual:
        axes.set_xlim(low - pad, high + pad)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: signed(v)))
        return

    def place(points: float) -> float:
        return math.asinh(points / usual)

    far = 0.06 * (place(high) - place(low))
    low, high = (usual * math.sinh(place(end) + side) for end, side in ((low, -far), (high, far)))
    axes.set_xscale("asinh", linear_width=usual)
    axes.set_xlim(low, high)
    _mark(axes.xaxis, spaced(POINTS, low, high, place, 0.12), signed)


def signed(points: float) -> str:
    """A difference with its sign, without digits that say nothing.

    >>> signed(0.5), signed(-20.0), signed(0.0)
    ('+0.5', '−20', '0')
    """
    return "0" if abs(points) < 1e-9 else f"{points:+.3g}".replace("-", "−")


def _mark(axis: Axis, marks: list[float], write: Callable[[float], str]) -> None:
    axis.set_major_locator(FixedLocator(marks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: write(v)))
