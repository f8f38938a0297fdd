"""Judging growths: the same batches for all, fair costs, early stops, and who may win."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from judged import DEEPEN, MELT, WIDEN, WIDER, Scripted, all_stop, first_ticket, statuses
from search_runs import BATCH, PER_EPOCH, bench_of, small
from torch import Generator, Tensor

from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.certificate import BrokenPromiseError
from recursive_lth.growth.compound import grow_any as real_grow
from recursive_lth.growth.grow import Sprout
from recursive_lth.running import inside as insides
from recursive_lth.running.evidence import CERTIFIED_SAMPLES
from recursive_lth.running.job import Job
from recursive_lth.search.judging import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batch, Batches
from recursive_lth.training.evaluate import Evaluation, evaluate


def test_not_growing_is_candidate_0(judged: Scripted) -> None:
    """Whatever is proposed, and also where nothing is: the parent itself, trained on, gain 0."""
    for steps in ((), (WIDEN,), (MELT, DEEPEN)):
        standing = judged(*steps, folder=str(len(steps))).candidates[0]
        assert (standing.number, standing.asked, standing.growth) == (0, None, None)
        assert (standing.gain, standing.rungs) == (0.0, (0.0, 0.0))
        assert standing.training_steps == 2 * PER_EPOCH
        assert standing.training_cost == 3 * 178 * 2 * PER_EPOCH * BATCH  # .4 x 444 remain


def test_all_candidates_see_the_same_batches_in_the_same_order(
    judged: Scripted, trained: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Common random numbers: samples, their order and their shifted windows, to the last bit."""
    seen = dict[int | None, list[str]]()
    original = Batches.epoch

    def spied(self: Batches, generator: Generator) -> Batch:
        batch = original(self, generator)

        def drawn(indices: Tensor, places: slice) -> Tensor:
            images = batch(indices, places)
            content = images.numpy().tobytes() + self.labels[indices].numpy().tobytes()
            name = (
                trained[-1].labels["candidate"] if trained else None
            )  # None: the first ticket's training
            seen.setdefault(name, []).append(hashlib.sha256(content).hexdigest())
            return images

        return drawn

    monkeypatch.setattr(Batches, "epoch", spied)
    judged(WIDEN, DEEPEN, settings=("training.shift=1",))
    assert len(seen[0]) == len(set(seen[0])) == 2 * PER_EPOCH
    assert seen[0] == seen[1] == seen[2]


def test_growths_that_come_to_the_same_are_one_candidate(
    judged: Scripted, trained: list[Job]
) -> None:
    """A network with one hidden layer has one symbol to widen, wherever the place points.

    The second is not trained: it bears the first one's numbers and costs nothing.
    """
    again = replace(WIDEN, place=0.9)
    seedling = judged(WIDEN, DEEPEN, again)
    assert sorted(job.labels["candidate"] for job in trained) == [0, 0, 1, 1, 2, 2]
    one, other = seedling.candidates[1], seedling.candidates[3]
    assert other.status == "repeated"
    assert (other.training_cost, other.training_steps) == (0, 0)
    assert other.asked == {**(one.asked or {}), "place": 0.9}
    assert (other.loss, other.gain, other.accuracy) == (one.loss, one.gain, one.accuracy)
    assert (other.rungs, other.growth, other.epochs) == (one.rungs, one.growth, one.epochs)
    assert other.reason == "the same growth as candidate 1"
    assert [row["candidate"] for row in seedling.rows] == [0, 0, 1, 1, 2, 2]


def test_what_is_repeated_is_no_better_than_it_was(judged: Scripted) -> None:
    """The twin of a stopped candidate is stopped, that of a failed one failed, at no cost."""
    seedling = judged(MELT, WIDEN, MELT, WIDEN, cut=all_stop)
    assert statuses(seedling) == ["chosen", "failed", "stopped", "failed", "stopped"]
    assert seedling.candidates[4].training_steps == 0


def test_a_policy_that_repeats_itself_is_cut_short(judged: Scripted) -> None:
    """Repeats and failures do not count as candidates, but three times their number is enough."""
    enough = judged(*[WIDEN] * 99, settings=("growth.candidates=2",))
    assert len(enough.candidates) - 1 == 6
    two = ("growth.candidates=2",)
    mixed = judged(WIDEN, WIDEN, MELT, DEEPEN, WIDER, settings=two, folder="mixed")
    assert [c.training_steps > 0 for c in mixed.candidates] == [True, True, False, False, True]


def test_a_growth_that_cannot_be_is_failed(judged: Scripted) -> None:
    """It keeps its number and says why; the others go on."""
    seedling = judged(MELT, WIDEN)
    failed = seedling.candidates[1]
    assert (failed.number, failed.status, failed.growth, failed.loss) == (1, "failed", None, None)
    assert (failed.training_cost, failed.training_steps, failed.rungs) == (0, 0, ())
    assert (failed.asked or {})["operator"] == "melt"
    assert "unknown operator 'melt'" in failed.reason
    assert seedling.candidates[2].status in {"judged", "chosen"}


def test_a_broken_promise_stops_the_run(judged: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that changes the function against its word is a fault, not a bad candidate."""

    def broken(*_: Any, **__: Any) -> Sprout:
        raise BrokenPromiseError("changed a logit")

    monkeypatch.setattr(birth, "grow_any", broken)
    with pytest.raises(BrokenPromiseError):
        judged(WIDEN)


def test_a_diverging_candidate_is_failed_and_paid(
    judged: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A growth born with an infinite weight: it ends at its first rung, is paid, and cannot win."""

    def wild(ticket: Ticket, step: GrowthStep, *more: Any, **options: Any) -> Sprout:
        sprout = real_grow(ticket, step, *more, **options)
        if step.operator != "deepen":
            return sprout
        bias = {"g2.bias": torch.full((6,), math.inf)}
        return replace(sprout, ticket=replace(sprout.ticket, weights=sprout.ticket.weights | bias))

    monkeypatch.setattr(birth, "grow_any", wild)
    seedling = judged(DEEPEN, WIDEN)
    failed = seedling.candidates[1]
    assert (failed.status, failed.loss, failed.gain) == ("failed", None, None)
    assert failed.reason == "the short training diverged"
    assert failed.training_steps == PER_EPOCH
    assert failed.training_cost == 3 * (178 + 36) * PER_EPOCH * BATCH
    assert failed.growth is not None
    assert "chosen" in statuses(seedling)


def test_where_even_not_growing_diverges_nothing_is_judged(
    judged: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_ticket()
    infinite = Evaluation(0.0, math.inf, math.inf, 1.0, 30)
    monkeypatch.setattr(insides, "evaluate", lambda *_: infinite)
    with pytest.raises(InputError, match=r"generation 2 diverges even without .*learning_rate"):
        judged(WIDEN)


def test_the_least_calibrated_loss_wins(judged: Scripted) -> None:
    """Among those judged to the end; the seedling is that candidate, trained."""
    seedling = judged(WIDEN, DEEPEN, WIDER)
    losses = {c.number: c.loss for c in seedling.candidates}
    assert None not in losses.values()
    winner = min(losses, key=lambda number: losses[number] or 0.0)
    assert [c.number for c in seedling.candidates if c.status == "chosen"] == [winner]
    assert seedling.growth == seedling.candidates[winner].growth
    assert (seedling.certificate is None) == (seedling.growth is None)
    bench = bench_of(small(), Path("unused"))
    found = evaluate(seedling.ticket.architecture, seedling.ticket.weights, bench.split.validation)
    assert found.calibrated_loss == losses[winner]
    for candidate in seedling.candidates:
        rows = [row for row in seedling.rows if row["candidate"] == candidate.number]
        assert candidate.loss == rows[-1]["val_calibrated_loss"]
        assert candidate.accuracy == rows[-1]["val_accuracy"]
        standing = [r["val_calibrated_loss"] for r in seedling.rows if r["candidate"] == 0]
        pairs = zip(standing, rows, strict=True)
        assert candidate.rungs == tuple(s - row["val_calibrated_loss"] for s, row in pairs)
        assert candidate.gain == candidate.rungs[-1]


def test_a_tie_goes_to_not_growing(judged: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A growth must gain something."""
    first_ticket()
    monkeypatch.setattr(insides, "evaluate", lambda *_: Evaluation(0.5, 1.0, 1.0, 1.0, 30))
    seedling = judged(WIDEN, DEEPEN)
    assert statuses(seedling) == ["chosen", "judged", "judged"]


def test_a_final_proposal_is_obeyed_without_judging(judged: Scripted, trained: list[Job]) -> None:
    """No candidates, no training, no cost; its errors are the user's."""
    seedling = judged(WIDEN, is_final=True)
    assert (seedling.candidates, seedling.rows, trained) == ((), [], [])
    assert (seedling.growth or {})["new_units"] == {"fc1": 3}
    assert seedling.ticket.architecture.widths["fc1"] == 9
    assert (seedling.certificate or {})["samples"] == CERTIFIED_SAMPLES
    with pytest.raises(InputError, match="unknown operator 'melt'"):
        judged(MELT, is_final=True)


def test_what_was_judged_is_recalled(judged: Scripted, trained: list[Job]) -> None:
    """A second time over the same stages trains nothing and comes to the same."""
    steps = (WIDEN, replace(WIDEN, place=0.9), MELT, DEEPEN)
    first = judged(*steps)
    assert sorted(job.labels["candidate"] for job in trained) == [0, 0, 1, 1, 4, 4]
    second = judged(*steps)
    assert (len(trained), second.candidates) == (6, first.candidates)
    assert second.ticket.digest == first.ticket.digest
    assert (second.growth, second.certificate) == (first.growth, first.certificate)
    assert second.rows == first.rows
