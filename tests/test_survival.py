"""Which weights survive: the figure and its table from the lineage alone, and old lineages."""

from pathlib import Path

import pytest
from fake_runs import Line, grow_mlp, write_run

from recursive_lth.report.page import render
from recursive_lth.report.record import RunRecord, read_run
from recursive_lth.report.survival import draw_survival, survival_table
from recursive_lth.report.table import certificate_table, describe_exchange, list_reasons


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    """A run that has grown by generations 2, 4, 6, 7; 3 and 5 were rejected."""
    return read_run(write_run(tmp_path / "run", grow_mlp()))


def as_before(lines: list[Line]) -> list[Line]:
    """The lines as they were before survivors were counted and certificates told of learning."""
    old = []
    for line in lines:
        plain = {key: value for key, value in line.items() if key != "survivors"}
        if line["growth"]:
            gone = {"born_weights", "left_weights"}
            plain["growth"] = {k: v for k, v in line["growth"].items() if k not in gone}
            gone = {"loss_change", "new_gradient", "next_step", "reason"}
            plain["certificate"] = {k: v for k, v in line["certificate"].items() if k not in gone}
        old.append(plain)
    return old


def test_each_generation_that_brought_weights_has_a_row(record: RunRecord) -> None:
    """The dense start and each accepted growth; shares of the last ticket sum to all of it."""
    table = survival_table(record)
    assert [row[0] for row in table.rows] == ["0", "2", "4", "6", "7"]
    assert all(len(row) == len(table.headers) for row in table.rows)
    last = record.generations[7]["survivors"]
    fourth = dict(zip(table.headers, table.rows[2], strict=True))
    assert fourth == {
        "born in": "4",
        "by": "deepen at fc2",
        "at birth": "900",
        "in its ticket": str(record.generations[4]["survivors"]["4"]),
        "in the last ticket": str(last["4"]),
        "survived": f"{100 * last['4'] / 900:.1f} %",
        "share of the last ticket": f"{100 * last['4'] / sum(last.values()):.1f} %",
    }
    shares = [float(row[-1].removesuffix(" %")) for row in table.rows]
    assert sum(shares) == pytest.approx(100, abs=0.3)


def test_the_figure_has_a_bar_for_each_accepted_ticket(record: RunRecord) -> None:
    """Each is as high as the others, and its parts are as high as their shares."""
    svg = draw_survival(record)
    assert svg is not None
    assert svg.count("<text") >= 6 * 2
    assert "0: 100 %" in svg
    page = render(record)
    assert "Which weights survive" in page
    assert ">at birth</th>" in page


def test_births_of_which_nothing_is_left_are_told(tmp_path: Path) -> None:
    """A generation whose weights have all been pruned keeps its row."""
    lines = grow_mlp()
    gone = lines[7]["survivors"].pop("4")
    lines[7]["survivors"]["7"] += gone
    table = survival_table(read_run(write_run(tmp_path / "run", lines)))
    assert table.rows[2][4:] == ["0", "0.0 %", "0.0 %"]


def test_a_lineage_of_an_earlier_version_has_a_page(tmp_path: Path) -> None:
    """Without survivors there is no figure of them; unknown numbers of certificates are blank."""
    record = read_run(write_run(tmp_path / "run", as_before(grow_mlp())))
    assert draw_survival(record) is None
    assert survival_table(record).rows == []
    assert all(row[-3:] == ["–", "–", "–"] for row in certificate_table(record.generations).rows)
    assert set(list_reasons(record.generations)) == {""}
    assert describe_exchange(record.generations[2]) == ""
    assert "Which weights survive" not in render(record)


def test_certificates_tell_what_there_is_to_learn(record: RunRecord) -> None:
    """The change of the loss with its sign; why a growth claims nothing stands below its row."""
    table = certificate_table(record.generations)
    assert all(len(row) == len(table.headers) for row in table.rows)
    assert [row[7:] for row in table.rows[1:3]] == [
        ["0", "8.0e-01", "2.0e-02"],
        ["−1.3e-02", "8.0e-01", "2.0e-02"],
    ]
    assert list_reasons(record.generations) == ["", "", "random changes it", "", "", ""]
    assert render(record).count("random changes it") == 1


def test_an_exchange_is_told() -> None:
    """New weights; those that paid for them; and what a re-wiring brought back."""
    growth = {"operator": "widen", "born_weights": 1200, "left_weights": 0}
    assert describe_exchange({"growth": growth}) == "1.20k new weights"
    growth |= {"left_weights": 80}
    assert describe_exchange({"growth": growth}) == "1.20k new weights, 80 left to pay for them"
    growth |= {"operator": "rewire", "born_weights": 80}
    assert describe_exchange({"growth": growth}) == "80 weights returned, 80 left"
    assert describe_exchange({"growth": None}) == ""
