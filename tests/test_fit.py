"""One training: its curve, its cost, its early end, and the same bits when it was stopped."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from search_runs import BATCH, PER_EPOCH, Stop, bench_of, small, stopping
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.config import Experiment
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.running import fit as module
from recursive_lth.running import inside as insides
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.running.job import Bench, Job, Row, rungs_of
from recursive_lth.search.plan import start_architecture
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.loop import Step, training

LABELS = {"generation": 0, "phase": "train", "candidate": None, "round": None}
RECIPES = {
    "adamw": ["training.weight_decay=0.1", "training.shift=1", "training.dropout=0.2"],
    "sgd": ["training.optimizer=sgd", "training.momentum=0.9", "training.clip_norm=1"],
    "adam with norms": [
        *("training.optimizer=adam", "training.flip=true"),
        *("start.architecture=convnet", "start.hidden=[2, 2]"),
    ],
}


def job_of(bench: Bench[Experiment], epochs: float = 3.0, **changes: Any) -> Job:
    """A training of so many epochs."""
    steps = max(1, round(epochs * PER_EPOCH))
    job = Job("0000-train", bench.experiment.training, steps, 5, labels=LABELS)
    return replace(job, **changes)


def ground(folder: Path, *settings: str) -> tuple[Bench[Experiment], Ticket]:
    """A bench and a ticket of the start network, the weaker half of each tensor pruned."""
    bench = bench_of(small(*settings), folder)
    architecture = start_architecture(bench.experiment, (1, 8, 8), 10)
    whole = seed_ticket(birth(architecture), seeds.generator(0), "kaiming_normal")
    scores = {name: whole.weights[name].abs() for name in architecture.prunable}
    masks = whole.masks
    for name, score in scores.items():
        masks = masking.drop_lowest(masks, {name: score}, score.numel() // 2)
    return bench, replace(whole, weights=masking.apply(whole.weights, masks), masks=masks)


def check_equal(one: Fitted, other: Fitted) -> None:
    """Every number and every bit."""
    assert (one.rows, one.steps, one.cost) == (other.rows, other.steps, other.cost)
    assert one.is_diverged == other.is_diverged
    assert one.ticket.digest == other.ticket.digest
    assert one.kept.keys() == other.kept.keys()
    for step, kept in one.kept.items():
        check_same(kept.weights, other.kept[step].weights)
        assert kept.state.keys() == other.kept[step].state.keys()
        for kind, tensors in kept.state.items():
            check_same(tensors, other.kept[step].state[kind])
    check_same(one.best, other.best)
    check_same(one.tally, other.tally)


def check_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Number and loss of every step that any training of the test takes, as it takes them."""
    taken: list[tuple[int, float]] = []

    def spied(*arguments: Any, **options: Any) -> Iterator[Step]:
        for step in training(*arguments, **options):
            taken.append((step.number, float(step.loss)))
            yield step

    monkeypatch.setattr(module, "training", spied)
    return taken


@pytest.mark.parametrize(
    ("epochs", "rungs", "marks"),
    [
        (3.0, (), [7, 14, 21]),
        (2.5, (), [7, 14, 18]),
        (0.5, (), [4]),
        (2.0, (3, 10, 14), [3, 10, 14]),
    ],
)
def test_the_curve_looks_at_epoch_ends_or_at_rungs(
    epochs: float,
    rungs: tuple[int, ...],
    marks: list[int],
    tmp_path: Path,
    steps: list[tuple[int, float]],
) -> None:
    """One row a mark, the last at the end; losses are means over the steps since the last mark.

    The last row holds what the trained ticket does on the validation data.
    """
    bench, ticket = ground(tmp_path)
    job = job_of(bench, epochs, marks=rungs, labels=LABELS | {"candidate": 2, "round": 1})
    fitted = fit(bench, ticket, job)
    assert [row["step"] for row in fitted.rows] == marks
    assert [row["epoch"] for row in fitted.rows] == [mark / PER_EPOCH for mark in marks]
    for since, row in zip([0, *marks], fitted.rows, strict=False):
        losses = [loss for number, loss in steps if since < number <= row["step"]]
        assert row["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
        assert (row["generation"], row["phase"], row["candidate"], row["round"]) == (
            (0, "train", 2, 1)
        )
    found = evaluate(ticket.architecture, fitted.ticket.weights, bench.split.validation)
    last = fitted.rows[-1]
    assert (last["val_loss"], last["val_accuracy"]) == (found.loss, found.accuracy)
    assert last["val_calibrated_loss"] == found.calibrated_loss
    assert fitted.steps == marks[-1] == len(steps)


def test_training_costs_three_forwards_on_what_remains(tmp_path: Path) -> None:
    """3 x (32 x 6 + 5 x 6) remaining multiply-adds x samples seen; half of 64 x 6 and 6 x 10."""
    bench, ticket = ground(tmp_path)
    fitted = fit(bench, ticket, job_of(bench, 2.5))
    assert fitted.cost == 3 * (192 + 30) * 18 * BATCH


def test_training_changes_the_weights_alone(tmp_path: Path) -> None:
    """The given ticket is as it was; the trained one has its masks, births and rewind values."""
    bench, ticket = ground(tmp_path)
    digest = replace(ticket).digest
    fitted = fit(bench, ticket, job_of(bench))
    assert replace(ticket).digest == digest != fitted.ticket.digest
    assert fitted.rows[-1]["loss"] < fitted.rows[0]["loss"]
    assert replace(fitted.ticket, weights=ticket.weights).digest == digest


def test_bits_depend_on_the_seed_alone(tmp_path: Path) -> None:
    bench, ticket = ground(tmp_path, *RECIPES["adamw"])
    check_equal(fit(bench, ticket, job_of(bench)), fit(bench, ticket, job_of(bench)))
    other = fit(bench, ticket, job_of(bench, seed=6))
    assert other.ticket.digest != fit(bench, ticket, job_of(bench)).ticket.digest


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("keep_at", [(), (0,), (5, 17)])
def test_a_stopped_training_goes_on_to_the_same_bits(
    recipe: str, keep_at: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the look at the end of each epoch in turn, it goes on from the epoch before.

    A state lost or kept twice (moments, counts, order, windows, dropout, statistics, the rate's
    place, the mean loss) would show in the bits.
    """
    monkeypatch.setattr(insides, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    bench, ticket = ground(tmp_path, *RECIPES[recipe])
    job = job_of(bench, 3.5, keep_at=keep_at, keeps_best=True, tallies=True)
    whole = fit(bench_of(bench.experiment, tmp_path / "apart"), ticket, job)
    assert whole.steps == 24
    for epoch in range(4):
        started = bench.stages.load_checkpoint(job.name)
        assert (started.step if started else 0) == max(0, epoch - 1) * PER_EPOCH
        with pytest.raises(Stop), stopping(insides, "evaluate", min(epoch, 1)):
            fit(bench, ticket, job)
    assert bench.stages.load_checkpoint(job.name) is not None
    check_equal(fit(bench, ticket, job), whole)


def test_what_was_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[int, float]]
) -> None:
    """From the checkpoint on: 21 - 14 steps, yet all 21 are counted and paid."""
    monkeypatch.setattr(insides, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    bench, ticket = ground(tmp_path)
    with pytest.raises(Stop), stopping(insides, "evaluate", 2):
        fit(bench, ticket, job_of(bench))
    steps.clear()
    fitted = fit(bench, ticket, job_of(bench))
    assert [number for number, _ in steps] == list(range(15, 22))
    assert fitted.steps == 21
    assert fitted.cost == 3 * 222 * 21 * BATCH


@pytest.mark.parametrize(("seconds_an_epoch", "last"), [(10, None), (61, 21), (31, 14)])
def test_checkpoints_come_once_a_minute(
    seconds_an_epoch: int,
    last: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the first epoch's end after a minute, and never at the last, which is the stage itself."""
    bench, ticket = ground(tmp_path)
    now = 0.0

    def looked(*arguments: Any) -> Any:
        nonlocal now
        now += seconds_an_epoch
        return evaluate(*arguments)

    monkeypatch.setattr(insides, "perf_counter", lambda: now)
    monkeypatch.setattr(insides, "evaluate", looked)
    fit(bench, ticket, job_of(bench, 4))
    found = bench.stages.load_checkpoint("0000-train")
    assert (found.step if found else None) == last


@pytest.mark.parametrize("step", [0, 5, 7, 21])
def test_kept_weights_are_those_after_so_many_steps(step: int, tmp_path: Path) -> None:
    """With a constant rate the first k steps of a long training are a training of k steps."""
    bench, ticket = ground(tmp_path, "training.schedule=constant")
    fitted = fit(bench, ticket, job_of(bench, keep_at=(step,)))
    short = fit(bench, ticket, job_of(bench, step / PER_EPOCH)) if step else None
    check_same(fitted.kept[step].weights, short.ticket.weights if short else ticket.weights)


def test_nothing_is_kept_unless_asked_for(tmp_path: Path) -> None:
    bench, ticket = ground(tmp_path)
    assert fit(bench, ticket, job_of(bench)).kept == {}


def test_a_hopeless_training_ends_at_a_rung(tmp_path: Path) -> None:
    """Asked at every rung but the last, with the rows so far; what is trained is paid, no more."""
    bench, ticket = ground(tmp_path)
    job = job_of(bench, marks=(5, 9, 21))
    seen: list[int] = []

    def after(stop_at: int) -> Fitted:
        def is_hopeless(rows: list[Row], step: Step) -> bool:
            seen.append(len(rows))
            return len(rows) == stop_at

        return fit(bench, ticket, job, is_hopeless)

    for stop_at, steps in ((1, 5), (2, 9), (3, 21)):
        seen.clear()
        fitted = after(stop_at)
        assert fitted.steps == fitted.rows[-1]["step"] == steps
        assert fitted.cost == 3 * 222 * steps * BATCH
        assert seen == list(range(1, min(stop_at, 2) + 1))
        assert not fitted.is_diverged
    check_equal(after(3), fit(bench, ticket, job))


def test_a_diverged_training_hands_back_what_it_was_given(tmp_path: Path) -> None:
    """It ends at the next look, whose losses are null; its steps are paid."""
    settings = ("training.optimizer=sgd", "training.learning_rate=1e30")
    bench, ticket = ground(tmp_path, *settings)
    fitted = fit(bench, ticket, job_of(bench))
    assert fitted.is_diverged
    assert fitted.ticket.digest == ticket.digest
    assert fitted.steps == PER_EPOCH
    assert fitted.cost == 3 * 222 * PER_EPOCH * BATCH
    assert [fitted.rows[-1][k] for k in ("loss", "val_loss", "val_calibrated_loss")] == [None] * 3


def test_a_loss_that_was_not_finite_on_the_way_is_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NaN among the training losses, though the network evaluates well at the epoch's end."""
    bench, ticket = ground(tmp_path)

    def broken(*arguments: Any, **options: Any) -> Iterator[Step]:
        for step in training(*arguments, **options):
            step.loss = torch.tensor(math.nan) if step.number == 3 else step.loss
            yield step

    monkeypatch.setattr(module, "training", broken)
    assert fit(bench, ticket, job_of(bench)).is_diverged


@given(st.floats(0.1, 5), st.integers(1, 12))
def test_rungs_are_equal_parts(epochs: float, rungs: int) -> None:
    """Rising, from the first step on, each within half a step of its part, the last at the end."""
    bench = bench_of(small(), Path("unused"))
    steps = max(1, round(epochs * PER_EPOCH))
    found = rungs_of(epochs, rungs, bench, bench.experiment.training)
    assert list(found) == sorted(set(found))
    assert found[-1] == steps
    assert found[0] >= 1
    for part in range(1, rungs + 1):
        assert min(abs(rung - max(1.0, steps * part / rungs)) for rung in found) <= 0.5
