"""The verdict: dense enough to be refused, worse than the best, the start or the parent allow."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import invented

from recursive_lth.config import Acceptance
from recursive_lth.errors import InputError
from recursive_lth.search.acceptance import accept
from recursive_lth.search.confirmation import CHILD, PARENT, Confirmation, Scores, compare

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


PAPER = Acceptance(margin=0.05, max_density=0.5, rule="paper")


def test_the_paper_holds_all_tickets_against_the_dense_start() -> None:
    """However good the tickets before: 0.9 less 0.05 is enough; its kept fraction is bounded."""
    line = [START, invented(1, val_accuracy=0.99), invented(2, val_accuracy=0.86)]
    verdict = accept(PAPER, line, 0.86, 0.5)
    assert verdict == (True, "accepted: -4.00 points to the dense start")
    assert not accept(RULE, line, 0.86, 0.5).accepted
    assert not accept(PAPER, line, 0.84, 0.5).accepted
    assert not accept(PAPER, line, 0.86, 0.51).accepted


def confirmed(gains: list[float], measure: str = "accuracy") -> Confirmation:
    """A child ahead of its parent by so much on each seed, of 1000 samples."""
    rule = Acceptance(rule="paired", margin=0.02, measure=measure)
    flat = (0.5,) * len(gains)
    child = Scores(CHILD, 10, tuple(0.5 + g for g in gains), tuple(0.5 - g for g in gains))
    found = {CHILD: child, PARENT: Scores(PARENT, 10, flat, flat)}
    against = compare(rule, rule.margin, found, 1000, np.random.default_rng(0))
    return Confirmation(measure, 0.05, 0.02, 0.0, child, tuple(against), 1, 1)


@pytest.mark.parametrize(
    ("gains", "accepted", "words"),
    [
        ([0.03, 0.04, 0.03, 0.05, 0.04], True, r"accepted: won .* by \+3\.80 points .* n = 5\)$"),
        ([0.001, -0.002, 0.0, 0.001, 0.0], True, r"accepted: tied .* by \+0\.00 points"),
        ([-0.03, -0.04, -0.03, -0.05, -0.04], False, r"rejected: lost .* by -3\.80 points"),
        ([0.06, -0.03, 0.02, 0.01, -0.01], False, r"undecided .*; about 73 pairs would tell such"),
        ([0.06, -0.06, 0.03, -0.03, 0.0], False, r"undecided .*; not even 1000000 pairs"),
    ],
)
def test_pairs_decide_by_their_verdict(gains: list[float], accepted: bool, words: str) -> None:
    """Accepted iff won or tied, whatever the accuracy of the ticket itself; the words say why."""
    rule = Acceptance(rule="paired", margin=0.02, max_density=0.5)
    verdict = accept(rule, [START], 0.1, 0.2, confirmed(gains))
    assert verdict.accepted == accepted
    assert re.search(words, verdict.words), verdict.words
    assert not accept(rule, [START], 0.99, 0.6, None).accepted  # too dense to be confirmed


def test_loss_is_told_in_nats() -> None:
    rule = Acceptance(rule="paired", margin=0.02, measure="loss")
    words = accept(rule, [START], 0.1, 0.2, confirmed([0.03, 0.04, 0.03, 0.05, 0.04], "loss")).words
    assert re.search(r"won against its parent by \+0\.0380 nats", words)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "papr"}, "acceptance.rule must be one of margin, paper, paired"),
        ({"measure": "los"}, "acceptance.measure must be one of accuracy, loss"),
        ({"replicates": 7}, "acceptance.replicates is read by acceptance.rule=paired alone"),
        (
            {"rule": "paper", "controls": ("reinit",)},
            "acceptance.controls is read by .*paired alone",
        ),
        ({"rule": "paired", "replicates": 1}, "acceptance.replicates must be"),
        ({"rule": "paired", "level": 0.0}, "acceptance.level must be"),
        ({"rule": "paired", "level": 0.6}, "acceptance.level must be"),
        ({"rule": "paired", "epochs": 0.0}, "acceptance.epochs must be"),
        ({"rule": "paired", "controls": ("reinit", "reinit")}, "names one twice"),
        ({"backtrack": -1}, "acceptance.backtrack must be"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Acceptance(**settings)
