"""What a run will cost, told before it starts, and where its budget ends it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import PER_EPOCH, bench_of, digits, invented, small, whole
from strategies import NO_EVIDENCE

from recursive_lth import seeds
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Pruning
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.prune import prune
from recursive_lth.pruning.schedule import next_round
from recursive_lth.pruning.scores import SCORES
from recursive_lth.search.controller import stop_reason
from recursive_lth.search.plan import (
    plan,
    planned_confirmation,
    planned_epochs,
    planned_races,
    start_architecture,
)
from recursive_lth.ticket.morph import birth

SHAPE = (1, 8, 8)


def rounds_taken(pruning: Pruning) -> int:
    """How many rounds a dense network of 70 x 12 weights takes down to its target."""
    architecture = mlp(SHAPE, 6, (12,))
    ticket = seed_ticket(birth(architecture), seeds.generator(0), "kaiming_normal")
    done = 0
    while groups := next_round(ticket, pruning, done=done):
        ticket = prune(ticket, SCORES["magnitude"], groups, NO_EVIDENCE, floor=pruning.layer_floor)
        done += 1
    return done


@given(st.floats(0.05, 0.9), st.floats(0.05, 0.95), st.sampled_from((0, 1, 3)))
def test_the_first_pruning_is_planned_to_the_round(
    rate: float, density: float, rounds: int
) -> None:
    """n rounds leave (1 - rate)^n, so n = ceil(log density / log(1 - rate)), at most `rounds`.

    Rounding to whole weights can move the end by one round.
    """
    pruning = replace(small().pruning, rate=rate, target_density=density, rounds=rounds, epochs=1.5)
    experiment = replace(small(), pruning=pruning)
    planned = planned_epochs(experiment, mlp(SHAPE, 6, (12,)))[1] / pruning.epochs
    assert abs(planned - rounds_taken(pruning)) <= 1
    assert not rounds or planned <= rounds


def test_rounds_alone_are_the_plan_where_there_is_no_target() -> None:
    experiment = small("pruning.target_density=0", "pruning.rounds=4", "pruning.epochs=0.5")
    assert planned_epochs(experiment, mlp(SHAPE, 6, (12,)))[1] == 2


@pytest.mark.parametrize(
    ("settings", "first", "each"),
    [
        # halving 1 -> .5 -> .4 is 2 rounds of 1 epoch; half as much again -> .4 is 1 round
        (["growth.policy=random"], 2, 3 * 2 + 1 + 1),  # 1 + 2 candidates of 2 epochs, growth of 1
        (["growth.policy=never"], 2, 1),
        (["growth.policy=fixed", "growth.schedule=[{}]"], 2, 1 + 1),
    ],
)
def test_epochs_are_planned_by_generation(settings: list[str], first: float, each: float) -> None:
    experiment = small(*settings, "budget.generations=4")
    found = planned_epochs(experiment, start_architecture(experiment, SHAPE, 10))
    assert found == [3, first, each, each, each]


def test_a_run_trains_as_long_as_planned(tmp_path: Path) -> None:
    """Epoch for epoch, where nothing is judged and a generation grows by no more than half."""
    fixed = ("growth.policy=fixed", "growth.schedule=[{operator='widen', ratio=0.5}]")
    experiment = small(*fixed, "budget.generations=3")
    line = [turn for turn, _ in whole(bench_of(experiment, tmp_path))]
    planned = planned_epochs(experiment, start_architecture(experiment, SHAPE, 10))
    steps = [0, *(turn.training_steps for turn in line)]
    assert [(after - before) / PER_EPOCH for before, after in pairwise(steps)] == planned


def test_the_plan_in_numbers() -> None:
    """Steps are epochs x whole batches, multiply-adds three forwards of the dense start a sample.

    The start has 64 x 6 + 6 x 10 = 444 weights, each used once a sample.
    """
    experiment = small("budget.generations=2")
    found = plan(experiment, SHAPE, 10, 120)
    epochs = 3 + 2 + 8
    assert found["start"] == {
        "architecture": "mlp",
        "depth": 2,
        "weights": 444,
        "multiply_adds": 444,
    }
    assert found["generations"] == 2
    assert found["training_samples"] == 120
    assert found["epochs"] == epochs
    assert found["training_steps"] == epochs * 7
    assert found["training_multiply_adds"] == 3 * 444 * epochs * 7 * 16


@pytest.mark.parametrize(
    ("settings", "confirmed"),
    [
        # 5 pairs: ticket and parent of 1 epoch each; a control on top of 3 + 2, then of 3 as well
        (['acceptance.controls=["reinit"]'], [0, 5 * (3 + 5), 5 * (3 + 9), 5 * (3 + 13)]),
        # candidate 2, growth 1, a round 1: 4 epochs of the generation itself; of the first, 2
        (['acceptance.controls=["trained_on"]'], [0, 5 * (3 + 2), 5 * (3 + 4), 5 * (3 + 4)]),
        (["acceptance.controls=[]", "acceptance.replicates=3"], [0, 6, 6, 6]),
        (
            ['acceptance.controls=["reinit", "dense"]', "pruning.rewind=init"],
            [0, *[5 * (4 + 2 * 1)] * 3],
        ),
    ],
)
def test_confirmations_are_planned(settings: list[str], confirmed: list[float]) -> None:
    """On top of what a generation trains anyway, and told by themselves."""
    paired = small("acceptance.rule=paired", *settings)
    architecture = start_architecture(paired, SHAPE, 10)
    assert planned_confirmation(paired, architecture) == confirmed
    alone = planned_epochs(small(), architecture)
    whole_plan = planned_epochs(paired, architecture)
    assert whole_plan == [a + b for a, b in zip(alone, confirmed, strict=True)]
    assert plan(paired, SHAPE, 10, 120)["confirmation_epochs"] == sum(confirmed)
    assert plan(small(), SHAPE, 10, 120)["confirmation_epochs"] == 0


@pytest.mark.parametrize(
    ("settings", "raced"),
    [
        ([], 0),
        (["growth.replicates=1"], 0),
        (["growth.replicates=3"], 2 * (1 + 1) * 2),  # not growing and half of two, 2 epochs each
        (["growth.replicates=3", "growth.candidates=5"], 2 * (1 + 3) * 2),
        (["growth.replicates=4", "growth.keep=1"], 3 * (1 + 2) * 2),
        (["growth.replicates=4", "growth.policy=never"], 0),
        (["growth.replicates=4", "growth.policy=fixed", "growth.schedule=[{}]"], 0),
    ],
)
def test_races_are_planned_in_whole(settings: list[str], raced: float) -> None:
    """On top of what a generation trains anyway, from generation 2 on, and told by themselves."""
    experiment = small(*settings)
    growth = replace(experiment.growth, replicates=1)
    alone = replace(experiment, growth=growth)
    architecture = start_architecture(experiment, SHAPE, 10)
    assert planned_races(experiment) == [0, 0, raced, raced]
    with_races = planned_epochs(experiment, architecture)
    without = planned_epochs(alone, architecture)
    assert [a - b for a, b in zip(with_races, without, strict=True)] == [0, 0, raced, raced]
    assert plan(experiment, SHAPE, 10, 120)["race_epochs"] == 2 * raced
    paired = replace(experiment, acceptance=replace(experiment.acceptance, rule="paired"))
    both = planned_confirmation(replace(paired, growth=growth), architecture)
    assert planned_confirmation(paired, architecture) == both  # races are no part of a ticket


@pytest.mark.parametrize(
    ("settings", "is_whole"),
    [
        # fewer than five seeds never send anyone away by signed ranks; no cut, and all race
        (("growth.race=wilcoxon", "growth.replicates=4", "growth.keep=1", "growth.cut=none"), True),
        (("growth.replicates=4", "growth.keep=1", "growth.cut=none"), False),
        (("growth.replicates=3", "growth.candidates=4", "growth.cut=halving"), False),
    ],
)
def test_a_search_trains_at_most_as_long_as_planned(
    settings: tuple[str, ...], is_whole: bool, tmp_path: Path
) -> None:
    """Of candidates and their races, epoch for epoch: a bound, and reached where nobody is cut."""
    experiment = small(*settings)
    growth, seen = experiment.growth, 1
    for (turn, _), raced in zip(
        whole(bench_of(experiment, tmp_path)), planned_races(experiment), strict=True
    ):
        if turn.generation < 2:
            assert not raced
            continue
        trained = sum(candidate.training_steps for candidate in turn.candidates) / PER_EPOCH
        planned = (1 + growth.candidates) * growth.judge_epochs + raced
        assert trained == planned if is_whole else trained <= planned
        seen = max(seen, *(len(candidate.replicates) for candidate in turn.candidates))
    assert seen > 1


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    found = plan(small("training.batch_size=500", "budget.generations=1"), SHAPE, 10, 120)
    assert found["training_steps"] == found["epochs"] == 5
    assert found["training_multiply_adds"] == 3 * 444 * 5 * 120


def test_the_start_is_the_zoo_s() -> None:
    experiment = small("start.hidden=[5, 4]")
    data = digits()
    built = start_architecture(experiment, data.sample_shape, data.classes)
    assert built == mlp((1, 8, 8), 10, (5, 4))
    with pytest.raises(InputError, match="unknown architecture 'mlpp': did you mean 'mlp'"):
        start_architecture(small("start.architecture=mlpp"), SHAPE, 10)


@pytest.mark.parametrize(
    ("settings", "line", "reason"),
    [
        ([], 3, ""),
        ([], 4, "all 3 generations are done"),
        (["budget.multiply_adds=301"], 3, ""),
        (["budget.multiply_adds=300"], 3, "the budget of 300 multiply-adds is spent"),
        (["budget.seconds=3.5"], 3, ""),
        (["budget.seconds=3"], 3, "the budget of 3 seconds is spent"),
        (["budget.patience=2"], 3, ""),
    ],
)
def test_a_run_ends_where_a_budget_ends(settings: list[str], line: int, reason: str) -> None:
    """Tickets cost 100 and 1 second each; generation 0 does not count among the generations."""
    assert stop_reason(small(*settings), [invented(n) for n in range(line)]) == reason


@pytest.mark.parametrize(
    ("kept", "accepted", "reason"),
    [
        ([444, 178, 100], [True] * 3, ""),
        ([444, 178, 178], [True] * 3, "nothing is left to prune"),
        ([444, 178], [True] * 2, ""),
        ([444, 178, 178], [True, False, False], ""),
    ],
)
def test_pruning_alone_ends_where_nothing_went(
    kept: list[int], accepted: list[bool], reason: str
) -> None:
    """That is, where a ticket keeps what its parent kept; two rejected siblings may be as large."""
    experiment = small("growth.policy=never", "budget.generations=9")
    line = [
        invented(n, remaining_weights=weights, accepted=is_accepted)
        for n, (weights, is_accepted) in enumerate(zip(kept, accepted, strict=True))
    ]
    if not accepted[1]:
        line[2] = replace(line[2], parent=line[0].digest)
    assert stop_reason(experiment, line) == reason
    assert stop_reason(small("budget.generations=9"), line) == ""


def test_patience_counts_rejections_in_a_row() -> None:
    line = [invented(n, accepted=n not in {1, 3, 4}) for n in range(7)]
    reasons = [stop_reason(small("budget.patience=2", "budget.generations=9"), line[:n])
               for n in range(8)]  # fmt: skip
    assert [bool(reason) for reason in reasons] == [n == 5 for n in range(8)]
    assert reasons[5] == "2 tickets in a row were rejected"
