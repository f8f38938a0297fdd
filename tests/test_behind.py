"""The median rule: which short trainings are stopped on their way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import past_of, tried
from test_policy import JUDGED

from recursive_lth.search.policies.catalogue import POLICIES
from recursive_lth.search.policies.past import is_behind

GAINS = st.floats(-1, 1)


@given(st.lists(st.tuples(GAINS, GAINS), max_size=6), GAINS, st.integers(0, 1))
def test_behind_is_below_the_median(
    rungs: list[tuple[float, float]], gain: float, rung: int
) -> None:
    """More than half of the siblings are ahead, or exactly half and the mean of the middle two is.

    Not growing has gain 0 and counts; repeated ones, failed ones and those stopped before this rung
    do not.
    """
    siblings = [tried(0, rungs=(0.0, 0.0))]
    siblings += [tried(n, rungs=pair) for n, pair in enumerate(rungs, start=1)]
    crowd = sorted([0.0, *(pair[rung] for pair in rungs)])
    middle = (crowd[(len(crowd) - 1) // 2] + crowd[len(crowd) // 2]) / 2
    gains = [0.0] * rung + [gain]
    expected = len(rungs) > 0 and gain < middle
    assert is_behind(gains, siblings) == expected
    absent = [
        tried(90, "repeated", 1.0, training_steps=0),
        tried(91, "failed", None),
        *([tried(92, "stopped", rungs=(1.0,))] if rung else []),
    ]
    assert is_behind(gains, [*siblings, *absent]) == expected


@pytest.mark.parametrize("policy", [p for p in JUDGED if p != "patience"])
def test_a_search_stops_what_is_behind_its_siblings(policy: str) -> None:
    past = past_of(policy, siblings=5)
    proposal = POLICIES[policy](past)
    assert proposal is not None
    assert not proposal.is_final
    for gains in ([-9.0], [9.0], [0.0, -9.0], [0.0, 9.0]):
        assert proposal.is_hopeless(gains) == is_behind(gains, past.siblings) == (gains[-1] < 0)
