"""Growths that follow each other before anything is pruned, and what a lineage makes of them."""

from itertools import pairwise
from pathlib import Path

import pytest
from search_runs import bench_of, invented, rows_of, run, small, timeless, whole

from recursive_lth.config import Experiment
from recursive_lth.errors import InputError
from recursive_lth.report.page import write_report
from recursive_lth.report.table import describe_growth, lineage_table
from recursive_lth.search.check import check_growth
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


def test_a_plan_has_pruning_where_a_run_has() -> None:
    """Pruning takes an epoch a round: one from one and a half times the target, two from 2.25."""
    start = start_architecture(experiment_of(1), (1, 8, 8), 10)
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
