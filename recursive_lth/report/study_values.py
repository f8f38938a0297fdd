"""Values and differences of a study's measures as people read them, by their units."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recursive_lth.report.quantities import UNKNOWN, count, operations, percent, points, signed
from recursive_lth.statistics import average

BIG = 1000.0
MOST_DECIMALS = 7


def write_value(value: float | None, unit: str) -> str:
    """A value of a measure, without its unit unless that is a share.

    >>> write_value(0.9731, "share"), write_value(12_340_000.0, "steps"), write_value(0.01234, "")
    ('97.31 %', '12.3M', '0.01234')
    """
    if value is None:
        return UNKNOWN
    if unit == "share":
        return percent(value)
    if unit == "multiply-adds":
        return operations(value)
    text = count(value) if abs(value) >= BIG else f"{value:.4g}"
    return text.replace("-", "−") if "e" not in text else text


def write_change(value: float | None, unit: str) -> str:
    """A difference of two values with its sign; shares differ by points.

    >>> write_change(-0.004, "share"), write_change(0.25, "nats"), write_change(None, "")
    ('−0.40 points', '+0.25', '–')
    """
    if value is None:
        return UNKNOWN
    if unit == "share":
        return points(value)
    size = write_value(abs(value), unit)
    return f"{'−' if value < 0 else '+'}{size}" if value else "0"


def decimals_of(size: float) -> int | None:
    """As many as show two digits of a size; None where a plain number has too many or none.

    >>> decimals_of(0.0342), decimals_of(42.0), decimals_of(0.0), decimals_of(1e-9)
    (3, 0, None, None)
    """
    if not size or not math.isfinite(size):
        return None
    decimals = max(0, 1 - math.floor(math.log10(abs(size))))
    return decimals if decimals <= MOST_DECIMALS else None


def write_fixed(value: float, decimals: int) -> str:
    """A number with just so many decimals; what rounds to zero has no sign.

    >>> write_fixed(-0.0339, 5), write_fixed(-0.001, 2)
    ('−0.03390', '0.00')
    """
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")


def write_interval(effect: Mapping[str, Any], unit: str) -> str:
    """The 95 % interval of a difference, or a dash where there is none.

    >>> write_interval({"low": 0.001, "high": 0.02}, "share")
    '+0.10 to +2.00'
    >>> write_interval({"low": -0.06256, "high": -0.0339}, "nats")
    '−0.0626 to −0.0339'
    """
    if effect.get("low") is None:
        return UNKNOWN
    if unit == "share":
        return f"{signed(100 * effect['low'], 2)} to {signed(100 * effect['high'], 2)}"
    low, high = effect["low"], effect["high"]
    decimals = decimals_of(high - low)
    if decimals is None or max(abs(low), abs(high)) >= BIG:
        return f"{write_change(low, unit)} to {write_change(high, unit)}"
    return f"{signed(low, decimals + 1)} to {signed(high, decimals + 1)}"


def spell(measure: str) -> str:
    """A measure's name in words.

    >>> spell("cost_to_target")
    'cost to target'
    """
    return measure.replace("_", " ")


def write_moment(moment: float) -> str:
    """A moment of a training in words.

    >>> write_moment(0), write_moment(0.5), write_moment(1.0)
    ('before training', 'at 50 % of training', 'after training')
    """
    if moment in (0, 1):
        return "after training" if moment else "before training"
    return f"at {100 * moment:.3g} % of training"


def band(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and one standard deviation to each side but not beyond what was seen.

    So what is positive has a place on a scale of ratios.

    >>> band([1.0, 2.0, 3.0]), band([4.0])
    ((2.0, 1.0, 3.0), (4.0, 4.0, 4.0))
    """
    found = average(values)
    mean, spread = float(found["mean"]), float(found["sd"] or 0.0)
    return mean, max(mean - spread, min(values)), min(mean + spread, max(values))


def shorten(name: str, letters: int) -> str:
    """A name of at most so many letters; a longer one loses its middle.

    >>> shorten("grown_from_the_start", 11), shorten("grown", 11)
    ('grown…start', 'grown')
    """
    if len(name) <= letters:
        return name
    tail = (letters - 1) // 2
    return f"{name[: letters - 1 - tail]}…{name[-tail:]}"
