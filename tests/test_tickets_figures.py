"""What the figures of a `prune` run show, and the marks of their axes."""

from itertools import pairwise

import fake_tickets as fake
import numpy as np
import pytest
from fake_ticket_runs import LINES, record_of, write_named
from fake_tickets import ACCURACY, build_trained
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from recursive_lth.lottery.aggregate import aggregate
from recursive_lth.report.tickets_arms import draw_arms
from recursive_lth.report.tickets_levels import (
    MOST_CURVES,
    draw_accuracy,
    draw_early_stop,
    look,
    panels_of,
)
from recursive_lth.report.tickets_masks import pictures_by_row, shares_of
from recursive_lth.report.tickets_overlap import of_all_arms
from recursive_lth.report.tickets_record import TicketsRecord, read_tickets
from recursive_lth.report.ticks import set_accuracies, set_points, spaced


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TicketsRecord]:
    """What the folders of all invented runs say."""
    out = tmp_path_factory.mktemp("runs")
    return {name: read_tickets(write_named(out, name)) for name in LINES}


def test_curves_are_of_variants_or_of_arms(records: dict[str, TicketsRecord]) -> None:
    """One arm: a curve a variant. Arms: a curve an arm. Arms with controls: a panel an arm."""
    panels = {n: panels_of(records[n].table, "test_accuracy") for n in LINES}
    assert {arm: list(curves) for arm, curves in panels["controls"].items()} == {
        "": ["ticket", "re-initialised", "mask shuffled"]
    }
    assert {arm: list(curves) for arm, curves in panels["arms"].items()} == {"": list(ACCURACY)}
    assert list(panels["transfer"]) == ["other_digits", "sgd"]
    for curves in panels["transfer"].values():
        assert list(curves)[2:] == ["ticket, transferred", "transferred: re-initialised"]
    for run in panels.values():
        for rows in (rows for curves in run.values() for rows in curves.values()):
            assert [r["density"] for r in rows] == sorted(r["density"] for r in rows)[::-1]


def test_a_dense_rival_stands_at_the_density_of_its_ticket() -> None:
    lines = [build_trained(0, n, "ticket", 0.5**n, 0.9) for n in range(3)]
    lines += [build_trained(0, n, "dense", 1.0, 0.9) for n in (1, 2)]
    (curves,) = panels_of(aggregate(lines), "test_accuracy").values()
    tickets = [row["density"] for row in curves["ticket"]]
    assert [row["density"] for row in curves["dense, equal cost"]] == tickets[1:]


def test_many_arms_are_a_table_of_cells() -> None:
    """Up to eight arms are curves; a ninth makes the curves unreadable and leaves the cells."""
    for count in (MOST_CURVES, MOST_CURVES + 1):
        lines = [
            build_trained(0, level, "ticket", 0.1**level, 0.9, arm=f"arm{arm}")
            for arm in range(count)
            for level in range(3)
        ]
        assert (draw_accuracy(record_of(lines)) is None) == (count > MOST_CURVES)
        assert draw_arms(record_of(lines)) is not None


def test_early_stopping_at_one_step_is_no_figure() -> None:
    """Looked at once an epoch, short trainings may all be at their best at the last look."""
    lines = [build_trained(0, level, "ticket", 0.5**level, 0.9) for level in range(3)]
    assert draw_early_stop(record_of(lines)) is not None
    alike = [line | {"early_stop_step": 252} for line in lines]
    assert draw_early_stop(record_of(alike)) is None


def test_looks_do_not_repeat() -> None:
    assert len({look(number) for number in range(16)}) == 16


def test_shares_are_means_over_replicates() -> None:
    """A layer's share at each level; where a network lacks the level or the layer, none."""
    lines = [build_trained(n, 2, "ticket", share, 0.9) for n, share in enumerate((0.2, 0.4))]
    found = shares_of(lines)
    assert list(found) == ["fc1", "fc2", "output", "all weights"]
    assert found["all weights"] == [None, None, pytest.approx(0.3, abs=1e-4)]
    twin = [line["layers"]["fc2"]["remaining"] / 30_000 for line in lines]
    assert found["fc2"][2] == pytest.approx(sum(twin) / 2)


@given(st.integers(1, 40), st.integers(1, 9))
def test_pictures_run_from_the_first_ticket_to_the_last(levels: int, arms: int) -> None:
    """Dense level 0 says nothing and is left out unless it is all there is."""
    pictures = [
        {"arm": f"arm{arm}", "level": level} for arm in range(arms) for level in range(levels)
    ]
    rows = pictures_by_row(pictures)
    assert all(len(row) <= 6 for row in rows)
    for arm in {row[0]["arm"] for row in rows}:
        shown = [picture["level"] for row in rows for picture in row if picture["arm"] == arm]
        assert shown[0] == min(1, levels - 1)
        assert shown[-1] == levels - 1
        assert shown == sorted(set(shown))
    assert pictures_by_row([]) == []


def test_overlaps_are_of_all_arms_at_each_level() -> None:
    found = of_all_arms(fake.overlaps())
    assert [entry["level"] for entry in found] == [1, 2, 3, 4, 5]
    assert all(len(entry["arms"]) == 4 for entry in found)


@given(
    st.lists(st.floats(-50, 50), max_size=20), st.floats(-60, 0), st.floats(1, 60),
    st.floats(0.01, 0.5),
)  # fmt: skip
def test_marks_keep_their_distance(
    wanted: list[float], low: float, high: float, gap: float
) -> None:
    """Marks lie in the frame and apart; every number left out is out of it or close to a mark."""
    found = spaced(wanted, low, high, float, gap)
    assert all(low <= mark <= high for mark in found)
    assert all(b - a >= gap * (high - low) - 1e-9 for a, b in pairwise(found))
    for number in wanted:
        near = any(abs(number - mark) <= gap * (high - low) for mark in found)
        assert near or not low <= number <= high


@given(st.floats(0, 1), st.floats(0, 1))
def test_any_accuracies_have_an_axis(first: float, second: float) -> None:
    """Everything between the ends is inside the frame, and more accurate is higher."""
    low, high = min(first, second), max(first, second)
    axes = Figure().subplots()
    set_accuracies(axes, low, high)
    bottom, top = axes.get_ylim()
    assert bottom <= low + 1e-9
    assert top >= high - 1e-9
    inside = np.linspace(low, high, 9)
    places = axes.transData.transform([(0, y) for y in inside])[:, 1]
    assert (np.diff(places) >= 0).all()
    assert high - low < 1e-9 or (np.diff(places) > 0).all()


@given(st.floats(-90, 0), st.floats(0, 90), st.floats(0.05, 5))
def test_any_differences_have_an_axis(low: float, high: float, usual: float) -> None:
    """0 is always in the frame, and so is everything between the ends."""
    axes = Figure().subplots()
    set_points(axes, low, high, usual)
    left, right = axes.get_xlim()
    assert left < min(low, 0) + 1e-9
    assert right > max(high, 0) - 1e-9
