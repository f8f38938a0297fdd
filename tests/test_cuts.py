"""Cuts: counts, fronts against a slow twin, and what each rule says of simple cases."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recursive_lth.search.judging.cuts import CUTS, Rung
from recursive_lth.search.objectives import Merits

pairs = st.tuples(st.integers(-3, 3).map(float), st.integers(-3, 3).map(float))
SINGLE = {1: (0.3,), 2: (-0.1,), 3: (0.2,), 4: (0.0,)}


def rung_of(merits: Mapping[int, Merits], others: Sequence[Merits] = (), keep: float = 0.5) -> Rung:
    """The first of three rungs."""
    gains = {n: (m[0],) for n, m in merits.items()}
    return Rung(merits, others, worth(merits), gains, (10,), 40, keep)


def worth(merits: Mapping[int, Merits]) -> dict[int, float]:
    """The gain alone."""
    return {n: m[0] for n, m in merits.items()}


def beats(one: Merits, other: Merits) -> bool:
    """At least as good in all, better in one."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def slow_front(merits: Mapping[int, Merits], number: int) -> int:
    """How long the longest chain of ever better ones above a candidate is."""
    above = [n for n in merits if beats(merits[n], merits[number])]
    return max((slow_front(merits, n) + 1 for n in above), default=0)


@given(st.lists(pairs, min_size=1, max_size=8))
def test_the_median_of_fronts(values: list[Merits]) -> None:
    """The front of a candidate is the length of the longest chain of those that beat it."""
    merits = dict(enumerate(values, start=1))
    everyone = {0: (0.0, 0.0), **merits}
    fronts = {n: slow_front(everyone, n) for n in everyone}
    middle = median(fronts.values()) if len(everyone) > 2 else math.inf
    going = CUTS["median"](rung_of(merits, [everyone[0]]))
    assert going == {n for n in merits if fronts[n] <= middle}


@given(st.lists(pairs, min_size=1, max_size=9), st.floats(0.05, 1.0), st.data())
def test_halving_keeps_exactly_so_many(
    values: list[Merits], keep: float, data: st.DataObject
) -> None:
    """Whatever worth is; and none goes on before one that is better in all."""
    merits = dict(enumerate(values, start=1))
    worths = {n: data.draw(st.floats(-1, 1)) for n in merits}
    going = CUTS["halving"](replace(rung_of(merits, keep=keep), worth=worths))
    assert len(going) == math.ceil(keep * len(merits) - 1e-9)
    assert not any(beats(merits[n], merits[g]) for g in going for n in merits if n not in going)


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(1, 9)), min_size=1, max_size=9))
def test_who_goes_on_is_whom_the_choice_would_take(values: list[tuple[float, int]]) -> None:
    """The first of those that nobody beats by worth, then the same without it, and so on."""
    merits = {n: (gain, -float(cost)) for n, (gain, cost) in enumerate(values, start=1)}
    worths = {n: gain / -cost for n, (gain, cost) in merits.items()}
    left = dict(merits)
    for count in range(1, len(merits) + 1):
        front = [n for n in left if slow_front(left, n) == 0]
        del left[max(front, key=lambda n: (worths[n], -n))]
        rung = replace(rung_of(merits, keep=count / len(merits)), worth=worths)
        assert CUTS["halving"](rung) == merits.keys() - left.keys()


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=6), st.lists(st.integers(-5, 5)))
def test_the_median_is_that_of_the_gains(gains: list[int], earlier: list[int]) -> None:
    """With one objective and no ties: those whose gain is not below the median of all there."""
    if len({*gains, *earlier, 0}) < len(gains) + len(earlier) + 1:
        return
    merits = {n: (float(gain),) for n, gain in enumerate(gains, start=1)}
    others = [(0.0,), *((float(gain),) for gain in earlier)]
    middle = median([*gains, 0, *earlier])
    crowd = len(gains) + len(others) > 2
    expected = {n for n, (gain,) in merits.items() if gain >= middle or not crowd}
    assert CUTS["median"](rung_of(merits, others)) == expected


def test_none_stops_none() -> None:
    assert CUTS["none"](rung_of(SINGLE)) == {1, 2, 3, 4}


def test_a_lone_candidate_goes_on_beside_not_growing() -> None:
    """It has nobody to be behind of: how it compares with not growing is told at the end."""
    assert CUTS["median"](rung_of({1: (-5.0,)}, [(0.0,)])) == {1}


def test_curves_are_drawn_on_to_the_end() -> None:
    """Over log steps 1, 2, 4: what rises by .1 a doubling overtakes what stands still at .15.

    Drawn on from .1 at 2 it ends at .2; the one that falls from .2 by .15 ends at -.1, behind.
    """
    gains = {1: (0.0, 0.1), 2: (0.15, 0.15), 3: (0.2, 0.05)}
    merits = {n: (g[-1],) for n, g in gains.items()}
    rung = Rung(merits, [(0.0,)], worth(merits), gains, (1, 2), 4, 0.5)
    assert CUTS["curve"](rung) == {1, 2}
    assert CUTS["median"](rung) == {1, 2}
    steep = {1: (-0.3, 0.02), 2: (0.3, 0.15), 3: (0.1, 0.1)}
    last = {n: (g[-1],) for n, g in steep.items()}
    late = Rung(last, [], worth(last), steep, (1, 2), 4, 0.5)
    assert CUTS["curve"](late) == {1, 3}  # they end at .34, 0 and .1; the median with 0 is .05


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut_keeps_some_of_those_that_are_there(cut: str) -> None:
    going = CUTS[cut](rung_of(SINGLE, [(0.0,)]))
    assert going
    assert going <= set(SINGLE)
    assert 1 in going
