"""The report of a population: who lived when, the front, and the tree of several parents."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import invented, small

from recursive_lth import api
from recursive_lth.report import page
from recursive_lth.report.descent import assign_heights, bridged, lasting_lines, place_winners
from recursive_lth.report.figures import draw_figures
from recursive_lth.report.page import render
from recursive_lth.report.population import (
    MOST_DRAWN,
    Life,
    lives_drawn,
    living_table,
    most_alive,
    read_lives,
)
from recursive_lth.report.population_drawing import draw_lives, draw_population, front_of
from recursive_lth.report.record import RunRecord, read_run
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import undominated
from recursive_lth.search.population import alive

SETTINGS = ("acceptance.rule=front", "acceptance.population=3", "budget.generations=6")
points = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=9)


def record_of(line: Sequence[Generation], most: int) -> RunRecord:
    """The record of a run with a population that has come so far."""
    experiment = {"acceptance": {"population": most}}
    return RunRecord(Path("run"), experiment, [turn.to_dict() for turn in line], [], None)


def line_of(found: Sequence[tuple[int, int]]) -> list[Generation]:
    """A start and winning tickets of these tenths of accuracy and tens of weights."""
    turns = [
        invented(n, val_accuracy=a / 10, remaining_weights=10 * w)
        for n, (a, w) in enumerate(found, start=1)
    ]
    return [invented(0, val_accuracy=0.5, remaining_weights=100), *turns]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A tiny run with three lineages on digits."""
    out = tmp_path_factory.mktemp("population")
    experiment = small(*SETTINGS)
    list(api.grow(experiment, out=out, device="cpu"))
    return read_run(api.run_folder(experiment, out))


def test_every_parent_was_alive_when_it_had_its_child(run: RunRecord) -> None:
    """What the page reads off the lineage is what the search went by."""
    lives = {life.line["digest"]: life for life in read_lives(run)}
    grown = [line for line in run.generations if line["generation"] > 1]
    assert len({line["parent"] for line in grown}) > 1
    for line in grown:
        before = line["generation"] - 1
        if line["parent"] in lives:
            life = lives[line["parent"]]
            assert any(first <= before <= last for first, last in life.spans)
            assert line in life.children
    for n in range(len(run.generations)):
        living = [life for life in lives.values() if any(a <= n <= b for a, b in life.spans)]
        assert len(living) <= 3


def test_the_page_shows_the_population_and_its_descent(run: RunRecord) -> None:
    text, figures = render(run), draw_figures(run, read_lives(run))
    assert "at most 3 are alive" in text
    assert "<h2>Population</h2>" in text
    assert {"population", "lives", "descent"} <= set(figures)
    assert "tree" not in figures
    for life in read_lives(run):
        assert life.name in figures["lives"]
        assert f">{life.line['generation']} · {life.line['operator']}<" in figures["descent"]
        alive_now = f">{life.line['generation']}<" in figures["population"]
        assert alive_now == life.is_alive
    assert "are left out" not in text
    living = [life for life in read_lives(run) if life.is_alive]
    assert [row[0] for row in living_table(run, living).rows] == [
        str(life.line["generation"])
        for life in sorted(living, key=lambda life: -life.line["val_accuracy"])
    ]


def test_a_single_lineage_has_none_of_it(run: RunRecord, tmp_path: Path) -> None:
    """The same run under another experiment keeps its one tree; so does one of earlier versions."""
    for experiment in (run.experiment | {"acceptance": {"population": 1}}, {}):
        alone = RunRecord(run.folder, experiment, run.generations, run.metrics, run.summary)
        assert most_alive(alone) == 1
        figures = draw_figures(alone, read_lives(alone))
        assert "tree" in figures
        assert not {"population", "lives", "descent"} & set(figures)
        assert "<h2>Population</h2>" not in render(alone)


def test_before_a_ticket_has_won_there_is_the_start_alone() -> None:
    refused = invented(1, accepted=False)
    record = record_of([invented(0), refused], 3)
    assert draw_population(record, []) is None
    assert draw_lives(record, []) is None
    assert read_lives(record) == []
    assert ">0 · start<" in draw_figures(record, [])["descent"]
    assert "<h2>Population</h2>" not in render(record)


def test_who_is_crowded_out_may_return() -> None:
    """Of four on the front, three live: the third found leaves for the fourth, whose neighbours are
    further off, and returns once the fifth has beaten that and the first."""
    line = line_of([(9, 9), (1, 1), (4, 4), (6, 5), (9, 5)])
    lives = read_lives(record_of(line, 3))
    spans = [life.spans for life in lives]
    assert spans == [((1, 4),), ((2, 5),), ((3, 3), (5, 5)), ((4, 4),), ((5, 5),)]
    assert [life.is_alive for life in lives] == [False, True, True, False, True]


@given(points, st.integers(2, 5))
def test_who_is_alive_is_who_the_search_would_choose_from(
    found: list[tuple[int, int]], most: int
) -> None:
    """At every moment, from all tickets until then; the page carries their front along."""
    line = line_of(found)
    lives = read_lives(record_of(line, most))
    for n in range(1, len(line)):
        living = {life.line["digest"] for life in lives for a, b in life.spans if a <= n <= b}
        assert living == {turn.digest for turn in alive(line[: n + 1], most)}


@given(points)
def test_the_steps_are_the_front(found: list[tuple[int, int]]) -> None:
    """All that no other winner beats, each size once."""
    lives = read_lives(record_of(line_of(found), 9))
    merits = [(life.line["val_accuracy"], -life.line["remaining_weights"]) for life in lives]
    expected = {(-merits[i][1], merits[i][0]) for i in undominated(merits)}
    edge = front_of(lives)
    assert set(edge) == expected
    assert edge == sorted(edge)


@given(st.lists(st.integers(0, 100), max_size=30), st.sets(st.integers(0, 30)))
def test_no_two_share_a_place_and_children_stand_below(draws: list[int], living: set[int]) -> None:
    """For any tree: n's parent is drawn among all before it."""
    turns = [invented(0)]
    for n, draw in enumerate(draws, start=1):
        turns.append(invented(n, parent=f"t{draw % n}"))
    shown = [Life(turn.to_dict(), (), (), turn.generation in living) for turn in turns]
    lasting = lasting_lines(shown)
    places = place_winners(shown, lasting)
    assert len(set(places.values())) == len(turns) == len(places)
    assert places["t0"] == (0, 0)
    for turn in turns[1:]:
        column, row = places[turn.digest]
        above, higher = places[turn.parent]
        assert row == higher + 1
        assert column >= above
    edges = [(turn.parent, turn.digest) for turn in turns[1:]]
    heights = assign_heights(edges, places)
    across = {(places[p][1], heights[p]): p for p, c in edges if places[p][0] != places[c][0]}
    assert len(across) == len({p for p, c in edges if places[p][0] != places[c][0]})
    assert all(0 < height < 1 for height in heights.values())
    for digest in lasting - {"t0"}:
        parent = turns[int(digest[1:])].parent
        assert parent in lasting
    assert {f"t{n}" for n in living if n <= len(draws)} <= lasting


def test_of_many_lives_some_are_drawn_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ticket 1 is the smallest and lives on; from ticket 2 on each is beaten by its child.

    The lives are read once for the whole page.
    """
    small = invented(1, val_accuracy=0.6, remaining_weights=10, parent="t0")
    chain = [
        invented(n, val_accuracy=0.6 + n / 1000, remaining_weights=50, parent=f"t{n - 1}")
        for n in range(2, 61)
    ]
    record = record_of([invented(0, val_accuracy=0.5, remaining_weights=100), small, *chain], 3)
    read: list[RunRecord] = []

    def counted(record: RunRecord) -> list[Life]:
        read.append(record)
        return read_lives(record)

    monkeypatch.setattr(page, "read_lives", counted)
    text, lives = render(record), read_lives(record)
    assert read == [record]
    shown = [life.line["generation"] for life in lives_drawn(lives)]
    assert shown == [1, *range(22, 61)]
    assert len(shown) == MOST_DRAWN
    assert "40 are shown, the living first and then the latest; 20 are left out" in text
    assert "so do 20 that won" in text
    figures = draw_figures(record, lives)
    for life in lives:
        is_shown = life.line["generation"] in shown
        assert (life.name in figures["lives"]) == is_shown
        box = f">{life.line['generation']} · {life.line['operator']}<"
        assert (box in figures["descent"]) == is_shown


@given(st.lists(st.integers(0, 100), max_size=30), st.sets(st.integers(1, 30)))
def test_who_is_left_out_is_bridged(draws: list[int], kept: set[int]) -> None:
    """For any tree: the way up from a kept ticket passes the same kept ones as before."""
    turns = [invented(n, parent=f"t{draw % n}") for n, draw in enumerate(draws, start=1)]
    lives = [Life(turn.to_dict(), (), (), True) for turn in turns]
    some = [life for life in lives if life.line["generation"] in kept]
    found = bridged(some, lives)

    def way(those: Sequence[Life], digest: str) -> list[str]:
        parents = {life.line["digest"]: life.line["parent"] for life in those}
        path = [digest]
        while path[-1] in parents:
            path.append(parents[path[-1]])
        return path

    there = {"t0", *(life.line["digest"] for life in some)}
    for life in found:
        digest = life.line["digest"]
        assert way(found, digest) == [name for name in way(lives, digest) if name in there]
    assert bridged(lives, lives) == lives


def test_a_collapsed_ticket_flattens_nothing() -> None:
    """It is marked at the foot; the accuracies at the axis stay those of the winners."""
    line = line_of([(9, 9), (8, 5)])
    collapsed = invented(3, val_accuracy=0.01, remaining_weights=50, accepted=False, parent="t2")
    near = invented(3, val_accuracy=0.75, remaining_weights=50, accepted=False, parent="t2")
    records = [record_of([*line, last], 3) for last in (collapsed, near)]
    drawn = [draw_population(record, read_lives(record)) or "" for record in records]
    marks = [re.findall(r">(\d+ %)<", svg) for svg in drawn]
    assert marks[0] == marks[1]
    assert {"80 %", "90 %"} < set(marks[0])
