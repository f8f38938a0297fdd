"""The controller: what is handed from turn to turn, counted, accepted, rewound and when it ends."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import BATCH, PER_EPOCH, bench_of, small, whole
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.config import Experiment
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.running import train as trains
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.running.job import Bench, Job
from recursive_lth.search import turn as module
from recursive_lth.search.acceptance import Verdict
from recursive_lth.search.controller import stop_reason
from recursive_lth.search.generation import Generation
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

Fits = list[tuple[Job, Ticket, Fitted]]
FIXED = (
    "growth.policy=fixed",
    "growth.schedule=[{operator='widen', ratio=0.5}, {operator='deepen'}, {operator='residual'}]",
    "budget.generations=5",
)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    """Every training outside the judging, with the ticket it began with and what came of it."""
    seen: Fits = []

    def spied(bench: Bench[Experiment], ticket: Ticket, job: Job, stop: Any) -> Fitted:
        fitted = fit(bench, ticket, job)
        seen.append((job, ticket, fitted))
        return fitted

    monkeypatch.setattr(trains, "fit", spied)
    return seen


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the verdicts from generation 1 on; the last one holds for all later ones."""

    def set_verdicts(*accepted: bool) -> None:
        def accept(rule: Any, line: Sequence[Generation], *_: float, **__: int) -> Verdict:
            return Verdict(accepted[min(len(line), len(accepted)) - 1], "as the test says")

        monkeypatch.setattr(module, "accept", accept)

    return set_verdicts


def corner(tensor: Tensor, like: Tensor) -> Tensor:
    """The part of a grown tensor that is old: new units come last on every axis."""
    return tensor[tuple(slice(size) for size in like.shape)]


def check_descent(turns: Sequence[tuple[Generation, Ticket]]) -> None:
    """Child by child: parent, nested masks, births, depth and width as the growth says."""
    known = {turn.digest: (turn, ticket) for turn, ticket in turns}
    for turn, ticket in turns[1:]:
        accepted = [t for t, _ in turns[: turn.generation] if t.accepted]
        assert turn.parent == ticket.parent == accepted[-1].digest
        parent_turn, parent = known[turn.parent]
        for name, mask in parent.masks.items():
            inner = corner(ticket.masks[name], mask)
            assert masking.is_nested({name: inner}, {name: mask}), name
            born = ticket.births[name].clone()
            assert torch.equal(corner(born, mask), parent.births[name])
            corner(born, mask).fill_(turn.generation)
            assert bool((born == turn.generation).all())
        new_layers = {"deepen": 1, "residual": 2}.get(turn.operator, 0)
        assert turn.depth == parent_turn.depth + new_layers
        assert len(ticket.masks) == len(parent.masks) + new_layers
        new_units = turn.growth["new_units"] if turn.growth else {}
        for symbol, units in parent_turn.widths.items():
            assert turn.widths[symbol] == units + new_units.get(symbol, 0)
        assert (turn.operator == "widen") == any(s in parent_turn.widths for s in new_units)


def check_described(turn: Generation, ticket: Ticket) -> None:
    """The line's counts are those of the ticket's tensors."""
    remaining = {n: int(mask.sum()) for n, mask in ticket.masks.items()}
    assert turn.digest == ticket.digest
    assert turn.remaining_weights == sum(remaining.values()) == turn.remaining_multiply_adds
    assert turn.weights == sum(mask.numel() for mask in ticket.masks.values()) == turn.multiply_adds
    assert turn.density == turn.remaining_weights / turn.weights
    assert turn.parameters == sum(w.numel() for w in ticket.weights.values())
    assert turn.parameters - turn.remaining_parameters == turn.weights - turn.remaining_weights
    assert {f"{n}.weight": c["remaining"] for n, c in turn.layers.items()} == remaining
    assert turn.architecture == ticket.architecture.to_dict()
    assert turn.val_calibrated_loss <= turn.val_loss
    assert turn.test_accuracy is None


@pytest.mark.parametrize("settings", [FIXED, ("growth.policy=tpe", "budget.generations=5")])
def test_every_ticket_descends_from_its_parent(settings: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever grew, and by whatever policy; the first two tickets are the start's."""
    turns = whole(bench_of(small(*settings), tmp_path))
    assert [turn.generation for turn, _ in turns] == list(range(6))
    assert [turn.operator for turn, _ in turns[:2]] == ["start", "none"]
    assert turns[0][0].parent == ""
    assert turns[0][0].density == 1
    check_descent(turns)
    for turn, ticket in turns:
        check_described(turn, ticket)
        assert (turn.growth is None) == (turn.operator in {"start", "none"})
        assert (turn.certificate is None) == (turn.growth is None)
    if settings is FIXED:
        operators = [turn.operator for turn, _ in turns[2:]]
        assert operators == ["widen", "deepen", "residual", "widen"]
        assert all(turn.candidates == () for turn, _ in turns)
    else:
        assert [len(t.candidates) >= 3 for t, _ in turns] == [False] * 2 + [True] * 4
        chosen = [[c for c in t.candidates if c.status == "chosen"] for t, _ in turns[2:]]
        assert [c.growth for (c,) in chosen] == [t.growth for t, _ in turns[2:]]


@pytest.mark.parametrize("target", ["target_density=0.3", "target_weights=150"])
def test_remaining_weights_meet_the_target_exactly(target: str, tmp_path: Path) -> None:
    """In every generation that prunes: round(density x weights), or the number itself."""
    turns = whole(bench_of(small(*FIXED, f"pruning.{target}"), tmp_path))
    for turn, _ in turns[1:]:
        wanted = 150 if "150" in target else round(0.3 * turn.weights)
        assert turn.remaining_weights == wanted


def test_rejected_tickets_stay_and_growth_goes_on_before_them(
    tmp_path: Path, verdicts: Callable[..., None]
) -> None:
    """Generations 2 and 3 are rejected: 3 and 4 grow from 1, and 5 from 4."""
    verdicts(True, False, False, True, True)
    turns = whole(bench_of(small(*FIXED), tmp_path))
    line = [turn for turn, _ in turns]
    assert [t.accepted for t in line] == [True, True, False, False, True, True]
    parents = ["", *(line[n].digest for n in (0, 1, 1, 1, 4))]
    assert [t.parent for t in line] == parents
    assert [t.operator for t in line[2:]] == ["widen", "deepen", "residual", "widen"]
    assert [t.depth for t in line] == [2, 2, 2, 3, 4, 4]
    check_descent(turns)


def test_cost_and_steps_add_up_over_all_trainings(tmp_path: Path, fits: Fits) -> None:
    """Three forwards of what remains for each sample; candidates are paid too, once.

    What a candidate remains with is the parent's weights and its own new ones, all of them there:
    units x (64 + 10) at one hidden layer of the start, units^2 for a layer between.
    """
    settings = ("growth.candidates=3", 'space.mask=["dense"]', "budget.generations=2")
    line = [turn for turn, _ in whole(bench_of(small(*settings), tmp_path))]
    assert [turn.training_cost for turn in line] == sorted({turn.training_cost for turn in line})
    assert len({job.seed for job, _, _ in fits}) == len(fits), "each draws its own batches"
    cost, steps = dict.fromkeys(range(3), 0), dict.fromkeys(range(3), 0)
    for job, ticket, _ in fits:
        remaining = sum(int(mask.sum()) for mask in ticket.masks.values())
        steps[job.labels["generation"]] += job.steps
        cost[job.labels["generation"]] += 3 * remaining * job.steps * BATCH
    for candidate in line[2].candidates:
        new = 0
        if candidate.growth:
            new_units = candidate.growth["new_units"].get("fc1", 0)
            new = new_units * 74 if candidate.growth["operator"] == "widen" else 6 * 6
        is_paid = candidate.status != "repeated"
        assert candidate.training_steps in ({PER_EPOCH, 2 * PER_EPOCH} if is_paid else {0})
        assert candidate.training_cost == 3 * (178 + new) * candidate.training_steps * BATCH
        cost[2] += candidate.training_cost
        steps[2] += candidate.training_steps
    spent, taken = 0, 0
    for turn in line:
        spent, taken = spent + cost[turn.generation], taken + steps[turn.generation]
        assert (turn.training_cost, turn.training_steps) == (spent, taken)


@pytest.mark.parametrize(
    ("settings", "generations_run"),
    [
        (["budget.generations=1"], 2),
        (["budget.multiply_adds=1"], 1),
        (["budget.seconds=1e-9"], 1),
        (["budget.patience=1"], 2),
    ],
)
def test_every_budget_stops_a_run(
    settings: list[str], generations_run: int, tmp_path: Path, verdicts: Callable[..., None]
) -> None:
    """At the first generation that reaches it; here every ticket but the start is rejected."""
    verdicts(False)
    line = [turn for turn, _ in whole(bench_of(small(*settings), tmp_path))]
    assert len(line) == generations_run
    assert stop_reason(small(*settings), line)


def test_never_growing_is_iterative_pruning(tmp_path: Path, fits: Fits) -> None:
    """Rounds go on over generations, 20 % each, and the architecture stays."""
    settings = ["growth.policy=never", "pruning.target_density=0", "pruning.rounds=2"]
    turns = whole(bench_of(small(*settings, "pruning.rate=0.2"), tmp_path))
    assert [job.labels["phase"] for job, _, _ in fits] == ["train"] + ["prune"] * 6
    assert [job.labels["round"] for job, _, _ in fits] == [None, 1, 2, 1, 2, 1, 2]
    kept, expected = 444, [444]
    for _ in range(6):
        kept -= round(0.2 * kept)
        expected.append(kept)
    assert [turn.remaining_weights for turn, _ in turns] == expected[::2]
    assert {turn.operator for turn, _ in turns} == {"start", "none"}


@pytest.mark.parametrize("rewind", ["none", "init", "9it"])
def test_rewinding_begins_each_level_where_it_should(
    rewind: str, tmp_path: Path, fits: Fits
) -> None:
    """init: at the weights of birth, masked; 9it: at those after step 9; none: as trained."""
    settings = ["growth.policy=never", "pruning.target_density=0.1", f"pruning.rewind={rewind}"]
    experiment = small(*settings, "pruning.rounds=2")
    turns = whole(bench_of(experiment, tmp_path))
    generator = seeds.generator(experiment.seed, "generation", 0, "birth")
    first = turns[0][1]
    initial = seed_ticket(birth(first.architecture), generator, experiment.start.initialisation)
    assert (first.rewind["fc1.weight"] == initial.weights["fc1.weight"]).all() == (rewind != "9it")
    wanted = fits[0][2].kept[9].weights if rewind == "9it" else initial.weights
    assert len(fits) == 1 + 2 + 2
    for (_, _, before), (_, begun, _) in pairwise(fits):
        values = before.ticket.weights if rewind == "none" else wanted
        for name, tensor in masking.apply(values, begun.masks).items():
            assert torch.equal(begun.weights[name], tensor), name


def test_grown_weights_rewind_to_their_birth(tmp_path: Path, fits: Fits) -> None:
    """Each weight goes back to its own first value, be it old or new."""
    turns = whole(bench_of(small(*FIXED, "pruning.rewind=init", "budget.generations=2"), tmp_path))
    initial, grown = turns[0][1].rewind, fits[-2][1]
    begun = fits[-1][1]
    assert fits[-2][0].labels["phase"] == "grow"
    for name, mask in begun.masks.items():
        old = corner(begun.weights[name], initial[name])
        kept = corner(mask, initial[name])
        assert torch.equal(old, initial[name] * kept)
        assert torch.equal(begun.weights[name], grown.rewind[name] * mask)


def test_a_start_that_diverges_is_an_error(tmp_path: Path) -> None:
    settings = ("training.optimizer=sgd", "training.learning_rate=1e30")
    with pytest.raises(InputError, match=r"start network diverges: lower training\.learning_rate"):
        whole(bench_of(small(*settings), tmp_path))


@pytest.mark.parametrize("phase", ["grow", "prune"])
def test_a_generation_that_diverges_is_rejected(
    phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its later rounds are not trained, what was is paid, and the next grows from its parent."""
    jobs = list[Job]()

    def broken(bench: Bench[Experiment], ticket: Ticket, job: Job, stop: Any) -> Fitted:
        jobs.append(job)
        fitted = fit(bench, ticket, job)
        if job.labels["generation"] == 2 and job.labels["phase"] == phase:
            return replace(fitted, ticket=ticket, is_diverged=True)
        return fitted

    monkeypatch.setattr(trains, "fit", broken)
    line = [turn for turn, _ in whole(bench_of(small(*FIXED, "budget.generations=3"), tmp_path))]
    assert [turn.accepted for turn in line] == [True, True, False, True]
    assert "diverged" in line[2].verdict
    assert line[3].parent == line[1].digest
    assert line[2].training_cost > line[1].training_cost
    last = [job for job in jobs if job.labels["generation"] == 2][-1].labels
    assert (last["phase"], last["round"]) == (phase, 1 if phase == "prune" else None)
    json.dumps(line[2].to_dict(), allow_nan=False)


def test_scores_are_those_of_trained_weights(tmp_path: Path, fits: Fits) -> None:
    """Where a generation prunes without training first, noise would choose what is pruned.

    So generation 1 keeps the same weights of the dense start, whatever the recipe adds for youth.
    """
    settings = ("budget.generations=1", "training.epochs=20")
    for youth in (("training.shrink=0.5", "training.perturb=1.0"), ()):
        whole(bench_of(small(*settings, *youth), tmp_path / str(len(youth))))
    (_, perturbed, _), (_, plain, _) = fits[1], fits[4]
    assert all(torch.equal(perturbed.masks[name], mask) for name, mask in plain.masks.items())


def test_a_growing_generation_begins_younger(tmp_path: Path, fits: Fits) -> None:
    """What grows is shrink x weights + perturb x fresh ones, where they remain."""
    turns = whole(bench_of(small(*FIXED, "budget.generations=2", "training.shrink=0.5"), tmp_path))
    begun = next(ticket for job, ticket, _ in fits if job.labels["phase"] == "grow")
    parent = turns[1][1].weights["fc1.weight"]
    assert torch.equal(corner(begun.weights["fc1.weight"], parent), 0.5 * parent)
