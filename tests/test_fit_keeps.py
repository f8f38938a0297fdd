"""What a training keeps on the way, and that it may begin in the middle."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import bench_of
from test_fit import RECIPES, check_same, ground, job_of

from recursive_lth.running import inside
from recursive_lth.running.fit import fit
from recursive_lth.ticket import masks as masking
from recursive_lth.training.evaluate import accuracy, evaluate


def test_the_best_weights_are_those_of_least_validation_loss(tmp_path: Path) -> None:
    """At a rate that overshoots, the best look is seldom the last."""
    bench, ticket = ground(tmp_path, "training.learning_rate=0.5", "training.schedule=constant")
    fitted = fit(bench, ticket, job_of(bench, 5, keeps_best=True))
    losses = [row["val_loss"] for row in fitted.rows]
    found = evaluate(ticket.architecture, fitted.best, bench.split.validation)
    assert found.loss == min(losses)


@pytest.mark.parametrize("rate", [0.5, 0.001])
def test_the_test_data_are_asked_once_of_weights_that_are_end_and_best(
    rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a low rate the last look is the best."""
    asked: list[float] = []

    def counted(*given: Any) -> float:
        asked.append(accuracy(*given))
        return asked[-1]

    monkeypatch.setattr(inside, "accuracy", counted)
    settings = (f"training.learning_rate={rate}", "training.schedule=constant")
    bench, ticket = ground(tmp_path, *settings)
    fitted = fit(bench, ticket, job_of(bench, 5, keeps_best=True, tests=True))
    losses = [row["val_loss"] for row in fitted.rows]
    is_last = losses[-1] == min(losses)
    assert is_last == (rate < 0.1)
    assert len(asked) == 2 - is_last
    sides = {"end": fitted.ticket.weights, "best": fitted.best}
    assert fitted.tested == {
        side: accuracy(ticket.architecture, weights, bench.split.test)
        for side, weights in sides.items()
    }


def test_a_training_may_begin_in_the_middle(tmp_path: Path) -> None:
    """From kept weights and optimizer, a training from step k on is the rest of the whole one."""
    bench, ticket = ground(tmp_path, *RECIPES["adamw"], "training.dropout=0")
    whole = fit(bench, ticket, job_of(bench, keep_at=(9,)))
    kept = whole.kept[9]
    middle = replace(ticket, weights=masking.apply(kept.weights, ticket.masks))
    rest = fit(bench, middle, job_of(bench, start=9, state=kept.state, name="rest"))
    assert rest.steps == 12
    check_same(rest.ticket.weights, whole.ticket.weights)


def test_the_tally_is_minus_weight_times_gradient(tmp_path: Path) -> None:
    """Plain descent moves w by -rate * g, so each step adds w * (w' - w) / rate; pruned add 0."""
    settings = ("training.optimizer=sgd", "training.momentum=0", "training.schedule=constant")
    bench, ticket = ground(tmp_path, *settings)
    job = job_of(bench, 1, tallies=True, keep_at=tuple(range(8)))
    fitted = fit(bench, ticket, job)
    for name, mask in ticket.masks.items():
        total = torch.zeros(mask.shape)
        for step in range(7):
            before, after = fitted.kept[step].weights[name], fitted.kept[step + 1].weights[name]
            total += before * (after - before) / job.recipe.learning_rate
        assert torch.allclose(fitted.tally[name], total, atol=1e-4)
        assert not fitted.tally[name][~mask].any()


def test_a_watcher_hears_of_a_training(tmp_path: Path) -> None:
    """Phase, length, remaining weights and depth at its start, accuracy after each look."""
    told: list[Any] = []
    bench, ticket = ground(tmp_path)
    watched = bench_of(bench.experiment, tmp_path, told.append)
    place = {"phase": "train", "candidate": 1}
    fitted = fit(watched, ticket, job_of(bench, place=place))
    assert {(now.phase, now.candidate, now.steps) for now in told} == {("train", 1, 21)}
    assert {(now.remaining_weights, now.depth) for now in told} == {(222, 2)}
    looks = {now.step: now.val_accuracy for now in told}
    assert all(looks[row["step"]] == row["val_accuracy"] for row in fitted.rows)
    assert told[-1].done > told[0].done == 0
