"""The barrier to the parent: twins by another arm and by hand, and where it says nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from studies import in_folder, plan, run, small
from study_scenes import end_of, experiment_of, last_scene, scenes_of
from torch import Tensor

from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Study, Task
from recursive_lth.errors import InputError
from recursive_lth.running.supply import Supply
from recursive_lth.running.trainings import Trainings
from recursive_lth.running.wanted import Wanted
from recursive_lth.study.panel.catalogue import PANEL, panel_of
from recursive_lth.study.panel.drift import barrier_from_start
from recursive_lth.study.panel.rivals import barrier_from, barrier_to_parent
from recursive_lth.study.run import planned
from recursive_lth.study.scene import Scene
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import evaluate

BEFORE, AFTER = ["train 2", "prune 0.5"], "train 2 by=epochs"
READ = Study(readings="all", looks=4, samples=40, moments=(0.0, 0.5, 1.0))
NAME = "barrier_to_parent"


def above_line(scene: Scene, first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The highest of 11 losses over the straight line between the ends' own, one by one."""
    losses = []
    for share in (i / 10 for i in range(11)):
        between = {n: (1 - share) * first[n] + share * second[n] for n in second}
        losses.append(evaluate(scene.architecture, between, scene.validation_samples).loss)
    ends = losses[0], losses[-1]
    return max(v - (1 - i / 10) * ends[0] - i / 10 * ends[1] for i, v in enumerate(losses))


def deepened(parent: Ticket, child: Ticket) -> dict[str, Tensor]:
    """The parent's weights in a child with one more layer, by hand: that layer is the identity."""
    (new,) = {name.split(".")[0] for name in child.weights} - {
        name.split(".")[0] for name in parent.weights
    }
    units = len(child.weights[f"{new}.bias"])
    identity = {f"{new}.weight": torch.eye(units), f"{new}.bias": torch.zeros(units)}
    return {**parent.weights, **identity}


@pytest.mark.parametrize("settings", ["", " state=carry", " learning_rate=0.003", " on=few"])
def test_the_parent_is_trained_as_an_arm_that_never_grows(settings: str, tmp_path: Path) -> None:
    """Twin: that arm's network half way and at the end, in the child's shape by hand.

    Half way is half of the child's own schedule, and no training of half the length.
    """
    how: dict[str, Any] = {"study": READ, "tasks": [Task("few", train_limit=100)]}
    moves = [*BEFORE, "grow deepen initialisation=identity", AFTER + settings]
    grown = scenes_of(experiment_of(moves, **how), tmp_path / "grown", keeps_state=True)
    rival = scenes_of(experiment_of([*BEFORE, AFTER + settings], **how), tmp_path / "rival",
                      keeps_state=True)  # fmt: skip
    for here, there in zip(grown[-2:], rival[-2:], strict=True):
        assert here.moment == there.moment
        twin = above_line(here, deepened(there.ticket, here.ticket), here.ticket.weights)
        assert barrier_to_parent(here) == pytest.approx(twin, abs=1e-5)


@pytest.mark.parametrize(
    "growths",
    [
        ["grow deepen initialisation=identity"],
        ["grow split ratio=0.5", "remember", "grow widen mask=constant_budget"],
        ["grow deepen_widen initialisation=variance_transfer"],
        ["grow rewire initialisation=rigl"],
    ],
)
def test_a_parent_that_is_not_trained_is_where_the_child_began(
    growths: Sequence[str], tmp_path: Path
) -> None:
    """Through all growths, bit by bit; trained it is elsewhere."""
    moves = [*BEFORE, *growths, "train 1"]
    here = last_scene(moves, tmp_path)
    grown = end_of(experiment_of(moves), tmp_path).trainings[-1].grown
    assert here.parent is not None
    assert grown is not None
    parent = grown.parent.ticket
    assert len(here.parent.sprouts) == sum(move.startswith("grow") for move in growths)
    assert parent.architecture == here.parent.sprouts[0].morph.before
    assert barrier_from(here, parent) == barrier_from_start(here)
    learnt = here.parent.learnt()
    assert learnt is not None
    assert not torch.equal(learnt.weights["output.weight"], parent.weights["output.weight"])
    assert barrier_to_parent(here) == barrier_from(here, learnt)


@pytest.mark.parametrize(
    "moves",
    [
        ["train 1"],
        ["train 1", "grow deepen", "train 0.5", "train 0.5"],
        ["train 1", "grow deepen", "prune 0.5", "train 0.5"],
        ["train 1", "grow deepen", "remake reinit", "train 0.5"],
    ],
)
def test_it_says_nothing_where_the_network_has_not_just_grown(
    moves: Sequence[str], tmp_path: Path
) -> None:
    here = last_scene(moves, tmp_path)
    assert here.parent is None
    assert barrier_to_parent(here) is None


def test_a_contrast_with_what_has_not_grown_is_refused() -> None:
    """Before anything is trained; of two that have grown it may run."""
    arms = {
        "plain": ("train 1", "train 0.5"),
        "deep": ("train 1", "grow deepen", "train 0.5"),
        "wide": ("train 1", "grow widen", "train 0.5"),
    }
    panel = f'study.panel=["{NAME}"]'
    plain, wide = (
        small(panel, arms=arms, contrasts=[f"x: deep > {other} in {NAME}"])
        for other in ("plain", "wide")
    )
    supply = Supply(None, torch.device("cpu"))
    with pytest.raises(InputError, match="says nothing of 'plain', which has not just grown"):
        planned(plain, supply)
    assert planned(wide, supply).probing > 0


def test_a_parent_that_diverges_says_nothing(tmp_path: Path) -> None:
    here = last_scene([*BEFORE, "grow deepen", "train 0.2"], tmp_path)
    assert here.parent is not None
    assert (
        barrier_to_parent(replace(here, parent=replace(here.parent, learnt=lambda: None))) is None
    )


def test_what_it_trains_is_planned(tmp_path: Path) -> None:
    """The child's steps at the parent's cost, once for all moments and seeds; in no cheap set."""
    arms = {
        "grown": ("train 1", "prune 0.5", "grow widen ratio=2", "train 0.5"),
        "plain": ("train 1",),
    }
    moments = "study.moments=[0.0,0.5,1.0]"
    wanted = small(moments, f'study.panel=["val_loss","{NAME}"]', arms=arms)
    found, plain = plan(wanted), plan(small(moments, arms=arms))
    child = found.stands["grown"].trainings[1]
    parent = round(0.5 * (64 * 16 + 16 * 10))
    trained = training_cost(parent, 12 * child.steps)
    line = 2 * PANEL[NAME].passes * 30 * training_cost(64 * 16 + 16 * 10, 1)
    assert found.probing == pytest.approx(2 * (trained + line), abs=4)
    assert found.multiply_adds - plain.multiply_adds == found.probing
    assert NAME not in panel_of(["default"])
    assert plan(small("study.moments=[0.0]", f'study.panel=["{NAME}"]', arms=arms)).probing == 0


@pytest.mark.parametrize("carries", [False, True])
def test_a_run_reads_it_after_growth_alone(
    carries: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a moment after the first; an arm that trains as the parent would shares its training.

    Also where another arm carries its optimizer on, so that all keep theirs.
    """
    trained: set[str] = set()

    def spy(self: Trainings, freed: Sequence[Wanted]) -> None:
        trained.update(each.job.name for each in freed)
        want(self, freed)

    want = Trainings.want
    monkeypatch.setattr(Trainings, "want", spy)
    same = "train 1 by=epochs"
    arms = {
        "grown": ("train 1", "grow deepen", same),
        "plain": ("train 1", same),
        **({"carried": ("train 1", f"{same} state=carry")} if carries else {}),
    }
    experiment = small(f'study.panel=["{NAME}","barrier_from_start"]', "study.seeds=1", arms=arms)
    lines = run(experiment, tmp_path)
    read = {(line["arm"], line["moment"]): line["values"] for line in lines}
    assert read["grown", 0.0] == read["plain", 0.0] == {}
    assert read["plain", 1.0][NAME] is None
    assert read["grown", 1.0][NAME] >= 0
    told = in_folder(experiment, tmp_path, "summary.json")["measures"][NAME]
    assert told["trains_parent"]
    assert len(trained) == 3 + carries  # the first of all, and one each
