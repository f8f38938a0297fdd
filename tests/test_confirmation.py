"""Scores of paired trainings compared: what decides, in which measure, and within which margin."""

import json

import numpy as np
import pytest

from recursive_lth.config import Acceptance
from recursive_lth.search.confirmation import (
    CHILD,
    PARENT,
    Comparison,
    Confirmation,
    Scores,
    compare,
    left_out,
)
from recursive_lth.statistics import effect, verdict

SAMPLES = 1000
RULE = Acceptance(rule="paired", margin=0.02)


def scores(name: str, accuracies: list[float], losses: list[float] | None = None) -> Scores:
    return Scores(name, 10, tuple(accuracies), tuple(losses or [1 - a for a in accuracies]))


def compared(
    *rivals: Scores, child: Scores, rule: Acceptance = RULE, margin: float | None = None
) -> list[Comparison]:
    """The first rival is the parent."""
    found = {each.name: each for each in (child, *rivals)}
    left = rule.margin if margin is None else margin
    return compare(rule, left, found, SAMPLES, np.random.default_rng(0))


def noisy(name: str, mean: float, spread: float, seed: int = 0) -> Scores:
    """Five accuracies of whole samples."""
    drawn = np.random.default_rng(seed).normal(mean, spread, 5)
    return scores(name, [round(SAMPLES * a) / SAMPLES for a in drawn])


@pytest.mark.parametrize(
    ("shift", "word"), [(0.03, "won"), (0.0, "tied"), (-0.01, "tied"), (-0.04, "lost")]
)
def test_a_clear_effect_has_its_word(shift: float, word: str) -> None:
    """Noise of 0.2 points against a margin of 2: nothing is left undecided."""
    child, parent = noisy(CHILD, 0.9 + shift, 0.002, 1), noisy(PARENT, 0.9, 0.002, 2)
    (found,) = compared(parent, child=child)
    assert (found.rival, found.verdict, found.scores) == (PARENT, word, parent)
    assert found.accuracy is not None
    assert found.accuracy.mean == pytest.approx(shift, abs=0.004)
    assert found.p_holm is None


def test_noise_without_effect_is_undecided_or_tied_but_for_the_level() -> None:
    """Of 200 equals at most 5 % and three deviations are won; noise hides a margin as large."""
    words = []
    for seed in range(200):
        child, parent = (noisy(n, 0.9, 0.03, 2 * seed + k) for k, n in enumerate((CHILD, PARENT)))
        words.append(compared(parent, child=child)[0].verdict)
    assert words.count("won") <= 200 * (0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5)
    assert words.count("undecided") > 150


def test_pairs_share_their_seed() -> None:
    """A spread that both share is no spread of their differences."""
    parent = scores(PARENT, [0.5, 0.6, 0.7, 0.8, 0.9])
    child = scores(CHILD, [0.51, 0.61, 0.712, 0.81, 0.91])
    assert compared(parent, child=child)[0].verdict == "won"


def test_what_is_left_of_the_margin_is_for_the_parent_alone() -> None:
    """A loss of one point is tied within two and not within a half; controls owe nothing."""
    child = noisy(CHILD, 0.89, 0.002, 1)
    rivals = noisy(PARENT, 0.9, 0.002, 2), noisy("reinit", 0.9, 0.002, 2)
    assert [each.verdict for each in compared(*rivals, child=child)] == ["tied", "tied"]
    left = compared(*rivals, child=child, margin=0.005)
    assert [each.verdict for each in left] == ["lost", "tied"]


def test_less_loss_is_a_gain() -> None:
    """By the other measure the same networks may fare otherwise."""
    child = scores(CHILD, [0.80, 0.81, 0.80, 0.82, 0.81], [0.30, 0.31, 0.30, 0.30, 0.31])
    parent = scores(PARENT, [0.90, 0.91, 0.92, 0.91, 0.90], [0.50, 0.52, 0.51, 0.50, 0.51])
    assert compared(parent, child=child)[0].verdict == "lost"
    (found,) = compared(parent, child=child, rule=Acceptance(rule="paired", measure="loss"))
    assert found.verdict == "won"
    assert found.effect("loss").mean == pytest.approx(0.204)
    assert found.effect("accuracy").mean < 0


def test_controls_count_after_holm_s_correction() -> None:
    """A lucky one among six is no victory: p of .03 becomes .18; a clear one stays."""
    gains = [0.01, 0.07, 0.005, 0.12, 0.03]
    assert 0.01 < effect(gains, np.random.default_rng(0), step=1 / SAMPLES).p < 0.05
    child = scores(CHILD, [0.9] * 5)
    close = [scores(f"close{k}", [0.9 - gain for gain in gains]) for k in range(5)]
    beaten = noisy("beaten", 0.5, 0.01, 3)
    found = compared(noisy(PARENT, 0.9, 0.01), *close, beaten, child=child)
    assert [each.verdict for each in found[1:]] == ["undecided"] * 5 + ["won"]
    alone = compared(noisy(PARENT, 0.9, 0.01), close[0], child=child)
    assert alone[1].verdict == "won"
    assert alone[1].p_holm == alone[1].effect("accuracy").p


def test_a_stricter_level_asks_for_more() -> None:
    child, parent = scores(CHILD, [0.91, 0.93, 0.92, 0.95, 0.90]), scores(PARENT, [0.9] * 5)
    assert verdict([0.01, 0.03, 0.02, 0.05, 0.0], 0.0) == "won"
    assert compared(parent, child=child)[0].verdict == "won"
    strict = Acceptance(rule="paired", level=0.01)
    assert compared(parent, child=child, rule=strict)[0].verdict == "undecided"


def test_a_confirmation_is_json_as_it_is() -> None:
    """Read back it is the same, a control that was left out too."""
    against = (*compared(noisy(PARENT, 0.9, 0.01), child=noisy(CHILD, 0.9, 0.01, 1)),
               left_out("dense", "nothing is pruned"))  # fmt: skip
    found = Confirmation("accuracy", 0.05, 0.02, -0.001, noisy(CHILD, 0.9, 0.01), against, 5, 6)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()
    assert found.to_dict()["against"][1]["reason"] == "nothing is pruned"
    with pytest.raises(ValueError, match="dense was not compared: nothing is pruned"):
        against[1].effect("accuracy")
