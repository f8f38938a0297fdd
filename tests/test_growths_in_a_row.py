"""Growths that follow each other before anything is pruned, and what a lineage makes of them."""

from itertools import pairwise
from pathlib import Path

import pytest
from search_runs import bench_of, invented, rows_of, run, small, timeless, whole

from recursive_lth.config import Experiment
from recursive_lth.errors import InputError
from recursive_lth.report.page import write_report
from recursive_lth.report.population import read_lives
from recursive_lth.report.record import read_run
from recursive_lth.report.table import describe_growth, lineage_table
from recursive_lth.search.check import check_growth
from recursive_lth.search.controller import stop_reason
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import next_parent, rejected_in_a_row, tickets
from recursive_lth.search.plan import planned_epochs, start_architecture
from recursive_lth.search.population import parent_of, still_wanted

WIDER = ("growth.policy=fixed", 'growth.schedule=[{operator="widen", ratio=0.5}]')
ROWS = {1: [], 2: [2, 4], 3: [2, 3], 99: [2, 3, 4]}  # in a row: the generations that grow on


def experiment_of(in_a_row: int, *settings: str) -> Experiment:
    return small(*WIDER, f"growth.in_a_row={in_a_row}", "budget.generations=5", *settings)


@pytest.mark.parametrize("in_a_row", ROWS)
def test_what_grows_on_is_not_pruned_and_the_next_grows_from_it(
    in_a_row: int, tmp_path: Path
) -> None:
    """Widths grow by half from one to the next; of pruned ones .4 remain, as the target has it."""
    line = [turn for turn, _ in whole(bench_of(experiment_of(in_a_row), tmp_path))]
    assert [turn.generation for turn in line if turn.grows_on] == ROWS[in_a_row]
    for before, turn in pairwise(line[1:]):
        assert turn.parent == before.digest  # margin 1: all that are judged are accepted
        assert turn.widths["fc1"] == before.widths["fc1"] + round(before.widths["fc1"] / 2)
        grown = before.remaining_weights + turn.weights - before.weights
        assert turn.remaining_weights == grown if turn.grows_on else turn.density < 0.405
        assert turn.accepted is not turn.grows_on
        assert ("grows on" in turn.verdict) is turn.grows_on
    assert [turn.generation for turn in tickets(line)] == [
        n for n in range(1, 6) if n not in ROWS[in_a_row]
    ]


@pytest.mark.parametrize(
    "settings",
    [
        ("growth.optimizer=carry",),
        ("growth.optimizer=carry", "acceptance.max_density=0.01"),
        ("acceptance.rule=front", "acceptance.population=2"),
        ("acceptance.margin=0", "acceptance.backtrack=1"),
    ],
)
def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_bytes(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Between two growths of a row as well: optimizer, parents and verdicts come from the files."""
    experiment = small("growth.in_a_row=2", "budget.generations=5", *settings)
    once = timeless(run(experiment, tmp_path / "once"))
    for stop in (3, 4):
        run(experiment, tmp_path / f"{stop}", generations=stop)
        assert timeless(run(experiment, tmp_path / f"{stop}")) == once


def line_of(*kinds: str) -> list[Generation]:
    """The start and after it tickets: accepted, rejected, or one that grows on."""
    return [invented(0)] + [
        invented(n, accepted=kind == "accepted", grows_on=kind == "grows on")
        for n, kind in enumerate(kinds, start=1)
    ]


def test_a_row_is_gone_on_with_and_given_up_as_a_whole() -> None:
    """3 grows from 2, 4 from 3; once 4 is rejected the next grows from 1, the last accepted."""
    line = line_of("accepted", "grows on", "grows on", "rejected", "grows on", "accepted")
    rule = experiment_of(3).acceptance
    assert [parent_of(rule, line[:n]).generation for n in range(1, 8)] == [0, 1, 2, 3, 1, 5, 6]
    assert still_wanted(line[:3], rule) == {"t2", "t1"}
    assert [rejected_in_a_row(line[:n]) for n in range(1, 8)] == [0, 0, 0, 0, 1, 1, 0]
    assert next_parent(line[:6], 1).generation == 1  # what grows on is no miss


def test_pairs_need_a_parent_that_was_pruned() -> None:
    experiment = experiment_of(2, "acceptance.rule=paired")
    with pytest.raises(InputError, match=r"growth\.in_a_row=2 leaves unpruned.*in_a_row=1"):
        check_growth(experiment, start_architecture(experiment, (1, 8, 8), 10))
    with pytest.raises(InputError, match=r"growth\.in_a_row must be"):
        experiment_of(0)


def test_a_quarantine_lasts_until_there_is_pruning() -> None:
    """One of fewer generations would protect the last growth of a row from those before it."""
    start = start_architecture(experiment_of(3), (1, 8, 8), 10)
    with pytest.raises(InputError, match=r"quarantine=2 is over .* set it to 3 at least"):
        check_growth(experiment_of(3, "pruning.quarantine=2"), start)
    check_growth(experiment_of(3, "pruning.quarantine=3"), start)


def test_a_budget_that_ends_in_a_row_says_so() -> None:
    line = line_of("accepted", "grows on")
    costly = small("budget.multiply_adds=1", "budget.generations=9")
    assert stop_reason(costly, line).endswith("is spent, before what grows on was pruned")
    assert stop_reason(costly, line[:2]).endswith("is spent")
    assert stop_reason(small("budget.generations=9"), line) == ""


def test_a_population_s_page_knows_the_tickets_that_rows_began_from(tmp_path: Path) -> None:
    """Children hang on tickets, with their rows between left out."""
    settings = ("acceptance.rule=front", "acceptance.population=3", "budget.generations=7")
    folder = run(small("growth.in_a_row=2", *settings), tmp_path)
    record = read_run(folder)
    lives, lines = read_lives(record), {line["digest"]: line for line in record.generations}
    assert lives
    for life in lives:
        assert life.spans[0][0] == life.line["generation"]
        for child in life.children:
            between = lines[lines[child["digest"]]["parent"]]
            assert between["grows_on"]
            assert between["parent"] == life.line["digest"]
            assert not child["grows_on"]
    judged = [line for line in record.generations[2:] if not line["grows_on"]]
    first = [
        child for child in judged if lines[child["parent"]]["parent"] == lives[0].line["digest"]
    ]
    assert [child["digest"] for child in lives[0].children] == [c["digest"] for c in first]
    assert "grows on" in write_report(folder).read_text("utf-8")


def test_a_plan_has_pruning_where_a_run_has() -> None:
    """A round takes an epoch: one for 1.5 times the target, two for 2.25 times."""
    start = start_architecture(experiment_of(1), (1, 8, 8), 10)
    assert planned_epochs(experiment_of(4), start) == [3, 2, 1, 1, 1, 1 + 3]
    assert planned_epochs(experiment_of(3), start) == [3, 2, 1, 1, 1 + 2, 1 + 1]
    assert planned_epochs(experiment_of(5000), start) == [3, 2, 1, 1, 1, 1 + 3]
    endless = experiment_of(5000, "budget.generations=9000")
    assert len(planned_epochs(endless, start)) == 9001
    assert planned_epochs(experiment_of(1), start) == [3, 2, *[1 + 1] * 4]
    assert planned_epochs(experiment_of(2), start) == [3, 2, 1, 1 + 2, 1, 1 + 2]


def test_the_lineage_s_file_says_so(tmp_path: Path) -> None:
    """And a line of before, which does not, is of one that was judged."""
    folder = run(experiment_of(2), tmp_path)
    rows, page = rows_of(folder / "lineage.jsonl"), write_report(folder).read_text("utf-8")
    assert page.count('<span class="badge">grows on</span>') == 2
    assert "rejected</span>" not in page
    assert "was not judged: it grew on" in page
    assert [row["grows_on"] for row in rows] == [False, False, True, False, True, False]
    assert [cells[-1] for cells in lineage_table(rows).rows[1:4]] == ["yes", "grows on", "yes"]
    assert describe_growth(rows[2] | {"growth": None}) == "trained on"
    old = {name: value for name, value in rows[1].items() if name != "grows_on"}
    assert not Generation.from_dict(old).grows_on
