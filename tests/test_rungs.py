"""From rung to rung: who goes on, who is stopped, and races under further seeds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from judged import DEEPEN, WIDEN, WIDER, Scripted, all_stop, statuses
from search_runs import PER_EPOCH, bench_of, small

from recursive_lth.running import inside as insides
from recursive_lth.running.job import Job
from recursive_lth.search.judging.cohort import marks_of
from recursive_lth.search.judging.cuts import Rung
from recursive_lth.training.evaluate import Evaluation, evaluate

THREE = ("growth.judge_epochs=4", "growth.rungs=3", "growth.keep=0.4")  # 28 steps
SPREAD = {
    ("median", 0.0): (9, 19, 28),
    ("halving", 0.0): (4, 11, 28),
    ("median", 0.25): (2, 7, 28),
    ("halving", 0.25): (2, 7, 28),
    ("median", 0.5): (7, 14, 28),
    ("halving", 0.5): (7, 14, 28),
}


@pytest.mark.parametrize(("cut", "spacing"), SPREAD)
def test_rungs_come_at_a_share_of_the_next(cut: str, spacing: float, tmp_path: Path) -> None:
    """At 28 s^2, 28 s and 28 steps, s the spacing, or else what is kept where they are halved.

    Without either in equal parts: 28/3, 56/3 and 28.
    """
    experiment = small(*THREE, f"growth.cut={cut}", f"growth.spacing={spacing}")
    assert marks_of(bench_of(experiment, tmp_path)) == SPREAD[cut, spacing]


@pytest.mark.parametrize("spacing", [0.0, 0.25, 0.5])
def test_candidates_are_compared_at_these_rungs(
    spacing: float, judged: Scripted, trained: list[Job]
) -> None:
    """The parts of every short training end there."""
    judged(WIDEN, settings=(*THREE, f"growth.spacing={spacing}"))
    ends = [job.marks for job in trained if job.labels["candidate"] == 1]
    assert ends == [(mark,) for mark in SPREAD["median", spacing]]


def test_a_candidate_left_behind_is_stopped_at_its_rung(judged: Scripted) -> None:
    """The cut hears its gains so far, it pays for what it trained, and never wins."""
    heard: list[Rung] = []

    def listening(rung: Rung) -> frozenset[int]:
        heard.append(rung)
        return frozenset()

    stopped = judged(WIDEN, cut=listening).candidates
    whole = judged(WIDEN, folder="whole").candidates
    assert stopped[1].status == "stopped"
    assert stopped[1].rungs == whole[1].rungs[:1] == heard[0].gains[1] == heard[0].merits[1]
    assert (heard[0].others, heard[0].steps) == ([(0.0,)], (PER_EPOCH,))
    assert stopped[1].training_steps * 2 == whole[1].training_steps
    assert stopped[1].training_cost * 2 == whole[1].training_cost
    assert stopped[1].epochs == 1.0
    assert stopped[1].reason == "left behind at rung 1 (growth.cut=median)"


def test_parts_come_to_the_bits_of_one_piece(judged: Scripted, trained: list[Job]) -> None:
    """From rung to rung is only where one looks: more of them change no bit at the end."""
    one = judged(WIDEN, DEEPEN, settings=("growth.rungs=1",), folder="one")
    three = judged(WIDEN, DEEPEN, settings=("growth.rungs=3",), folder="three")
    assert len(trained) == 3 * 4
    assert [c.loss for c in one.candidates] == [c.loss for c in three.candidates]
    for name, tensor in one.ticket.weights.items():
        assert tensor.equal(three.ticket.weights[name])
    assert [len(c.rungs) for c in three.candidates] == [3, 3, 3]


def test_those_asked_together_wait_for_one_another(judged: Scripted, trained: list[Job]) -> None:
    """Two at a time: the third is asked for when the first two are judged."""
    judged(WIDEN, DEEPEN, WIDER, settings=("growth.together=2", "growth.rungs=1"))
    *cohort, last = [job.labels["candidate"] for job in trained]
    assert (sorted(cohort), last) == ([0, 1, 2], 3)
    with_all = judged(WIDEN, DEEPEN, WIDER, settings=("growth.rungs=2",), folder="all")
    rungs = [[job.labels["candidate"] for job in part] for part in (trained[4:8], trained[8:])]
    assert [sorted(rung) for rung in rungs] == [[0, 1, 2, 3]] * 2
    assert statuses(with_all).count("judged") == 3


def test_stopped_ones_never_win(judged: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where every growth has a hundredth of the loss of not growing."""

    def flattering(architecture: Any, weights: Any, samples: Any, forward: Any) -> Evaluation:
        found = evaluate(architecture, weights, samples, forward)
        factor = 0.01 if weights["fc1.weight"].shape[0] > 6 else 1.0
        return replace(found, calibrated_loss=found.calibrated_loss * factor)

    monkeypatch.setattr(insides, "evaluate", flattering)
    seedling = judged(WIDEN, WIDER, cut=all_stop)
    assert statuses(seedling) == ["chosen", "stopped", "stopped"]
    assert all(c.gain and c.gain > 0 for c in seedling.candidates[1:])
    assert seedling.growth is None
    assert statuses(judged(WIDEN, WIDER, folder="whole"))[0] == "judged"
