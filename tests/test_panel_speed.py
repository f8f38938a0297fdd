"""Curve measures against curves whose values are known in closed form."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_scenes import last_scene

from recursive_lth.study.panel import speed
from recursive_lth.study.scene import Scene

BEFORE, EPOCH, STEP = 7_000, 1_000, 50  # multiply-adds: spent before, of an epoch, of a step


@lru_cache(maxsize=1)
def played() -> Scene:
    """Any scene: its curve is replaced."""
    with TemporaryDirectory() as folder:
        return last_scene(["train 0.5"], Path(folder))


def with_curve(*looks: tuple[int, float, float | None], target: float = 0.9) -> Scene:
    """A scene whose looks are (step, accuracy, loss), at 50 multiply-adds a step."""
    curve: list[dict[str, Any]] = [
        {
            "step": step,
            "spent": BEFORE + STEP * step,
            "val_accuracy": accuracy,
            "val_loss": loss,
            "val_calibrated_loss": loss,
        }
        for step, accuracy, loss in looks
    ]
    return replace(
        played(),
        curve=curve,
        spent=(BEFORE, BEFORE + STEP * looks[-1][0]),
        epoch_cost=EPOCH,
        target=target,
    )


@given(st.integers(1, 500), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_ramp_reaches_its_target_in_proportion(steps: int, end: float, share: float) -> None:
    """Accuracy end * t / steps comes to share * end at t = share * steps."""
    ramp = with_curve((0, 0.0, 2.0), (steps, end, 1.0), target=share * end)
    reached = speed.steps_to_target(ramp)
    assert reached == pytest.approx(share * steps)
    assert speed.cost_to_target(ramp) == pytest.approx(share * steps * STEP / EPOCH)
    assert speed.reaches_target(ramp) == 1


@given(st.integers(1, 500), st.floats(0, 5), st.floats(0, 5), st.integers(1, 20))
def test_the_area_of_a_ramp_is_the_mean_of_its_ends(
    steps: int, first: float, last: float, looks: int
) -> None:
    """However often it is looked at: the trapezoid rule is exact for straight lines."""
    places = sorted({0, steps, *(steps * i // looks for i in range(looks))})
    ramp = with_curve(*((p, p / steps, first + (last - first) * p / steps) for p in places))
    assert speed.loss_area(ramp) == pytest.approx((first + last) / 2)
    assert speed.accuracy_area(ramp) == pytest.approx(0.5)
    assert speed.area(ramp.curve, "val_loss", "step") == pytest.approx((first + last) / 2)


def test_unequal_looks_weigh_by_their_length() -> None:
    """(2 + 1) / 2 over 10 steps, (1 + 0) / 2 over 30: 30 / 40."""
    curve = with_curve((0, 0.1, 2.0), (10, 0.5, 1.0), (40, 0.9, 0.0))
    assert speed.loss_area(curve) == pytest.approx(0.75)


def test_the_first_arrival_counts_and_a_head_start_costs_nothing() -> None:
    """It may fall below the target again; one that begins above it has reached it at 0."""
    falls = with_curve((0, 0.1, 1.0), (10, 0.95, 0.5), (20, 0.2, 0.7), (30, 0.99, 0.4))
    assert speed.steps_to_target(falls) == pytest.approx(10 * 0.8 / 0.85)
    ahead = with_curve((0, 0.9, 1.0), (10, 0.2, 0.5))
    assert speed.cost_to_target(ahead) == 0
    assert speed.start_accuracy(ahead) == 0.9


def test_what_is_not_reached_is_not_told() -> None:
    """Such a seed is missing from the pairs, and says so in `reaches_target`."""
    short = with_curve((0, 0.1, 1.0), (10, 0.89, 0.5))
    assert speed.cost_to_target(short) is None
    assert speed.steps_to_target(short) is None
    assert speed.reaches_target(short) == 0


def test_early_stop_is_at_the_first_least_loss() -> None:
    """In epochs of the start network, 20 steps of 50 being one; 0 where the loss only rises."""
    curve = with_curve((0, 0.1, 2.0), (20, 0.5, 0.5), (40, 0.6, 0.5), (60, 0.7, 0.9))
    assert speed.early_stop_cost(curve) == pytest.approx(1.0)
    assert speed.early_stop_cost(with_curve((0, 0.1, 1.0), (20, 0.1, 1.5))) == 0


def test_a_lost_loss_leaves_no_area() -> None:
    """Nor an end; the accuracy has one all the same."""
    lost = with_curve((0, 0.1, 2.0), (20, 0.0, None))
    assert speed.loss_area(lost) is None
    assert speed.val_loss(lost) is None
    assert speed.early_stop_cost(lost) == 0
    assert speed.accuracy_area(lost) == pytest.approx(0.05)


def test_the_ends_are_those_of_the_training() -> None:
    """Accuracy and losses at the end are the curve's last, the test accuracy the scene's."""
    here = played()
    assert speed.val_accuracy(here) == here.curve[-1]["val_accuracy"]
    assert speed.val_loss(here) == here.curve[-1]["val_loss"]
    assert speed.calibrated_loss(here) == here.curve[-1]["val_calibrated_loss"]
    assert speed.test_accuracy(here) == here.tested
