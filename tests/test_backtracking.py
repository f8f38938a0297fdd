"""After rejected tickets in a row growth goes on from the best earlier one that is not spent."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import Stop, bench_of, invented, run, small, stopping, timeless, whole

from recursive_lth.config import Acceptance
from recursive_lth.errors import InputError
from recursive_lth.running.stages import Stages
from recursive_lth.search import turn as module
from recursive_lth.search.acceptance import Verdict
from recursive_lth.search.check import check_backtracking
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import next_parent
from recursive_lth.search.population import still_wanted

FIXED = ("growth.policy=fixed", 'growth.schedule=[{operator="widen", ratio=0.5}]')


def line_of(*turns: tuple[bool, float]) -> list[Generation]:
    """The start, of accuracy 1, and after it tickets: accepted or not, of such accuracy."""
    return [invented(0, val_accuracy=1.0)] + [
        invented(n, accepted=accepted, val_accuracy=accuracy)
        for n, (accepted, accuracy) in enumerate(turns, start=1)
    ]


def parents(line: Sequence[Generation], backtrack: int) -> list[int]:
    """From which generation each grows, the one after the last too."""
    return [next_parent(line[:n], backtrack).generation for n in range(1, len(line) + 1)]


def test_it_goes_back_to_the_best_that_is_not_spent() -> None:
    """2 is best, 3 is tried twice in vain, so 4 and 5 lead back to 2; then 1 is all that is left.

    After that nothing is: growth goes on from 1, whose growths may turn out well yet.
    """
    line = line_of((True, 0.7), (True, 0.9), (True, 0.8), *[(False, 0.99)] * 8)
    assert parents(line, 2) == [0, 1, 2, 3, 3, 2, 2, 1, 1, 1, 1, 1]
    assert parents(line, 0) == [0, 1, 2, *[3] * 9]


def test_an_accepted_child_is_gone_on_from_and_its_parent_is_not_spent() -> None:
    """4 grew from 2 after 3 was spent; 4 spent, it is 2's turn once more, for 2 had a child."""
    line = line_of((True, 0.7), (True, 0.9), (True, 0.8), (False, 0.0), (True, 0.85), (False, 0.0))
    assert parents(line, 1) == [0, 1, 2, 3, 2, 5, 2]


def test_calibrated_loss_breaks_ties() -> None:
    line = line_of((True, 0.8), (True, 0.8), (True, 0.8), (False, 0.0))
    line[1] = invented(1, val_accuracy=0.8, val_calibrated_loss=0.2)
    assert next_parent(line, 1).generation == 1


def test_before_anything_has_won_there_is_nowhere_to_go() -> None:
    """The dense start is no ticket: it is not gone back to, and stays where nothing else is."""
    assert parents(line_of(*[(False, 0.9)] * 4), 2) == [0] * 5
    assert parents(line_of((True, 0.5), *[(False, 0.9)] * 4), 2) == [0, 1, 1, 1, 1, 1]


def by_hand(line: Sequence[Generation], backtrack: int) -> list[Generation]:
    """The slow twin: each generation's parent from the parents of those before it."""
    grown_from = [line[0]]
    for n in range(1, len(line)):
        turn = line[n]
        if turn.accepted:
            grown_from.append(turn)
            continue
        spent = {
            grown_from[k].digest
            for k in range(n)
            if [t.accepted for t in line[k + 1 : k + 1 + backtrack]] == [False] * backtrack
            and n >= k + backtrack
            and all(grown_from[j] is grown_from[k] for j in range(k, k + backtrack))
            and (k == 0 or grown_from[k - 1] is not grown_from[k])
        }
        here = grown_from[-1]
        left = [t for t in line[1 : n + 1] if t.accepted and t.digest not in spent]
        if here.digest in spent and left:
            here = max(left, key=lambda t: (t.val_accuracy, -t.val_calibrated_loss))
        grown_from.append(here)
    return grown_from


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from((0.5, 0.6, 0.7, 0.8))), max_size=12),
    st.integers(1, 3),
)
def test_parents_are_those_of_the_twin(turns: list[tuple[bool, float]], backtrack: int) -> None:
    """And each is an accepted ticket, or the start while nothing has won."""
    line = line_of(*turns)
    found = [next_parent(line[:n], backtrack) for n in range(1, len(line) + 1)]
    assert [t.generation for t in found] == [t.generation for t in by_hand(line, backtrack)]
    for n, turn in enumerate(found, start=1):
        assert turn.accepted
        assert turn in line[:n]
        assert turn.digest in still_wanted(line[:n], Acceptance(backtrack=backtrack))
        assert still_wanted(line[:n], Acceptance()) == {next_parent(line[:n]).digest}


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets 1 to 3 are accepted, and 6."""

    def accept(rule: Any, line: Sequence[Generation], *_: Any, **__: int) -> Verdict:
        return Verdict(len(line) in {1, 2, 3, 6}, "as the test says")

    monkeypatch.setattr(module, "accept", accept)


@pytest.mark.usefixtures("verdicts")
@pytest.mark.parametrize("optimizer", ["reset", "carry"])
def test_a_run_goes_back_and_on(optimizer: str, tmp_path: Path) -> None:
    """It grows what the lineage says, with that ticket's own optimizer where one is carried."""
    settings = ("acceptance.backtrack=2", "budget.generations=7", f"growth.optimizer={optimizer}")
    turns = whole(bench_of(small(*FIXED, *settings), tmp_path))
    line = [turn for turn, _ in turns]
    tickets = {turn.digest: ticket for turn, ticket in turns}
    for n in range(1, len(line)):
        parent = next_parent(line[:n], 2)
        assert line[n].parent == parent.digest
        grown = 0 if n == 1 else 3 if parent.widths["fc1"] == 6 else None
        if grown is not None:
            assert line[n].widths["fc1"] == parent.widths["fc1"] + grown
        assert tickets[line[n].digest].parent == parent.digest
    went_back = line[6].parent
    assert went_back in {line[1].digest, line[2].digest}
    assert line[7].parent == line[6].digest


@pytest.mark.usefixtures("verdicts")
def test_killed_and_resumed_it_goes_back_to_the_same(tmp_path: Path) -> None:
    """With the optimizers of earlier tickets, which a run without backtracking would drop."""
    settings = ("acceptance.backtrack=2", "budget.generations=7", "growth.optimizer=carry")
    experiment = small(*FIXED, *settings)
    alone, stops = timeless(run(experiment, tmp_path / "alone")), 0
    for attempt in range(60):
        try:
            with stopping(os, "replace", 6 + attempt):
                folder = run(experiment, tmp_path / "stopped")
            break
        except Stop:
            stops += 1
    assert stops >= 5
    assert timeless(folder) == alone


def test_states_that_are_wanted_yet_are_kept(tmp_path: Path) -> None:
    """Others go as soon as one is read."""
    stages = Stages(tmp_path / "stages")
    for name in ("one", "two", "three"):
        stages.pass_on(name, {})
    stages.passed_on("three", wanted={"one", "never"})
    assert sorted(path.stem for path in tmp_path.glob("*/*")) == ["one", "three"]
    stages.passed_on("one")
    assert [path.stem for path in tmp_path.glob("*/*")] == ["one"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("budget.patience=2", "budget.patience=2 ends the run before acceptance.backtrack=2"),
        ("growth.policy=never", "growth.policy=never does not: set acceptance.backtrack=0"),
    ],
)
def test_what_could_never_go_back_is_refused(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_backtracking(small("acceptance.backtrack=2", setting))
    check_backtracking(small(setting))
    check_backtracking(small("acceptance.backtrack=2", "budget.patience=3"))
