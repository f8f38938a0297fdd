"""Paired differences: tests that keep to their level, power as theory has it, corrections."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recursive_lth.errors import InputError
from recursive_lth.statistics import (
    LEVEL,
    Numbers,
    detection_rate,
    effect,
    holm,
    interval,
    p_above,
    p_equivalent,
    required_pairs,
    sign_flip,
    studentised_interval,
    verdict,
)

DECISIONS = 500
LUCK = 3.0  # binomial deviations that a fixed seed may lie above the level
Size = tuple[int, int]
Draw = Callable[[np.random.Generator, Size], Numbers]
SEED_NOISES: dict[str, tuple[Draw, float]] = {  # of one network, and the step it comes in
    "normal": (lambda g, size: g.normal(size=size), 0.0),
    "skewed": (lambda g, size: g.lognormal(size=size), 0.0),
    "heavy": (lambda g, size: g.standard_t(2, size=size), 0.0),
    "whole samples": (lambda g, size: np.round(g.normal(scale=0.7, size=size)), 1.0),
}
# of like size, so that a spread is never only rounding
DIFFERENCES = st.lists(st.integers(-50, 50).map(lambda k: k / 64), min_size=2, max_size=8)


def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def share(rows: Numbers, word: str, margin: float, step: float = 0.0) -> float:
    """How many of the decisions came out so."""
    return sum(verdict(row, margin, step=step) == word for row in rows) / len(rows)


@pytest.mark.parametrize("pairs", [3, 5, 8, 10])
@pytest.mark.parametrize("noise", SEED_NOISES)
def test_equals_are_won_and_lost_no_more_often_than_the_level(noise: str, pairs: int) -> None:
    """Child and parent alike but for the noise of their seeds, whatever its distribution.

    Then +d is as likely as -d. Of 500 decisions at a true rate of 5 % the share lies within three
    binomial deviations, sqrt(.05 x .95 / 500), that is below 7.9 %, in 999 cases of 1000.
    """
    (draw, step), size = SEED_NOISES[noise], (DECISIONS, pairs)
    rng = np.random.default_rng(pairs)
    rows = draw(rng, size) - draw(rng, size)
    most = LEVEL + LUCK * math.sqrt(LEVEL * (1 - LEVEL) / DECISIONS)
    for word in ("won", "lost"):
        assert share(rows, word, 0.0, step) <= most
    if noise == "normal":  # the level is used, too
        assert share(rows, "won", 0.0) >= 2 * LEVEL - most


@pytest.mark.parametrize("pairs", [3, 5, 8, 10])
def test_a_gain_of_two_standard_errors_is_won_as_often_as_theory_says(pairs: int) -> None:
    """Normal differences: t has a noncentral distribution with n - 1 degrees, shifted by 2."""
    rows = np.random.default_rng(pairs).normal(2 / math.sqrt(pairs), 1, (DECISIONS, pairs))
    theory = detection_rate(2.0, pairs)
    critical = stats.t.ppf(1 - LEVEL, pairs - 1)
    assert theory == pytest.approx(stats.nct.sf(critical, pairs - 1, 2.0), abs=1e-9)
    deviation = math.sqrt(theory * (1 - theory) / DECISIONS)
    assert abs(share(rows, "won", 0.0) - theory) <= LUCK * deviation


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_what_is_worse_by_the_margin_is_tied_no_more_often_than_the_level(pairs: int) -> None:
    """At the edge of equivalence each one-sided test errs at the level; and equals do get in."""
    margin = 4 / math.sqrt(pairs)
    noise = np.random.default_rng(pairs).normal(size=(DECISIONS, pairs))
    most = LEVEL + LUCK * math.sqrt(LEVEL * (1 - LEVEL) / DECISIONS)
    accepted = share(noise - margin, "tied", margin) + share(noise - margin, "won", margin)
    assert accepted <= most
    assert share(noise, "tied", margin) >= 0.5
    assert share(noise, "tied", 0.0) == 0


@given(DIFFERENCES, st.floats(-0.5, 0.5))
def test_one_sided_p_is_that_of_a_t_test(values: list[float], bound: float) -> None:
    """scipy's is the twin wherever there is spread."""
    if np.ptp(values) < 1e-9:
        return
    twin = stats.ttest_1samp(np.array(values), bound, alternative="greater").pvalue
    assert p_above(values, bound) == pytest.approx(twin, abs=1e-9)
    assert p_above(values, bound) + p_above([-v for v in values], -bound) == pytest.approx(1)


@given(DIFFERENCES, st.floats(0.01, 1))
def test_equivalence_is_the_90_percent_interval_within_the_margin(
    values: list[float], margin: float
) -> None:
    """Two one-sided tests at 5 % each reject iff both ends of the 90 % interval are inside."""
    if np.ptp(values) < 1e-9:
        return
    twin = stats.ttest_1samp(np.array(values), 0.0).confidence_interval(0.9)
    inside = min(float(twin.low) + margin, margin - float(twin.high))
    if abs(inside) > 1e-9:
        assert (p_equivalent(values, margin) <= LEVEL) == (inside > 0)


@given(DIFFERENCES)
def test_sign_flips_are_counted_one_by_one(values: list[float]) -> None:
    """Dyadic fractions add up exactly, so that ties are ties."""
    signs = itertools.product((1, -1), repeat=len(values))
    sums = [sum(s * v for s, v in zip(each, values, strict=True)) for each in signs]
    assert sign_flip(values) == sum(s >= sum(values) for s in sums) / len(sums)


def test_many_pairs_are_flipped_by_chance() -> None:
    """Within five deviations of the normal limit; the same generator gives the same bits."""
    values = np.random.default_rng(1).normal(0.2, 1, 60)
    found = sign_flip(values, generator())
    limit = stats.norm.sf(values.sum() / math.sqrt((values**2).sum()))
    assert found == pytest.approx(limit, abs=0.005)
    assert found == sign_flip(values, generator())
    with pytest.raises(InputError, match="flips of 60 pairs are drawn: pass a generator"):
        sign_flip(values)


@pytest.mark.parametrize("pairs", [1, 3, 5, 20])
def test_equal_gains_are_tosses_of_a_coin(pairs: int) -> None:
    """Without spread, n gains have probability 2^-n; no differences at all speak for no one."""
    assert p_above([0.1] * pairs) == sign_flip([0.1] * pairs) == 0.5**pairs
    assert p_above([0.0] * pairs) == p_above([-0.1] * pairs) == 1
    assert verdict([0.1] * pairs, 0.0) == ("won" if pairs >= 5 else "undecided")
    assert verdict([0.0] * pairs, 0.01) == ("tied" if pairs >= 5 else "undecided")
    assert verdict([-0.1] * pairs, 0.01) == ("lost" if pairs >= 5 else "undecided")


def test_a_step_is_a_spread_of_its_own() -> None:
    """Its variance is that of anything within it, step^2 / 12: t = 1 / sqrt(1 / 12 / n)."""
    assert p_above([1.0] * 3, step=1.0) == pytest.approx(stats.t.sf(6.0, 2))
    assert p_equivalent([0.0] * 3, 1.0, step=1.0) == pytest.approx(stats.t.sf(6.0, 2))
    assert interval([1.0] * 3, step=1.0)["high"] == pytest.approx(1 + stats.t.ppf(0.975, 2) / 6)


@given(DIFFERENCES, st.floats(0, 1))
def test_sides_are_alike(values: list[float], margin: float) -> None:
    """Seen from the rival, won is lost; a tie that nobody won stays one."""
    mirrored = verdict([-v for v in values], margin)
    expected = {"won": ("lost", "tied"), "lost": ("won",), "tied": ("tied", "won")}
    assert mirrored in expected.get(verdict(values, margin), ("undecided",))


def test_an_effect_says_it_all() -> None:
    values = [0.01, 0.03, 0.02, 0.05, 0.0, 0.04]
    found = effect(values, generator())
    assert found.n == 6
    assert found.mean == pytest.approx(0.025)
    assert found.p == p_above(values)
    assert found.p_flip == sign_flip(values) == 2 / 64  # the 0 may be flipped
    assert {"low": found.low, "high": found.high}.items() <= interval(values).items()
    assert found.resampled == studentised_interval(values, generator())
    alone = effect([0.5], generator())
    assert (alone.sd, alone.low, alone.high, alone.resampled) == (None, None, None, None)
    assert alone.p == alone.p_flip == 0.5


@pytest.mark.parametrize("values", [[], [math.nan, 1.0], [math.inf]])
def test_what_is_no_difference_is_refused(values: list[float]) -> None:
    for ask in (lambda: effect(values, generator()), lambda: verdict(values, 0.1)):
        with pytest.raises(InputError, match="must be finite numbers, at least one"):
            ask()


@pytest.mark.parametrize("pairs", [5, 10])
@pytest.mark.parametrize("noise", ["normal", "skewed differences"])
def test_the_studentised_bootstrap_covers(noise: str, pairs: int) -> None:
    """About 95 %, where percentiles cover 80 to 89: of 400 intervals at least 90 %."""
    rng = np.random.default_rng(pairs)
    size = (400, pairs)
    rows = rng.normal(size=size) if noise == "normal" else rng.exponential(size=size) - 1
    found = [studentised_interval(row, rng) for row in rows]
    assert np.mean([low <= 0 <= high for low, high in filter(None, found)]) >= 0.9
    assert None not in found
    assert studentised_interval(rows[0][:4], rng) is None
    assert studentised_interval([0.5] * pairs, rng) is None


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_what_the_step_down_does(p_values: list[float]) -> None:
    """The procedure itself: the smallest p against level / m, the next against level / (m - 1)."""
    adjusted = holm(p_values)
    rejected: set[int] = set()
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] * (len(p_values) - rank) > LEVEL:
            break
        rejected.add(place)
    assert {i for i, p in enumerate(adjusted) if p <= LEVEL} == rejected
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))


@given(st.floats(0.1, 3), st.sampled_from((0.5, 0.8, 0.95)))
def test_required_pairs_are_the_least_that_suffice(ratio: float, power: float) -> None:
    found = required_pairs(ratio, 1.0, power=power)
    assert detection_rate(ratio * math.sqrt(found), found) >= power
    if found > 2:
        assert detection_rate(ratio * math.sqrt(found - 1), found - 1) < power


def test_pairs_for_the_impossible() -> None:
    assert required_pairs(0.1, 0.0) == 5  # tosses of a coin: 2^-5 is below 5 %
    with pytest.raises(InputError, match="gain must be above 0"):
        required_pairs(0.0, 1.0)
    with pytest.raises(InputError, match="takes over a million"):
        required_pairs(1e-9, 1.0)
