"""What is left of data that a network was trained on before."""

from pathlib import Path

import pytest
import torch
from study_scenes import DIGITS, experiment_of, last_scene, scenes_of, supply

from recursive_lth.config import Task
from recursive_lth.study.panel.memory import forgetting, own_accuracy
from recursive_lth.training.evaluate import accuracy

TASKS = (Task("one", pixels="permuted", draw=1), Task("two", pixels="permuted", draw=2))


def test_own_data_are_the_studys(tmp_path: Path) -> None:
    """Whatever the training at hand sees; where it sees them, it is the curve's last accuracy."""
    elsewhere = last_scene(["train 4", "train 1 on=one"], tmp_path, tasks=TASKS)
    own = supply().split(DIGITS, 0).validation
    assert torch.equal(elsewhere.own.validation.images, own.images)
    assert not torch.equal(elsewhere.split.validation.images, own.images)
    found = accuracy(elsewhere.architecture, elsewhere.ticket.weights, own)
    assert own_accuracy(elsewhere) == found
    here = last_scene(["train 2"], tmp_path)
    assert own_accuracy(here) == here.curve[-1]["val_accuracy"]


def test_forgetting_is_what_was_lost_since(tmp_path: Path) -> None:
    """Twin: the mean over earlier data of accuracy right after their last training less now.

    Own data, one, own again, two: at the end there are two others to forget, own and one; own was
    last learnt in the third training.
    """
    moves = ["train 3", "train 3 on=one", "train 3", "train 3 on=two"]
    scenes = scenes_of(experiment_of(moves, tasks=TASKS), tmp_path)
    ends = [scene for scene in scenes if scene.moment == 1]
    assert len(ends) == 4
    parts = {
        name: supply().split(task.of(DIGITS), 0).validation
        for name, task in (("one", TASKS[0]), ("own", Task("own")))
    }
    last = ends[-1]
    lost = [
        then.curve[-1]["val_accuracy"]
        - accuracy(last.architecture, last.ticket.weights, parts[name])
        for name, then in (("own", ends[2]), ("one", ends[1]))
    ]
    assert forgetting(last) == pytest.approx(sum(lost) / 2)
    assert len(ends[2].past) == 1
    assert forgetting(ends[0]) is None


def test_learning_else_forgets_and_nothing_else_does(tmp_path: Path) -> None:
    """At the beginning of a training all is as the last one left it; afterwards it is lost.

    The same images with other labels leave nothing, but where a class kept its name.
    """
    tasks = [Task("renamed", labels="permuted")]
    scenes = scenes_of(experiment_of(["train 6", "train 20 on=renamed"], tasks=tasks), tmp_path)
    begin, end = scenes[-2:]
    assert forgetting(begin) == 0
    lost = forgetting(end)
    assert lost is not None
    assert lost > 0.2
