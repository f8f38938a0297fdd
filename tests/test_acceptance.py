"""The verdict: dense enough to be refused, worse than the best so far by more than the margin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import invented

from recursive_lth.config import Acceptance
from recursive_lth.search.acceptance import accept

START = invented(0, val_accuracy=0.9, density=1.0)
RULE = Acceptance(margin=0.05, max_density=0.5)


@pytest.mark.parametrize(
    ("accuracy", "accepted"), [(0.95, True), (0.9, True), (0.86, True), (0.84, False)]
)
def test_the_first_ticket_is_held_against_the_dense_start(accuracy: float, accepted: bool) -> None:
    """0.9 less the margin of 0.05 is 0.85."""
    verdict = accept(RULE, [START], accuracy, 0.2)
    assert verdict.accepted == accepted
    assert verdict.words.startswith("accepted" if accepted else "rejected")


def test_the_dense_start_counts_for_the_first_ticket_alone() -> None:
    """Once there is a winning ticket, however much worse than the start, it is the reference."""
    line = [START, invented(1, val_accuracy=0.86)]
    assert accept(RULE, line, 0.82, 0.2).accepted
    rejected = [START, invented(1, val_accuracy=0.5, accepted=False)]
    assert not accept(RULE, rejected, 0.82, 0.2).accepted


def test_small_losses_do_not_add_up() -> None:
    """The reference is the best so far, not the last: losing 0.03 twice is losing 0.06."""
    line = [START, invented(1, val_accuracy=0.9), invented(2, val_accuracy=0.87)]
    assert not accept(RULE, line, 0.84, 0.2).accepted
    assert accept(RULE, line, 0.86, 0.2).accepted


def test_a_rejected_ticket_is_no_reference() -> None:
    line = [START, invented(1, val_accuracy=0.8), invented(2, val_accuracy=0.99, accepted=False)]
    assert accept(RULE, line, 0.76, 0.2).accepted


@pytest.mark.parametrize(
    ("density", "accepted"), [(0.1, True), (0.5, True), (0.501, False), (1.0, False)]
)
def test_a_ticket_is_at_most_as_dense_as_allowed(density: float, accepted: bool) -> None:
    """However accurate it is; the words name the bound."""
    verdict = accept(RULE, [START], 1.0, density)
    assert verdict.accepted == accepted
    assert accepted or ("density" in verdict.words and "0.5" in verdict.words)


@pytest.mark.parametrize("samples", [30, 288, 1000, 5000])
def test_exactly_the_margin_is_within_it(samples: int) -> None:
    """ "May lie `margin` below": of n samples k and k - m are right, the margin is m / n."""
    for right in range(1, samples + 1):
        for fewer in (1, samples // 200, samples // 10):
            if 0 < fewer <= right:
                rule = Acceptance(margin=fewer / samples)
                line = [invented(0, val_accuracy=right / samples)]
                assert accept(rule, line, (right - fewer) / samples, 0.2).accepted, (right, fewer)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0.01, 1))
def test_more_accurate_and_sparser_is_never_worse(
    reference: float, accuracy: float, margin: float, density: float
) -> None:
    """Whatever is accepted stays so with more accuracy, fewer weights or a wider margin."""
    line = [invented(0, val_accuracy=reference)]
    rule = Acceptance(margin, max_density=0.5)
    if accept(rule, line, accuracy, density).accepted:
        assert accept(rule, line, (accuracy + 1) / 2, density).accepted
        assert accept(rule, line, accuracy, density / 2).accepted
        assert accept(Acceptance(margin * 2, 1.0), line, accuracy, density).accepted
    else:
        assert density > 0.5 or accuracy < reference


def test_the_words_say_how_much() -> None:
    assert accept(RULE, [START], 0.9123, 0.2).words == "accepted: +1.23 points to the dense start"
    worse = accept(RULE, [START], 0.8, 0.2).words
    assert worse == "rejected: -10.00 points to the dense start, margin 5"
    later = accept(RULE, [START, invented(1, val_accuracy=0.9)], 0.9123, 0.2).words
    assert later == "accepted: +1.23 points to the best so far"
