"""Means over replicates and paired differences: what the tables of a `prune` run hold."""

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from fake_tickets import build_trained, run_with_controls, run_with_transfer
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recursive_lth.lottery.aggregate import AVERAGED, aggregate, pairs
from recursive_lth.statistics import average, interval

Line = dict[str, Any]
ACCURACIES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def line(replicate: int, accuracy: float, variant: str = "ticket", **changes: Any) -> Line:
    """A network at level 1 of the only arm."""
    return build_trained(replicate, 1, variant, 0.5, accuracy) | changes


@given(ACCURACIES)
def test_a_number_is_mean_and_sample_deviation(values: list[float]) -> None:
    found = average([*values, None])
    assert found["n"] == len(values)
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert found["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)


def test_what_one_or_no_replicate_can_say() -> None:
    """One value has no spread and no interval, none has no mean either: null, never 0 or NaN."""
    assert average([0.5]) == {"mean": 0.5, "sd": None, "n": 1}
    assert average([None]) == {"mean": None, "sd": None, "n": 0}
    assert interval([0.5]) == {"mean": 0.5, "sd": None, "n": 1, "low": None, "high": None}


@given(ACCURACIES)
def test_intervals_are_those_of_a_t_test(values: list[float]) -> None:
    """scipy's one-sample t interval is the twin; without spread it is the mean alone."""
    found = interval(values)
    if found["sd"] < 1e-9:
        assert found["low"] == pytest.approx(found["high"], abs=1e-7)
        return
    twin = stats.ttest_1samp(np.array(values), 0.0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((twin.low, twin.high), abs=1e-9)


def test_a_row_for_each_network_in_the_order_of_the_run() -> None:
    """Each replicate counts once in each row; rows come as their first lines do."""
    lines = run_with_controls(levels=3, replicates=4)
    table = aggregate(lines)
    order = [(row["level"], row["variant"]) for row in table]
    controls = ("ticket", "reinit", "shuffled_mask")
    assert order == [(0, "ticket"), *itertools.product((1, 2), controls)]
    for row in table:
        some = [x for x in lines if (x["level"], x["variant"]) == (row["level"], row["variant"])]
        assert row["n"] == len(some) == 4
        for key in AVERAGED:
            assert row[key] == average(x[key] for x in some)
        for key in ("density", "remaining_weights", "training_multiply_adds"):
            assert row[key] == pytest.approx(np.mean([x[key] for x in some]))


def test_collapse_and_divergence_are_counted() -> None:
    lines = [line(n, 0.1, is_collapsed=n < 2, is_diverged=n == 2) for n in range(3)]
    (row,) = aggregate(lines)
    assert (row["collapsed"], row["diverged"]) == (2, 1)


def test_masks_on_fresh_weights_are_averaged_where_they_were_tried() -> None:
    tried = [line(n, 0.9, weight_samples={"mean": 0.2 * n, "sd": 0.1, "n": 5}) for n in range(3)]
    assert aggregate(tried)[0]["weight_samples"]["mean"] == pytest.approx(0.2)
    assert aggregate([line(0, 0.9)])[0]["weight_samples"] == average([])


def test_pairs_share_their_replicate() -> None:
    """Differences are within replicates: a spread that both share does not widen the interval."""
    tickets = [line(n, 0.90 + 0.02 * n) for n in range(3)]
    rivals = [line(n, 0.89 + 0.02 * n, "reinit") for n in (2, 0, 1)]
    (row,) = pairs([*rivals, *tickets])
    assert (row["arm"], row["level"], row["variant"]) == ("ticket", 1, "reinit")
    assert (row["wins"], row["n"]) == (3, 3)
    found = row["difference"]
    assert found["mean"] == pytest.approx(0.01)
    assert found["sd"] == pytest.approx(0, abs=1e-12)
    assert (found["low"], found["high"]) == pytest.approx((0.01, 0.01))


def test_a_tie_is_no_win() -> None:
    (row,) = pairs([line(0, 0.9), line(0, 0.9, "signs")])
    assert (row["wins"], row["n"]) == (0, 1)


def test_missing_networks_leave_the_other_pairs_whole() -> None:
    """A run that is stopped between a ticket and its control, or a line that is lost."""
    lines = [line(0, 0.9), line(0, 0.8, "reinit"), line(1, 0.9), line(2, 0.7, "reinit")]
    (row,) = pairs(lines)
    assert row["n"] == 1
    assert row["difference"]["mean"] == pytest.approx(0.1)
    assert pairs([line(0, 0.9)]) == pairs([line(0, 0.9, "reinit")]) == pairs([]) == []
    assert aggregate([]) == []


def test_a_dense_rival_stands_at_the_density_of_its_ticket() -> None:
    """Else every level's dense control would be held against the ticket "at 100 %"."""
    dense = build_trained(0, 1, "dense", 1.0, 0.95)
    (row,) = pairs([line(0, 0.9), dense])
    assert row["density"] == line(0, 0.9)["density"] < dense["density"]


def test_what_is_trained_elsewhere_is_the_ticket_of_its_own_controls() -> None:
    lines = run_with_transfer()
    found = {(r["arm"], r["level"], r["variant"]): r for r in pairs(lines)}
    arms, variants = ("other_digits", "sgd"), ("reinit", "transfer_reinit")
    assert set(found) == set(itertools.product(arms, range(1, 5), variants))
    at = {(x["replicate"], x["arm"], x["level"], x["variant"]): x["test_accuracy"] for x in lines}
    twin = [at[n, "sgd", 2, "transfer"] - at[n, "sgd", 2, "transfer_reinit"] for n in range(3)]
    assert found["sgd", 2, "transfer_reinit"]["difference"] == interval(twin)


def test_tables_are_made_without_torch() -> None:
    """The report of an unfinished run makes its table itself; it must not load torch for that."""
    code = "import sys, recursive_lth.lottery.aggregate; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"
