"""The lineage as a tree: parents, the best, the front, and where growth goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import bench_of, invented, small, whole

from recursive_lth.search.controller import generations
from recursive_lth.search.generation import Generation
from recursive_lth.search.judging import choose
from recursive_lth.search.lineage import (
    ancestors,
    best,
    front,
    next_parent,
    rejected_in_a_row,
    tickets,
    tree,
)
from recursive_lth.search.policies.catalogue import POLICIES
from recursive_lth.search.policies.past import Past, Proposal

# 2 was rejected, so 3 grows from 1; 4 was rejected
BRANCHED = [
    invented(0),
    invented(1),
    invented(2, accepted=False),
    invented(3, parent="t1"),
    invented(4, accepted=False),
]


@st.composite
def lineages(draw: st.DrawFn) -> list[Generation]:
    """Lineages after the start network, with few distinct merits so that ties are common."""
    merits = st.tuples(
        st.sampled_from((0.5, 0.75, 1.0)),
        st.sampled_from((10, 20, 30)),
        st.integers(2, 4),
        st.sampled_from((0.25, 0.5)),
        st.booleans(),
    )
    start = invented(0, val_accuracy=1.0, remaining_weights=1, depth=9)
    return [start] + [
        invented(
            number,
            val_accuracy=accuracy,
            remaining_weights=weights,
            depth=depth,
            val_calibrated_loss=loss,
            accepted=accepted,
        )
        for number, (accuracy, weights, depth, loss, accepted) in enumerate(
            draw(st.lists(merits, max_size=8)), start=1
        )
    ]


def dominates(one: Generation, other: Generation) -> bool:
    """At least as good in everything, better in something; written out."""
    is_no_worse = (
        one.val_accuracy >= other.val_accuracy
        and one.remaining_weights <= other.remaining_weights
        and one.depth >= other.depth
    )
    return is_no_worse and (
        one.val_accuracy > other.val_accuracy
        or one.remaining_weights < other.remaining_weights
        or one.depth > other.depth
    )


@given(lineages())
def test_the_front_is_what_no_winning_ticket_dominates(lineage: list[Generation]) -> None:
    """On the front: not dominated by any; off it: dominated by one that is on it."""
    found = front(lineage)
    winning = [turn for turn in lineage[1:] if turn.accepted]
    assert not any(dominates(a, b) for a in winning for b in found)
    for turn in winning:
        assert turn in found or any(dominates(a, turn) for a in found)
    assert all(turn in winning for turn in found)
    assert bool(found) == bool(winning)


@given(lineages())
def test_the_best_has_most_accuracy_then_least_loss(lineage: list[Generation]) -> None:
    """Never the dense start and never a rejected one, however good; None where no other is."""
    winning = [turn for turn in lineage[1:] if turn.accepted]
    found = best(lineage)
    if found is None:
        assert not winning
        return
    assert found in winning
    for other in winning:
        assert other.val_accuracy <= found.val_accuracy
        if other.val_accuracy == found.val_accuracy:
            assert other.val_calibrated_loss >= found.val_calibrated_loss


def test_winning_tickets_are_accepted_and_pruned() -> None:
    assert [turn.generation for turn in tickets(BRANCHED)] == [1, 3]


def test_growth_goes_on_from_the_last_accepted() -> None:
    assert [next_parent(BRANCHED[:n]).generation for n in range(1, 6)] == [0, 1, 1, 3, 3]


def test_rejections_are_counted_from_the_end() -> None:
    line = [*BRANCHED, invented(5, accepted=False)]
    assert [rejected_in_a_row(line[:n]) for n in range(7)] == [0, 0, 0, 1, 0, 1, 2]


def test_the_tree_has_dead_branches() -> None:
    """An edge from each parent to each child; a rejected ticket is a leaf."""
    graph = tree(BRANCHED)
    assert set(graph.edges) == {("t0", "t1"), ("t1", "t2"), ("t1", "t3"), ("t3", "t4")}
    assert graph.nodes["t3"]["turn"] is BRANCHED[3]
    assert {name for name in graph if not list(graph.successors(name))} == {"t2", "t4"}


def test_ancestors_are_a_path_of_accepted_tickets() -> None:
    assert [turn.generation for turn in ancestors(BRANCHED, "t4")] == [0, 1, 3, 4]
    assert [turn.generation for turn in ancestors(BRANCHED, "t0")] == [0]


def test_generations_go_on_from_a_lineage(tmp_path: Path) -> None:
    """Given the first two and their tickets, the rest is as in the whole run."""
    turns = whole(bench_of(small(), tmp_path / "whole"))
    known = {turn.digest: ticket for turn, ticket in turns}
    bench = bench_of(small(), tmp_path / "rest")
    line = [turn for turn, _ in turns]
    later = next(generations(bench, line[:2], known.__getitem__))
    assert replace(later[0], seconds=0) == replace(line[2], seconds=0)
    assert list(generations(bench, line, known.__getitem__)) == []


def test_a_run_tells_its_policy_of_all_that_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generation by generation, those of rejected tickets too, and the siblings so far."""
    heard: list[Past] = []

    def listening(past: Past) -> Proposal | None:
        heard.append(past)
        return POLICIES["random"](past)

    monkeypatch.setattr(choose, "policy_of", lambda experiment, own: listening)
    experiment = small("acceptance.max_density=0.1", "budget.generations=4")
    line = [turn for turn, _ in whole(bench_of(experiment, tmp_path))]
    assert not any(turn.accepted for turn in line[1:])
    assert {past.generation for past in heard} == {2, 3, 4}
    for past in heard:
        earlier = [turn.candidates for turn in line[: past.generation]]
        assert [tuple(generation) for generation in past.earlier] == earlier
        told_of = [(c.number, c.asked) for c in past.siblings]
        tried_then = {c.number: c for c in line[past.generation].candidates}
        assert told_of == [(number, tried_then[number].asked) for number, _ in told_of]
        known = [c for c in past.siblings if c.status != "waiting"]
        assert [c.loss for c in known] == [tried_then[c.number].loss for c in known]
