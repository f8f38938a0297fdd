"""Marks of axes that are not linear: round numbers, none too close to another."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from recursive_lth.report.quantities import PREFIXES, percent, short_count

ACCURACIES = (
    *(0.9, 0.99, 0.999, 0.5, 0.98, 0.95, 0.8, 0.97, 0.995, 0.7, 0.1, 0.96, 0.93, 0.985, 0.3),
    *(0.6, 0.85, 0.998, 0.975, 0.94, 0.4, 0.2, 0.75, 0.65, 0.983, 0.981, 0.978, 0.965, 0.992),
)  # the first are marked first
POINTS = (0, *(s * n for n in (10, 1, 0.1, 50, 5, 0.5, 20, 2, 0.2, 100) for s in (1, -1)))
ROUND = tuple(m * 10.0**e for m in (1, 2, 5) for e in range(-12, 19))  # powers of ten first
LOGARITHMIC_FROM = 3.0  # times the least, where equal ratios look equal
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


def set_numbers(
    axes: Axes,
    axis: Axis,
    found: Sequence[float],
    *,
    is_share: bool,
    ratio: float = LOGARITHMIC_FROM,
) -> None:
    """An axis around the numbers found: percentages, or counts, by ratios where they differ by
    more than `ratio`."""
    low, high = min(found), max(found)
    is_across = axis is axes.xaxis
    is_ratio = not is_share and low > 0 and high > ratio * low
    if is_ratio:
        (axes.set_xscale if is_across else axes.set_yscale)("log")
        margin = (high / low) ** 0.08
        low, high = low / margin, high * margin
        _mark(axis, spaced(ROUND, low, high, math.log10, 0.16), short_count)
    else:
        margin = 0.08 * ((high - low) or abs(high) or 1.0)
        if is_share and low >= 0 and high <= 1:  # no marks of shares that cannot be
            low, high = max(low - margin, -0.01), min(high + margin, 1.01)
        else:
            low, high = low - margin, high + margin
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(FuncFormatter(lambda v, _: write(v)))
    (axes.set_xlim if is_across else axes.set_ylim)(low, high)
    write = mark_writer(low, high, is_share=is_share)


def mark_writer(low: float, high: float, *, is_share: bool) -> Callable[[float], str]:
    """How to write the marks between two ends: with as many digits as tell neighbours apart.

    >>> mark_writer(0.95, 0.99, is_share=True)(0.96)
    '96.0 %'
    >>> write = mark_writer(1_230_000, 1_240_000, is_share=False)
    >>> write(1_232_000), write(1_234_000)
    ('1.232M', '1.234M')
    """
    span = high - low
    if is_share:
        digits = 3 if span < 0.0006 else 2 if span < 0.006 else 1 if span < 0.06 else 0
        return lambda share: percent(share, digits=digits).replace("-", "−")
    most = max(abs(low), abs(high))
    place = min(max(math.floor(math.log10(most) / 3), 0), len(PREFIXES) - 1) if most else 0
    digits = min(max(math.ceil(math.log10(most / span)) + 2, 3), 9) if span else 3
    least = 1e-9 * most  # what rounding leaves of 0

    def write(value: float) -> str:
        if abs(value) <= least:
            return "0"
        text = f"{value / 1000**place:.{digits}g}"
        return (text if "e" in text else text.replace("-", "−")) + PREFIXES[place]

    return write


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
