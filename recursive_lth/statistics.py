"""What n paired differences say: effect, interval, tests, verdict, and how many pairs it takes.

A difference is ours minus the rival's in one pair, such as two networks trained on one seed; more
is better. What decides is the t test. Where both sides owe their spread to their seeds alone, a
difference is as likely to be `+d` as `-d`; then the test of "better" keeps to its level from three
pairs on, for heavy tails and skewed seeds too, and its power is known. A percentile bootstrap of
five to ten pairs covers 82 to 92 % where it says 95. The studentised one covers 91 to 96 %, also
where the differences themselves are skewed, but has nothing to resample in three pairs; it stands
beside the t interval, and the sign flips, exact but coarse, beside the t test. Accuracies of N
samples come in steps of 1/N, by which few pairs can seem to agree better than they do: what counts
in steps is told so, and what lies within a step adds its variance, step^2 / 12 (Sheppard 1898).
`experiments/acceptance_calibration.py` measures all of this.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recursive_lth.errors import InputError

Number = dict[str, Any]  # mean, sd (None for one value) and n
Numbers = NDArray[np.float64]
Verdict = Literal["won", "tied", "lost", "undecided"]
CONFIDENCE = 0.95
LEVEL = 0.05
POWER = 0.8
ROUNDING = 1e-12  # of the largest difference: less spread than this is none
MOST_FLIPPED = 16  # pairs of which all 2^n flips are taken
FLIPS = 20_000  # drawn for more pairs
LEAST_RESAMPLED = 5  # pairs: of fewer too many resamples are one pair again and again
RESAMPLES = 4000
MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class Effect:
    """The mean of n paired differences, how far it can be trusted, and how likely it is luck.

    `low` to `high` is the 95 % t interval of the mean, `resampled` that of the studentised
    bootstrap (None below five pairs or without spread). `p` is one-sided: how likely so large a t
    would be if the true mean were 0; near 1 it speaks for the rival. `p_flip` is the share of sign
    flips with a mean at least as large: exact where differences are symmetric, never below 2^-n.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    resampled: tuple[float, float] | None
    p: float
    p_flip: float
    n: int


def effect(
    differences: Sequence[float], generator: np.random.Generator, *, step: float = 0.0
) -> Effect:
    """What paired differences say; the generator draws resamples, and flips of many pairs.

    `step` is the least difference that can be told, 1/N for accuracies of N samples.

    Raises `InputError` where there is no pair, or one that is no finite number.
    """
    values = _checked(differences)
    found = interval(values.tolist(), step=step)
    return Effect(
        found["mean"],
        found["sd"],
        found["low"],
        found["high"],
        studentised_interval(values, generator),
        p_above(values, step=step, generator=generator),
        sign_flip(values, generator),
        len(values),
    )


def verdict(
    differences: Sequence[float] | Numbers,
    margin: float,
    *,
    level: float = LEVEL,
    step: float = 0.0,
) -> Verdict:
    """`won`: better at the level, one-sided. `tied`: within the margin either way. Else `lost`.

    Or `undecided`, where none of the three is shown. They are asked in this order: what is better
    has won though by less than the margin, and what is worse by so little that it is shown to lie
    within the margin is tied. A margin of 0 leaves no ties.
    """
    values = _checked(differences)
    if p_above(values, step=step) <= level:
        return "won"
    if p_equivalent(values, margin, step=step) <= level:
        return "tied"
    return "lost" if p_above(-values, step=step) <= level else "undecided"


def average(values: Iterable[float | None]) -> Number:
    """Mean, sample standard deviation and number of the values that are not null."""
    known = [float(v) for v in values if v is not None]
    return {
        "mean": fmean(known) if known else None,
        "sd": stdev(known) if len(known) > 1 else None,
        "n": len(known),
    }


def interval(values: Sequence[float], *, step: float = 0.0) -> Number:
    """Mean, spread and the 95 % t interval of the mean; no interval for one value."""
    found, n = average(values), len(values)
    if found["sd"] is None:
        return found | {"low": None, "high": None}
    half = _quantile((1 + CONFIDENCE) / 2, n - 1) * _error(found["sd"], n, step)
    return found | {"low": found["mean"] - half, "high": found["mean"] + half}


def studentised_interval(
    differences: Sequence[float] | Numbers, generator: np.random.Generator
) -> tuple[float, float] | None:
    """The 95 % bootstrap-t interval of the mean (Efron 1979; Hall 1988, "Theoretical comparison").

    Pairs are drawn with replacement; each resample's t about the mean takes the place of Student's.
    None where there are too few pairs, or where they do not differ.
    """
    values = _checked(differences)
    n = len(values)
    if n < LEAST_RESAMPLED or not _has_spread(values):
        return None
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(n)
    drawn = values[generator.integers(0, n, (RESAMPLES, n))]
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(n)
    usable = errors > ROUNDING * np.abs(values).max()
    t = (drawn.mean(axis=1)[usable] - mean) / errors[usable]
    low, high = np.quantile(t, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(mean - high * error), float(mean - low * error)


def p_above(
    differences: Sequence[float] | Numbers,
    bound: float = 0.0,
    *,
    step: float = 0.0,
    generator: np.random.Generator | None = None,
) -> float:
    """How likely so large a t would be, were the true mean at the bound: the one-sided t test.

    Pairs that do not differ from one another say nothing of their spread, unless `step` does: there
    it is the sign flips that answer, so that n equal gains count as n tosses of a coin.
    """
    values = _checked(differences) - bound
    n = len(values)
    if n < 2 or not (step or _has_spread(values)):
        return sign_flip(values, generator)
    t = float(values.mean()) / _error(float(values.std(ddof=1)), n, step)
    return _below(-t, n - 1)


def p_equivalent(
    differences: Sequence[float] | Numbers, margin: float, *, step: float = 0.0
) -> float:
    """The larger of two one-sided p, that the mean is above -margin and below it (Schuirmann 1987).

    At a level of 5 % it is at most that iff the 90 % interval lies within the margin.
    """
    values = _checked(differences)
    return max(p_above(values, -margin, step=step), p_above(-values, -margin, step=step))


def sign_flip(
    differences: Sequence[float] | Numbers, generator: np.random.Generator | None = None
) -> float:
    """The share of sign flips of the differences whose sum is at least theirs (Fisher 1935).

    All 2^n up to 16 pairs; of more so many are drawn, themselves counted among them. Pairs that all
    are one number need no draws. Raises `InputError` where draws are needed without a generator.
    """
    values = _checked(differences)
    tolerance = ROUNDING * np.abs(values).sum()
    if len(values) <= MOST_FLIPPED:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        return float((sums >= values.sum() - tolerance).mean())
    if not _has_spread(values):  # no sum is as large but their own, unless all are 0 or below
        return 0.5 ** len(values) if values.mean() > 0 else 1.0
    if generator is None:
        raise InputError(f"the flips of {len(values)} pairs are drawn: pass a generator")
    signs = generator.integers(0, 2, (FLIPS, len(values)), dtype=np.int8) * 2 - 1
    reached = int((signs @ values >= values.sum() - tolerance).sum())
    return (1 + reached) / (1 + FLIPS)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p as it is among so many (Holm 1979): rejecting those at most the level errs at most so.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = largest
    return found


def detection_rate(standard_errors: float, pairs: int, level: float = LEVEL) -> float:
    """How often a gain of so many standard errors of the mean is `won`: the noncentral t.

    Exact for normal differences: t has n - 1 degrees and this shift.

    >>> round(detection_rate(0.0, 5), 3), round(detection_rate(2.0, 5), 2)
    (0.05, 0.5)
    """
    from scipy import special

    critical = _quantile(1 - level, pairs - 1)
    return 1.0 - float(special.nctdtr(pairs - 1, standard_errors, critical))


def required_pairs(
    gain: float, spread: float, *, level: float = LEVEL, power: float = POWER
) -> int:
    """The least number of pairs in which a gain is `won` so often; `spread` is that of one pair.

    Raises `InputError` where the gain is not above 0, or so small that no one could pay for them.
    """
    if gain <= 0 or spread < 0:
        raise InputError(f"gain must be above 0 and spread at least 0, got {gain} and {spread}")

    def is_enough(pairs: int) -> bool:
        if spread == 0:
            return 0.5**pairs <= level  # no spread: as many tosses of a coin
        return detection_rate(gain / spread * math.sqrt(pairs), pairs, level) >= power

    high = 2
    while not is_enough(high):
        high *= 2
        if high > MOST_PAIRS:
            raise InputError(f"a gain of {gain:g} at a spread of {spread:g} takes over a million")
    low = high // 2
    while high - low > 1:  # the rate never falls with the number of pairs
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return max(2, high)


def _checked(differences: Sequence[float] | Numbers) -> Numbers:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InputError(f"paired differences must be finite numbers, at least one: got {values}")
    return values


def _has_spread(values: Numbers) -> bool:
    """False where all values are one number, to rounding."""
    return bool(np.ptp(values) > ROUNDING * np.abs(values).max())


def _error(spread: float, pairs: int, step: float) -> float:
    """The standard error of a mean of pairs, with what lies within a step."""
    return math.sqrt((spread * spread + step * step / 12) / pairs)


def _below(t: float, degrees: int) -> float:
    """Student's distribution function."""
    from scipy import special  # takes a while to import, and tables are read without it

    return float(special.stdtr(degrees, t))


def _quantile(probability: float, degrees: int) -> float:
    """Student's quantile."""
    from scipy import special

    return float(special.stdtrit(degrees, probability))
