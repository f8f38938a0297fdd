"""Confirmation on digits: paired seeds, equal cost, controls, and a run that may be killed."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from search_runs import BATCH, PER_EPOCH, Stop, bench_of, run, small, stopping, timeless, whole

from recursive_lth import seeds
from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Experiment
from recursive_lth.growth.fresh import fresh
from recursive_lth.pruning.controls import CONTROLS, RESHAPED
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.trainings import train_all
from recursive_lth.running.wanted import Wanted
from recursive_lth.search import confirm as module
from recursive_lth.search.confirm import TRAINED_ON, Behind, confirm
from recursive_lth.search.confirmation import compare
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket

ALL = (*CONTROLS, TRAINED_ON)
PAIRED = ("acceptance.rule=paired", "acceptance.margin=0.2")
TWO = "acceptance.replicates=2"
FEW = (*PAIRED, 'acceptance.controls=["reinit"]', "budget.generations=2")
Trained = list[tuple[Job, Ticket, Fitted]]


def named(controls: tuple[str, ...]) -> str:
    return f"acceptance.controls={json.dumps(list(controls))}"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Every confirmation training: what it was asked, began with, and came to."""
    seen: Trained = []

    def spied(wanted: Sequence[Wanted]) -> list[Fitted]:
        found = train_all(wanted)
        pairs = zip(wanted, found, strict=True)
        seen.extend((each.job, each.ticket, fitted) for each, fitted in pairs)
        return found

    monkeypatch.setattr(module, "train_all", spied)
    return seen


def by_runner(trained: Trained, generation: int) -> dict[str, Trained]:
    """Trainings of one generation by name, in the order of their replicates."""
    found: dict[str, Trained] = {}
    for each in sorted(trained, key=lambda one: one[0].name):
        number, _, name, _ = each[0].name.split("-")
        if int(number) == generation:
            found.setdefault(name, []).append(each)
    return found


def test_all_are_trained_on_the_same_seeds_for_equal_multiply_adds(
    tmp_path: Path, trained: Trained
) -> None:
    """Ticket and parent: 7 steps of the ticket. Controls: as many and all of the ticket's past.

    `trained_on`: as many and the ticket's own generation, which begins where its parent ends. Steps
    are whole, so half a step of the network's own may be missing.
    """
    turns = whole(bench_of(small(*PAIRED, TWO, named(ALL), "budget.generations=2"), tmp_path))
    child, parent = turns[2], turns[1]
    found = by_runner(trained, 2)
    assert set(found) == {"child", "parent", *ALL}
    ahead = training_cost(child[0].remaining_multiply_adds, PER_EPOCH * BATCH)
    past = child[0].weights_cost
    wanted = dict.fromkeys(CONTROLS, past + ahead) | {"child": ahead, "parent": ahead}
    wanted[TRAINED_ON] = past - parent[0].weights_cost + ahead
    for name, some in found.items():
        assert len({job.seed for job, _, _ in some}) == len(some) == 2
        assert [job.seed for job, _, _ in some] == [job.seed for job, _, _ in found["child"]]
        for job, ticket, fitted in some:
            a_step = training_cost(ticket.cost.remaining_multiply_adds, BATCH)
            assert fitted.cost == job.steps * a_step
            assert abs(fitted.cost - wanted[name]) <= a_step / 2
            assert (job.start, job.state) == (0, {})
    for _, ticket, _ in found["child"]:
        assert ticket.digest == child[0].digest
    for name in ("parent", TRAINED_ON):
        assert {ticket.digest for _, ticket, _ in found[name]} == {parent[0].digest}


def test_confirming_is_paid_and_changes_no_ticket(tmp_path: Path, trained: Trained) -> None:
    """Cost and steps are those of a run without, and the confirmations' on top."""
    turns = whole(bench_of(small(*FEW, "growth.policy=never"), tmp_path / "with"))
    plain = whole(bench_of(small("budget.generations=2", "growth.policy=never"), tmp_path / "no"))
    spent = taken = 0
    for (turn, ticket), (_, same) in zip(turns, plain, strict=True):
        assert all(torch.equal(ticket.weights[n], t) for n, t in same.weights.items())
        here = [f for job, _, f in trained if int(job.name[:4]) == turn.generation]
        spent, taken = spent + sum(f.cost for f in here), taken + sum(f.steps for f in here)
        without = plain[turn.generation][0]
        assert turn.training_cost == without.training_cost + spent
        assert turn.training_steps == without.training_steps + taken
        assert turn.weights_cost == without.weights_cost == without.training_cost
        assert (turn.confirmation is None) == (turn.generation == 0)
        if turn.confirmation:
            assert turn.confirmation["training_cost"] == sum(f.cost for f in here)
            json.dumps(turn.to_dict(), allow_nan=False)


def test_seeds_that_confirm_have_selected_nothing(tmp_path: Path, trained: Trained) -> None:
    """None is that of any other training of the run."""
    seen = set[int]()
    derive: Callable[..., int] = seeds.derive

    def noted(root: int, *names: str | int) -> int:
        found = derive(root, *names)
        if "confirm" not in names:
            seen.add(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seeds, "derive", noted)
        whole(bench_of(small(*FEW), tmp_path))
    confirmed = {job.seed for job, _, _ in trained}
    assert len(confirmed) == 2 * 5
    assert not confirmed & seen


def test_controls_differ_from_the_ticket_and_from_pair_to_pair(
    tmp_path: Path, trained: Trained
) -> None:
    """Each begins untrained: at values the ticket would be rewound to, or at fresh ones."""
    turns = whole(
        bench_of(small(*PAIRED, TWO, named(tuple(CONTROLS)), "budget.generations=1"), tmp_path)
    )
    child = turns[1][1]
    rewound = masking.apply(child.rewind, child.masks)
    found = by_runner(trained, 1)
    drawn = {"reinit", "shuffled_mask", "shuffled_weights", "small_dense"}
    for name in CONTROLS:
        tickets = [ticket for _, ticket, _ in found[name]]
        assert len({ticket.digest for ticket in tickets}) == (2 if name in drawn else 1)
        for ticket in tickets:
            assert ticket.provenance == {"control": name}
            if name not in RESHAPED:
                counts = [masking.counts(t.masks) for t in (ticket, child)]
                assert counts[0] == counts[1]
                assert not torch.equal(ticket.weights["fc1.weight"], rewound["fc1.weight"])
            assert not any(torch.equal(ticket.weights[n], t) for n, t in child.weights.items())


@pytest.fixture
def ground(tmp_path: Path) -> tuple[Bench[Experiment], Ticket]:
    """A bench, and a first ticket that was trained for ten epochs."""
    settings = (*PAIRED, "acceptance.margin=0.05", "pruning.epochs=10", "growth.policy=never")
    experiment = small(*settings, named(("shuffled_mask",)), "budget.generations=1")
    bench = bench_of(replace(experiment, data=replace(experiment.data, train_limit=600)), tmp_path)
    return bench, whole(bench)[1][1]


def test_a_planted_null_is_not_won(ground: tuple[Bench[Experiment], Ticket]) -> None:
    """The same ticket twice is tied; on other seeds its scores differ by noise, and it is not won.

    Two generations have seeds of their own, so that their children are paired by nothing.
    """
    bench, ticket = ground
    one, other = (confirm(bench, number, ticket, ticket, Behind()) for number in (7, 9))
    assert one.parent.verdict == "tied"
    assert one.parent.effect("accuracy").mean == 0
    assert one.child.losses != other.child.losses
    rule = bench.experiment.acceptance
    found = {"child": one.child, "parent": replace(other.child, name="parent")}
    samples, generator = len(bench.split.validation), np.random.default_rng(0)
    (compared,) = compare(rule, rule.margin, found, samples, generator)
    assert compared.verdict in {"tied", "undecided"}


def test_a_crippled_child_is_lost(ground: tuple[Bench[Experiment], Ticket]) -> None:
    """Its weights are drawn anew under its mask, so that it has to learn all again."""
    bench, ticket = ground
    values = fresh(ticket.architecture, seeds.generator(1), "kaiming_normal")
    crippled = replace(ticket, weights=masking.apply(values, ticket.masks))
    found = confirm(bench, 7, crippled, ticket, Behind())
    assert found.parent.verdict == "lost"
    assert found.carried == found.parent.effect("accuracy").mean < 0
    accuracy = found.parent.effect("accuracy")
    assert accuracy.p > 0.99
    assert accuracy.high is not None
    assert accuracy.high < 0


def test_what_ties_have_lost_is_taken_off_the_margin(
    ground: tuple[Bench[Experiment], Ticket],
) -> None:
    bench, ticket = ground
    carried = [0.0, -0.03, -0.2]
    found = [confirm(bench, 7, ticket, ticket, Behind(carried=each)) for each in carried]
    assert [each.margin for each in found] == [0.05, pytest.approx(0.02), 0.0]
    assert [each.carried for each in found] == carried
    assert [each.parent.verdict for each in found] == ["tied", "tied", "undecided"]


def test_a_training_that_diverges_counts_as_guessing(
    ground: tuple[Bench[Experiment], Ticket],
) -> None:
    bench, ticket = ground
    wild = {n: t * 1e30 if n in ticket.masks else t for n, t in ticket.weights.items()}
    found = confirm(bench, 7, replace(ticket, weights=wild), ticket, Behind())
    assert found.child.accuracies == (0.1,) * 5
    assert found.child.losses == pytest.approx([2.302585] * 5)
    assert found.parent.verdict == "lost"


def test_a_control_without_room_is_left_out(ground: tuple[Bench[Experiment], Ticket]) -> None:
    """Nothing is pruned of a dense ticket, so its mask has no other order; the run goes on."""
    bench, ticket = ground
    whole_ticket = replace(ticket, masks=masking.dense(ticket.architecture))
    found = confirm(bench, 7, whole_ticket, ticket, Behind())
    assert [each.rival for each in found.against] == ["parent", "shuffled_mask"]
    assert found.against[1].verdict is None
    assert "leave it out" in found.against[1].reason


def test_what_is_too_dense_is_not_trained_for_it(tmp_path: Path, trained: Trained) -> None:
    turns = whole(bench_of(small(*FEW, "acceptance.max_density=0.1"), tmp_path))
    assert not trained
    assert [turn.confirmation for turn, _ in turns] == [None] * 3
    assert all(turn.verdict.startswith("rejected: density") for turn, _ in turns[1:])


def test_rewound_weights_have_their_last_training_behind_them(tmp_path: Path) -> None:
    """One round of one epoch, at what remains; inherited ones have all of it."""
    rewound = whole(bench_of(small(*FEW, "pruning.rewind=init"), tmp_path))
    for turn, _ in rewound[1:]:
        a_round = training_cost(turn.remaining_multiply_adds, PER_EPOCH * BATCH)
        assert turn.weights_cost == a_round


def test_killed_and_resumed_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Attempts get ever more files to their place, so that each dies elsewhere, and the last none.

    Trainings of one company are stored together, so few writes would never get beyond them.
    """
    experiment = small(*FEW, "training.shift=1", "acceptance.backtrack=1")
    alone = timeless(run(experiment, tmp_path / "alone"))
    stops = 0
    for attempt in range(60):
        try:
            with stopping(os, "replace", 3 + 3 * attempt):
                folder = run(experiment, tmp_path / "stopped")
            break
        except Stop:
            stops += 1
    assert stops >= 8
    assert timeless(folder) == alone


def test_verdicts_are_in_the_lineage(tmp_path: Path) -> None:
    """Line by line as the run had them, and accepted iff won or tied."""
    folder = run(small(*FEW), tmp_path)
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in (folder / "lineage.jsonl").read_text("utf-8").splitlines()
    ]
    for row in rows[1:]:
        parent, reinit = row["confirmation"]["against"]
        assert (parent["rival"], reinit["rival"]) == ("parent", "reinit")
        assert row["accepted"] == (parent["verdict"] in {"won", "tied"})
        assert parent["verdict"] in row["verdict"]
        gains = [
            ours - theirs
            for ours, theirs in zip(
                row["confirmation"]["child"]["accuracies"],
                parent["scores"]["accuracies"],
                strict=True,
            )
        ]
        assert parent["accuracy"]["mean"] == pytest.approx(sum(gains) / 5)
        assert parent["accuracy"]["n"] == 5
