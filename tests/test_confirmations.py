"""The table of confirmations, in the terminal and on the page, and runs that have none."""

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from fake_runs import Line, grow_mlp, write_run
from rich.console import Console

from recursive_lth.cli.show import as_json, print_tables
from recursive_lth.config import Acceptance
from recursive_lth.report.confirmations import HEADERS, confirmation_table
from recursive_lth.report.page import render
from recursive_lth.report.quantities import probability
from recursive_lth.report.record import read_run
from recursive_lth.search.confirmation import CHILD, PARENT, Confirmation, Scores, compare, left_out

RULE = Acceptance(rule="paired", margin=0.01)
LEVELS = {CHILD: 0.95, PARENT: 0.94, "reinit": 0.90, "shuffled_mask": 0.95, "trained_on": 0.96}


def confirmation() -> Confirmation:
    """A ticket a point ahead of its parent on five seeds; one control could not be made."""
    noise = np.array([0.002, -0.001, 0.0, 0.001, -0.002])
    found = {
        name: Scores(name, 10, tuple(level + k * noise), tuple(1 - level - k * noise))
        for k, (name, level) in enumerate(LEVELS.items())
    }
    against = compare(RULE, RULE.margin, found, 500, np.random.default_rng(0))
    reason = "a dense network has no other mask"
    return Confirmation("accuracy", 0.05, 0.01, 0.0, found[CHILD],
                        (*against, left_out("dense", reason)), 7, 8)  # fmt: skip


@pytest.fixture
def lines() -> list[Line]:
    """A run whose third ticket alone was confirmed, the first of them before there was such."""
    found = grow_mlp()
    found[2]["confirmation"], found[3]["confirmation"] = confirmation().to_dict(), None
    return found


def test_each_rival_has_a_row(lines: list[Line]) -> None:
    """In points and nats, with the p that counts: Holm's in the measure that decides."""
    table = confirmation_table(lines)
    assert all(len(row) == len(HEADERS) == len(table.headers) for row in table.rows)
    assert [row[:3] for row in table.rows] == [
        ["2", "its parent", "won"],
        ["2", "re-initialised", "won"],
        ["2", "shuffled mask", "tied"],
        ["2", "parent trained on", "lost"],
        ["2", "dense", "left out"],
    ]
    parent, reinit, *_, dense = table.rows
    assert parent[3] == "+1.00"
    assert re.fullmatch(r"\+0\.\d\d to \+1\.\d\d", parent[4])
    assert parent[7] == "+0.0100"
    assert parent[-1] == "5"
    controls = confirmation().against[1:4]
    assert reinit[5] == probability(controls[0].p_holm or 0.0)
    lost = controls[0].loss
    assert lost is not None
    assert reinit[9] == probability(lost.p)
    assert set(dense[3:]) == {"–"}


def test_page_terminal_and_json_show_it(lines: list[Line], tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "run", lines))
    page = render(record)
    assert "<h2>Confirmation</h2>" in page
    assert "parent trained on" in page
    assert page.count("against ") >= 4
    console = Console(record=True, width=200, file=StringIO())
    print_tables(console, record)
    text = console.export_text()
    assert "tickets against parents and controls, in pairs" in text
    assert "re-initialised" in text
    assert as_json(record)["tickets"][2]["confirmation"] == confirmation().to_dict()


def test_runs_without_confirmations_have_no_table(tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "run", grow_mlp()))
    assert confirmation_table(record.generations).rows == []
    assert "<h2>Confirmation</h2>" not in render(record)
