"""Triggers: when the training after a growth is over; as laws of curves, and in a run."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from search_runs import bench_of, small
from strategies import normal_weights, random_batch

from recursive_lth.architecture.zoo import mlp
from recursive_lth.errors import InputError
from recursive_lth.running.job import Row
from recursive_lth.search.check import check_growth, check_names
from recursive_lth.search.controller import generations
from recursive_lth.search.triggers import (
    TRIGGERS,
    Evidence,
    dormant,
    gain_per_cost,
    mask_stability,
    plateau,
)
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.dormant import dormant_share

LOSSES = st.lists(st.floats(0.01, 10), min_size=1, max_size=12)


def curve(losses: list[float]) -> list[Row]:
    """Looks ten steps apart."""
    rows = enumerate(losses, start=1)
    return [{"step": 10 * i, "epoch": i, "val_calibrated_loss": loss} for i, loss in rows]


def known(patience: int = 1, overhead: int = 0, threshold: float = 0.0) -> Evidence:
    return Evidence(2.0, overhead, 100, patience, threshold)


@pytest.mark.parametrize("name", TRIGGERS)
@given(LOSSES)
def test_no_trigger_fires_before_its_patience(name: str, losses: list[float]) -> None:
    assert not TRIGGERS[name](curve(losses), known(patience=len(losses)))


@given(LOSSES, st.integers(1, 4), st.floats(0, 0.5))
def test_a_plateau_is_no_better_than_what_was_best(
    losses: list[float], patience: int, threshold: float
) -> None:
    """Slow twin: look by look, was any of the last ones lower by the threshold?"""
    found = plateau(curve(losses), known(patience, threshold=threshold))
    count = len(losses) - patience
    best = min(losses[:count], default=math.inf)
    has_improved = any(loss < best * (1 - threshold) for loss in losses[max(count, 0) :])
    assert found == (count > 0 and not has_improved)


def first_stop(rows: list[Row], evidence: Evidence) -> int:
    """After how many looks the trigger fires."""
    looks = range(1, len(rows) + 1)
    return next(n for n in looks if gain_per_cost(rows[:n], evidence))


@pytest.mark.parametrize("overhead", [1_000, 20_000, 400_000])
def test_the_margin_falls_to_the_mean(overhead: int) -> None:
    """Loss 2 exp(-t/T) with t steps of 100 multiply-adds after the overhead C.

    The rate at the margin equals the mean where exp(x) - 1 - x = C / (100 T) with x = t / T; the
    margin is read over ten steps, which is small beside T = 400.
    """
    scale = 400.0
    rows = curve([2 * math.exp(-10 * i / scale) for i in range(1, 400)])
    low, high = 0.0, 20.0
    for _ in range(60):  # by bisection
        x = (low + high) / 2
        low, high = (x, high) if math.exp(x) - 1 - x < overhead / (100 * scale) else (low, x)
    assert 10 * first_stop(rows, known(overhead=overhead)) == pytest.approx(scale * low, abs=20)


@given(LOSSES, st.integers(1, 3), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_dearer_search_is_never_left_sooner(
    losses: list[float], patience: int, one: int, other: int
) -> None:
    cheap, dear = min(one, other), max(one, other)
    rows = curve(losses)
    if gain_per_cost(rows, known(patience, dear)):
        assert gain_per_cost(rows, known(patience, cheap))


def masks(*kept: str) -> list[Masks]:
    """Masks of four weights, one for each text such as `1100`."""
    return [{"w": torch.tensor([c == "1" for c in text])} for text in kept]


def test_masks_are_stable_once_the_newest_is_like_each_of_the_last() -> None:
    """Two of four places differ from the third last, over two kept: 1. Queues that are not full."""
    seen = masks("0011", "1100", "1100", "1110")

    def settled(patience: int, distance: float) -> bool:
        evidence = Evidence(0, 0, 1, patience, distance=distance, masks=seen)
        return mask_stability([], evidence)

    assert settled(1, 0.34)
    assert settled(2, 0.34)
    assert not settled(2, 0.3)  # one place over three kept
    assert not settled(3, 0.99)
    assert settled(3, 1.0)
    assert not settled(4, 2.0)


def test_units_stay_dormant_for_as_long_as_patience() -> None:
    def asleep(*shares: float) -> bool:
        return dormant([], Evidence(0, 0, 1, 2, share=0.5, dormant=shares))

    assert not asleep()
    assert not asleep(0.9)
    assert asleep(0.1, 0.5, 0.5)
    assert not asleep(0.9, 0.4, 0.9)


def test_dormant_units_are_those_next_to_silent_beside_the_others() -> None:
    """Of five and four hidden units the first and two are held down by their biases."""
    architecture = mlp((1, 3, 3), 3, (5, 4))
    weights = normal_weights(architecture, 1)
    weights["fc1.bias"][0] = -1e3
    weights["fc2.bias"][:2] = -1e3
    images = random_batch(architecture, 50, 2)
    assert dormant_share(architecture, weights, images) == pytest.approx(3 / 9)
    weights["fc1.bias"][0] = (
        1e3  # one that outshouts the rest of its layer: they are next to silent
    )
    hidden = F.linear(images.flatten(1), weights["fc1.weight"], weights["fc1.bias"]).relu()
    size = hidden.mean(0)
    still = int((size <= 0.025 * size.mean()).sum())
    after = F.linear(hidden, weights["fc2.weight"], weights["fc2.bias"]).relu().mean(0)
    still += int((after <= 0.025 * after.mean()).sum())
    assert dormant_share(architecture, weights, images) == pytest.approx(still / 9)


def test_what_rises_is_left_even_below_the_start() -> None:
    """Nothing is gained at the margin; and what recovers from above it is not left."""
    assert gain_per_cost(curve([1.0, 1.0]), known(overhead=10**9))
    assert not gain_per_cost(curve([9.0, 8.0]), known())


def grow_epochs(tmp_path: Path, *settings: str) -> list[float]:
    """The epochs at which the training after the one growth of a small run looks."""
    experiment = small("budget.generations=2", "growth.epochs=5", "training.epochs=4", *settings)
    found: dict[str, Ticket] = {}
    looks: list[float] = []
    for turn, ticket, rows in generations(bench_of(experiment, tmp_path), [], found.__getitem__):
        found[turn.digest] = ticket
        looks = [row["epoch"] for row in rows if row["phase"] == "grow"]
    return looks


HASTY = ("growth.trigger=plateau", "growth.trigger_threshold=1", "growth.trigger_patience=1")

STABLE = ("growth.trigger=mask_stability", "growth.trigger_patience=2", "growth.trigger_distance=2")
ASLEEP = ("growth.trigger=dormant", "growth.trigger_patience=2")


@pytest.mark.parametrize(
    ("settings", "last"),
    [
        ([], 5),
        (HASTY, 2),  # no look improves on the first by all of the loss
        ([*HASTY, "growth.optimizer=carry"], 2),
        ([*HASTY, "pruning.rewind=3ep"], 3),
        (["growth.trigger=plateau", "growth.trigger_patience=5"], 5),
        (["growth.trigger=gain_per_cost", "growth.trigger_patience=5"], 5),
        (STABLE, 3),  # any two masks are within twice of what they keep
        ([*STABLE, "growth.trigger_distance=0"], 5),
        ([*STABLE, "pruning.rewind=4ep"], 4),
        ([*ASLEEP, "growth.trigger_share=1"], 5),
        (["growth.trigger=dormant", "start.hidden=[60, 60]", "growth.trigger_share=0.01"], 3),
    ],
)
def test_a_trigger_ends_the_training_after_a_growth(
    settings: list[str], last: int, tmp_path: Path
) -> None:
    """Never beyond `growth.epochs`, nor before the step to rewind to."""
    assert grow_epochs(tmp_path, *settings) == list(range(1, last + 1))


def test_a_trigger_that_cannot_be_is_refused() -> None:
    units = small("growth.trigger=mask_stability", "pruning.granularity=unit")
    with pytest.raises(InputError, match="choose another trigger"):
        check_growth(units, mlp((1, 8, 8), 10, (6,)))
    check_growth(small(*HASTY), mlp((1, 8, 8), 10, (6,)))
    with pytest.raises(InputError, match="did you mean 'plateau'"):
        check_names(small("growth.trigger=platau"))
