"""What a `prune` run found, in words and in tables of text."""

from collections.abc import Callable
from dataclasses import replace

import fake_tickets as fake
import pytest
from fake_ticket_runs import LINES, record_of, write_named
from fake_tickets import ACCURACY, build_trained

from recursive_lth.report.table import Table
from recursive_lth.report.tickets_answer import find
from recursive_lth.report.tickets_record import TicketsRecord, read_tickets
from recursive_lth.report.tickets_table import (
    critical_table,
    density,
    levels_table,
    overlap_table,
    pairs_table,
)

TABLES: dict[str, Callable[[TicketsRecord], Table]] = {
    "levels": lambda record: levels_table(record.table),
    "pairs": lambda record: pairs_table(record.pairs),
    "overlap": lambda record: overlap_table(record.overlap),
    "critical": lambda record: critical_table(record.critical),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TicketsRecord]:
    """What the folders of all invented runs say."""
    out = tmp_path_factory.mktemp("runs")
    return {name: read_tickets(write_named(out, name)) for name in LINES}


def test_arms_are_held_against_each_other_at_one_density(
    records: dict[str, TicketsRecord],
) -> None:
    """Levels have numbers, densities are what is compared: arms of unlike levels are not mixed."""
    whole = records["arms"]
    arms = list(dict.fromkeys(row["arm"] for row in whole.table))
    table = [
        {**row, "density": row["density"] / 3} if row["arm"] == arms[0] and row["level"] else row
        for row in whole.table
    ]
    found = find(replace(whole, table=table, pairs=[], summary=None))
    assert arms[0] not in found.headline
    assert arms[0] not in found.explanation


@pytest.mark.parametrize(
    ("name", "headline", "sentence"),
    [
        (
            "controls",
            "At 3.5 % the ticket beats random re-initialisation by 1.99 points",
            "(95 % interval +1.77 to +2.20), ahead in 3 of 3 pairs. It beats a shuffled mask",
        ),
        ("arms", "At 0.10 % lamp does best: 82.24 % on test data", "5 lose a whole layer: all but"),
        ("arms", "At 0.10 % lamp does best", "is reached by synflow, lamp alone."),
        ("overlap", "At 3.1 % magnitude does best", "4 arms share 11.8 % of the connections"),
        (
            "transfer",
            "ticket of other_digits, trained elsewhere, beats random re-initialisation by",
            "On freshly drawn weights the mask of 6.3 % reaches",
        ),
    ],
)
def test_the_headline_is_the_answer(
    records: dict[str, TicketsRecord], name: str, headline: str, sentence: str
) -> None:
    found = find(records[name])
    assert headline in found.headline
    assert sentence in found.explanation


@pytest.mark.parametrize(
    ("gains", "verb"),
    [
        ([0.010, 0.011, 0.012], "beats random re-initialisation by 1.10 points"),
        ([-0.010, -0.011, -0.012], "falls behind random re-initialisation by 1.10 points"),
        ([0.010, -0.011, 0.012], "cannot be told from random re-initialisation"),
        ([0.010], "is ahead of random re-initialisation by 1.00 points"),
        ([-0.010], "is behind random re-initialisation by 1.00 points"),
    ],
)
def test_no_more_is_claimed_than_the_interval_allows(gains: list[float], verb: str) -> None:
    """A difference whose interval holds 0 is none; of one pair it is said that it is one."""
    lines = []
    for n, gain in enumerate(gains):
        lines.append(build_trained(n, 1, "ticket", 0.5, 0.9 + gain))
        lines.append(build_trained(n, 1, "reinit", 0.5, 0.9))
    found = find(record_of(lines))
    assert found.headline == f"At 50.0 % the ticket {verb}"
    assert ("one pair has no interval" in found.explanation) == (len(gains) == 1)


def test_arms_that_differ_by_less_than_their_spread_are_level() -> None:
    lines = [
        build_trained(n, level, "ticket", 0.1**level, 0.9 + fake.noise(n, arm) / 100, arm=arm)
        for n in range(3)
        for arm in ("end", "early")
        for level in (0, 1)
    ]
    found = find(record_of(lines))
    assert found.headline.startswith("At 10.0 %")
    assert found.headline.endswith("cannot be told apart")


def test_the_sparsest_ticket_as_good_as_dense_rests_on_as_many_replicates() -> None:
    """In an unfinished run a level that one lucky replicate has reached is not held against all."""
    lines = [build_trained(n, 0, "ticket", 1.0, 0.9) for n in range(2)]
    lines += [build_trained(n, 1, "ticket", 0.5, 0.91) for n in range(2)]
    lines += [build_trained(0, 2, "ticket", 0.25, 0.95)]
    lines += [build_trained(n, 1, "reinit", 0.5, 0.9) for n in range(2)]
    explanation = find(record_of(lines)).explanation
    assert "as accurate as the dense network (90.00 %) keeps 50.0 % of its weights" in explanation


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("table", TABLES)
def test_rows_are_as_long_as_their_headers(
    records: dict[str, TicketsRecord], name: str, table: str
) -> None:
    found = TABLES[table](records[name])
    assert all(len(row) == len(found.headers) for row in found.rows)


def test_tables_tell_the_networks(records: dict[str, TicketsRecord]) -> None:
    record = records["controls"]
    table = levels_table(record.table)
    row = dict(zip(table.headers, table.rows[-2], strict=True))
    assert row == {
        "network": "re-initialised",
        "level": "15",
        "density": "3.5 %",
        "weights": "9.37k",
        "test": "95.52 % ± 0.09",
        "test at early stop": "95.42 % ± 0.09",
        "validation": "95.70 % ± 0.09",
        "early stop": "6267",
        "n": "3",
        "training cost": "12.4 G",
        "cost of finding": "5.62 T",
    }
    pair = dict(zip((t := pairs_table(record.pairs)).headers, t.rows[0], strict=True))
    assert pair == {
        "against": "re-initialised",
        "level": "1",
        "density": "80.0 %",
        "points": "+0.05",
        "95 % interval": "−0.27 to +0.36",
        "ticket wins": "2 of 3",
    }


def test_columns_are_there_where_they_say_something(records: dict[str, TicketsRecord]) -> None:
    """Emptied layers and fresh weights have a column only in runs that have them."""
    headers = {name: levels_table(records[name].table).headers for name in LINES}
    assert [name for name in LINES if "layer empty" in headers[name]] == ["arms"]
    assert [name for name in LINES if "fresh weights" in headers[name]] == ["transfer"]
    arms = levels_table(records["arms"].table)
    emptied = {row[0] for row in arms.rows if row[arms.headers.index("layer empty")]}
    assert emptied == set(fake.COLLAPSED)


def test_critical_compressions_have_a_row_an_arm(records: dict[str, TicketsRecord]) -> None:
    table = critical_table(records["arms"].critical)
    rows = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    assert list(rows) == list(ACCURACY)
    most = rows["synflow"]["largest possible"]
    assert (rows["synflow"]["compression"], rows["synflow"]["range"]) == (most, "–")
    assert " to " in rows["magnitude"]["range"]


def test_densities_are_told_apart() -> None:
    known = {1: "100.0 %", 0.1: "10.0 %", 0.036: "3.6 %", 0.0099: "0.99 %", 0.001: "0.10 %"}
    assert {fraction: density(fraction) for fraction in known} == known
