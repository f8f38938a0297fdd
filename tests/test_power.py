"""Power of a study: against simulated studies, and the laws its numbers keep."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recursive_lth.errors import InputError
from recursive_lth.study.contrasts import parse_contrast
from recursive_lth.study.power import (
    chance_found,
    plan_power,
    seeds_needed,
    smallest_effect,
    spread_bound,
    spreads_of,
)
from recursive_lth.study.verdicts import Case, decide, verdicts_file

STUDIES = 4000
LUCK = 3.0  # binomial deviations


@pytest.mark.parametrize("contrasts", [1, 4])
@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_the_smallest_effect_is_found_in_80_percent(seeds: int, contrasts: int) -> None:
    """Normal differences, t tested at level / m by scipy: the worst case of Holm's correction."""
    effect = smallest_effect(seeds, contrasts)
    assert effect is not None
    for part in (0.5, 1.0):
        rows = np.random.default_rng(seeds).normal(part * effect, 1, (STUDIES, seeds))
        tested = stats.ttest_1samp(rows, 0, axis=1)
        is_found = np.logical_and(tested.pvalue <= 0.05 / contrasts, tested.statistic > 0)
        found = float(np.mean(is_found))
        expected = chance_found(part * effect, seeds, contrasts)
        assert part < 1 or expected == pytest.approx(0.8, abs=1e-9)
        deviation = math.sqrt(expected * (1 - expected) / STUDIES)
        assert abs(found - expected) <= LUCK * deviation


@given(st.floats(0.3, 4), st.integers(1, 20))
def test_the_seeds_needed_are_the_fewest(effect: float, contrasts: int) -> None:
    needed = seeds_needed(effect, 1.0, contrasts)
    assert chance_found(effect, needed, contrasts) >= 0.8
    assert needed == 3 or chance_found(effect, needed - 1, contrasts) < 0.8
    assert needed == seeds_needed(-100 * effect, 100.0, contrasts)  # whatever unit and sign


@given(st.integers(3, 60), st.integers(1, 20))
def test_smallest_effect_and_seeds_needed_agree(seeds: int, contrasts: int) -> None:
    """Just above it so many seeds do, just below they do not."""
    effect = smallest_effect(seeds, contrasts)
    assert effect is not None
    assert seeds_needed(effect * 1.0001, 1.0, contrasts) <= seeds
    assert seeds_needed(effect * 0.9999, 1.0, contrasts) > seeds


def test_no_spread_takes_tosses_of_a_coin() -> None:
    """2 x 2^-n <= level / m: six of one, nine of ten."""
    assert [seeds_needed(1.0, 0.0, m) for m in (1, 10)] == [6, 9]


def test_a_plan_tells_what_a_study_can_show() -> None:
    plan = plan_power(5, 4)
    assert plan.needed == {effect: seeds_needed(effect, 1.0, 4) for effect in (0.5, 1.0, 1.5, 2.0)}
    assert plan.smallest == smallest_effect(5, 4)
    assert plan.words() == (
        "5 seeds in a family of 4 contrasts find an effect of 2.48 standard deviations of a "
        "pair's difference in 80 % of studies; seeds needed by effect: "
        "0.5: 48, 1: 15, 1.5: 9, 2: 7"
    )
    small = plan_power(2, 1)
    assert small.smallest is None
    assert "2 seeds in a family of 1 contrast can decide nothing (at least 3 must)" in small.words()
    assert chance_found(9.0, 2, 1) == 0


def test_a_bound_of_the_spread_holds_in_80_percent() -> None:
    """(n - 1) s^2 / sigma^2 is chi-squared; of four seeds the spread may be half as much again."""
    rows = np.random.default_rng(0).normal(0, 3, (STUDIES, 4))
    bounds = [spread_bound(float(s), 4) for s in rows.std(axis=1, ddof=1)]
    share = float(np.mean([bound >= 3 for bound in bounds]))
    assert abs(share - 0.8) <= LUCK * math.sqrt(0.8 * 0.2 / STUDIES)
    assert spread_bound(1.0, 1000) == pytest.approx(1, abs=0.03)


def test_earlier_verdicts_plan_the_next_study() -> None:
    """Their spreads are in the measure's unit, and so is the effect that is wanted."""
    values = {"a": (0.1, 0.3, 0.2, 0.4), "b": (0.0, 0.1, 0.2, 0.3), "still": (0.0, 0.1, 0.2, 0.3)}
    data: dict[tuple[str, int], float | None] = {
        (arm, seed): v for arm, row in values.items() for seed, v in enumerate(row)
    }
    lines = ("ages: a > b in m", "nothing: still > b in m")
    earlier = verdicts_file(decide([Case(parse_contrast(line), data) for line in lines]))
    spreads = spreads_of(earlier)
    spread = float(np.std(np.subtract(values["a"], values["b"]), ddof=1))
    assert list(spreads) == ["ages"]  # `nothing` has no spread to plan with
    assert spreads["ages"] == pytest.approx((spread, 4))
    assert seeds_needed(0.1, spread_bound(spread, 4), 2) > seeds_needed(0.1, spread, 2)


def test_what_cannot_be_planned_is_told() -> None:
    with pytest.raises(InputError, match="above 0"):
        seeds_needed(0.0, 1.0, 1)
    with pytest.raises(InputError, match="over a million"):
        seeds_needed(1e-6, 1.0, 1)
    with pytest.raises(InputError, match="at least 2 seeds, got 1: run a small study first"):
        spread_bound(1.0, 1)
    with pytest.raises(InputError, match="at least 1 contrast, got 0"):
        seeds_needed(1.0, 1.0, 0)
