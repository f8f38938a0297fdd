"""Several lineages alive: who is, who is next, and how much of the plane their front covers."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import bench_of, invented, small, whole

from recursive_lth.config import Acceptance
from recursive_lth.errors import InputError
from recursive_lth.search.acceptance import accept
from recursive_lth.search.generation import Generation
from recursive_lth.search.population import alive, hypervolume, is_on_front, parent_in_turn

FRONT = Acceptance(rule="front", population=3)
points = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=9)


def line_of(found: list[tuple[int, int]]) -> list[Generation]:
    """A start and winning tickets of these tenths of accuracy and tens of weights."""
    turns = [
        invented(n, val_accuracy=a / 10, remaining_weights=10 * w, accepted=True)
        for n, (a, w) in enumerate(found, start=1)
    ]
    return [invented(0, val_accuracy=0.5, remaining_weights=100, accepted=True), *turns]


@given(points, st.integers(1, 5))
def test_the_living_are_on_the_front_and_so_many(found: list[tuple[int, int]], most: int) -> None:
    """Nobody beats them, no two are equal, the most accurate lives, and the smallest with two."""
    line = line_of(found)
    living = alive(line, most)
    merits = [(turn.val_accuracy, -turn.remaining_weights) for turn in line[1:]]
    assert 1 <= len(living) <= most
    mine = [(turn.val_accuracy, -turn.remaining_weights) for turn in living]
    assert len(set(mine)) == len(mine)
    for accuracy, size in mine:
        assert not any(a >= accuracy and s >= size and (a, s) != (accuracy, size)
                       for a, s in merits)  # fmt: skip
    assert living[0].val_accuracy == max(a for a, _ in merits)
    if most > 1 and len(alive(line, 99)) > 1:
        assert living[-1].remaining_weights == min(turn.remaining_weights for turn in line[1:])


def test_parents_come_in_turn() -> None:
    """The fewest children first, then the latest; the start before any ticket has won."""
    line = line_of([(9, 9), (5, 2)])
    assert parent_in_turn(line[:1], 2).generation == 0
    line[2] = invented(2, parent="t1", val_accuracy=0.5, remaining_weights=20, accepted=True)
    assert parent_in_turn(line, 2).generation == 2
    line.append(invented(3, parent="t2", accepted=False))
    assert parent_in_turn(line, 2).generation == 2  # one child each: the later one
    line.append(invented(4, parent="t2", accepted=False))
    assert parent_in_turn(line, 2).generation == 1


def test_the_front_decides() -> None:
    line = line_of([(8, 4)])
    for accuracy, weights, expected in ((0.8, 40, True), (0.7, 40, False), (0.7, 30, True)):
        assert is_on_front(line, accuracy, weights) == expected
        assert accept(FRONT, line, accuracy, 0.2, weights=weights).accepted == expected
    assert "behind the front" in accept(FRONT, line, 0.1, 0.2, weights=50).words


@given(points)
def test_hypervolume_is_the_area_counted_cell_by_cell(found: list[tuple[int, int]]) -> None:
    """Weights 10^w: cells of a tenth of accuracy by a tenth of the size."""
    turns = [
        invented(n, val_accuracy=a / 10, remaining_weights=10**w, accepted=True)
        for n, (a, w) in enumerate(found, start=1)
    ]
    cells = {(x, y) for a, w in found for x in range(a) for y in range(w, 8)}
    line = [invented(0, accepted=True), *turns]
    assert hypervolume(line, (0.0, 1e8)) == pytest.approx(len(cells) / 10)


def test_a_run_keeps_several_lineages(tmp_path: Path) -> None:
    """Every parent was alive when it was chosen, and more than one has had children."""
    experiment = small("acceptance.rule=front", "acceptance.population=3", "budget.generations=6")
    line = [turn for turn, _ in whole(bench_of(experiment, tmp_path))]
    for n in range(2, len(line)):
        assert line[n].parent == parent_in_turn(line[:n], 3).digest
    assert len({turn.parent for turn in line[2:]}) > 1


def test_a_population_needs_the_front() -> None:
    with pytest.raises(InputError, match=r"acceptance\.rule=front"):
        Acceptance(population=2)
