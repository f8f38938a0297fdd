"""Probes: what they train, and slow twins of what they tell of it."""

import itertools
from pathlib import Path

import pytest
import torch
from probe_scenes import distinct, scene, spied
from study_scenes import WAY, experiment_of, last_scene, scenes_of

from recursive_lth.config import Data, Task
from recursive_lth.study.panel.catalogue import PANEL
from recursive_lth.study.panel.probes import (
    DRAW,
    LOOKS,
    NEW_LABELS,
    NEW_TASK,
    SHORT,
    instability,
    new_task_accuracy,
    new_task_loss_area,
    random_label_fit,
    random_label_loss_area,
)
from recursive_lth.training.evaluate import accuracy, evaluate


def test_instability_is_that_of_its_two_ends() -> None:
    """Twin: the highest error of 11 networks between them over the mean of the ends'."""
    here = scene("fresh")
    one, other = (
        here.fit("instability", here.ticket, epochs=SHORT, order=o, looks=LOOKS).ticket.weights
        for o in (0, 1)
    )
    errors = []
    for share in (i / 10 for i in range(11)):
        between = {n: (1 - share) * one[n] + share * other[n] for n in one}
        errors.append(1 - accuracy(here.architecture, between, here.validation_samples))
    assert instability(here) == pytest.approx(max(errors) - (errors[0] + errors[-1]) / 2)


def test_new_task_is_new_and_told_as_it_was() -> None:
    """Twins: the last accuracy, and the trapezoids over looks, from before the first step."""
    here = scene("trained")
    fitted = here.fit("new task", here.ticket, epochs=SHORT, changes=NEW_TASK, looks=LOOKS)
    there = here.parts(NEW_TASK).validation
    assert not torch.equal(there.images, here.split.validation.images)
    assert not torch.equal(there.labels, here.split.validation.labels)
    found = evaluate(here.architecture, fitted.ticket.weights, there)
    assert new_task_accuracy(here) == pytest.approx(found.accuracy)
    at_first = evaluate(here.architecture, here.ticket.weights, there).loss
    looks = [(0, at_first), *((row["step"], row["val_loss"]) for row in fitted.rows)]
    whole = sum((b - a) * (x + y) / 2 for (a, x), (b, y) in itertools.pairwise(looks))
    assert len(looks) == LOOKS + 1
    assert new_task_loss_area(here) == pytest.approx(whole / looks[-1][0])


def test_random_labels_are_few_and_known_by_heart() -> None:
    """As many as `samples`; the share of them that the trained copy tells right."""
    here, spy = spied(scene("fresh"))
    found = random_label_fit(here)
    ((_, ticket, how),) = spy.calls
    known = here.parts(how["changes"]).train
    assert len(known) == here.count
    fitted = here.fit("random labels", ticket, **how)
    assert found == accuracy(here.architecture, fitted.ticket.weights, known)
    lost = random_label_loss_area(here)
    assert lost is not None
    last = evaluate(here.architecture, fitted.ticket.weights, known).loss
    assert last < lost < evaluate(here.architecture, ticket.weights, known).loss
    each = [row["loss"] for row in fitted.rows]
    assert lost == pytest.approx(sum(each) / len(each), rel=0.02)  # looks are about evenly spread
    assert fitted.steps * WAY.batch_size == pytest.approx(30 * len(known), rel=0.02)
    shares = known.labels.bincount(minlength=10) / len(known)
    assert float(shares.max()) < 0.25


@pytest.mark.parametrize("way", ["learning_rate=1e-4", "label_smoothing=0.2", "batch_size=7"])
def test_one_network_can_learn_the_same_however_it_goes_on(way: str, tmp_path: Path) -> None:
    """Before two trainings by different settings stands one network, so probes tell one number."""
    plain, other = (
        scenes_of(experiment_of([move]), tmp_path)[0] for move in ("train 1", f"train 1 {way}")
    )
    assert plain.ticket.digest == other.ticket.digest
    for name in ("new_task_loss_area", "random_label_loss_area"):
        assert PANEL[name].read(plain) == PANEL[name].read(other)


def test_probes_lay_their_changes_over_spoilt_labels(tmp_path: Path) -> None:
    """Noise belongs to true labels alone; of data that are limited no more is taken."""
    noisy = Data("digits", train_limit=60, test_limit=40, validation_fraction=0.2, label_noise=0.3)
    here, spy = spied(last_scene(["train 0.5"], tmp_path, data=noisy))
    assert random_label_fit(here) is not None
    assert new_task_accuracy(here) is not None
    assert [call[2]["changes"]["draw"] for call in spy.calls] == [DRAW, DRAW]
    assert len(here.parts(spy.calls[0][2]["changes"]).train) == 30
    assert torch.equal(here.parts(NEW_LABELS).train.images, here.split.train.images)


def test_noise_of_a_task_is_no_matter_to_a_probe(tmp_path: Path) -> None:
    """Whose labels are permuted, which cannot be noisy as well."""
    here = last_scene(
        ["train 0.5 on=noisy"], tmp_path, tasks=[Task("noisy", label_noise=0.5, draw=3)]
    )
    assert new_task_accuracy(here) is not None


def test_what_the_early_phase_needs_is_arms(tmp_path: Path) -> None:
    """The tasks of the module's text, each before the real one, for half an epoch."""
    tasks = [
        Task("blurred", pixels="blurred"),
        Task("turned", labels="rotation"),
        Task("nonsense", labels="random"),
    ]
    ends = {}
    for task in ("", *(task.name for task in tasks)):
        moves = [f"train 0.5{f' on={task}' if task else ''}", "train 2"]
        ends[task] = last_scene(moves, tmp_path / (task or "own"), tasks=tasks)
    digests = {end.before.digest for end in ends.values()}
    assert len(digests) == 4
    assert len({end.data for end in ends.values()}) == 1
    assert len({end.spent for end in ends.values()}) == 1


@pytest.mark.parametrize("name", [n for n, m in PANEL.items() if m.kind == "probe"])
def test_a_probe_trains_what_it_says(name: str) -> None:
    """As many trainings, and as many epochs, or passes over `samples` of random labels."""
    here, spy = spied(scene("pruned"))
    measure = PANEL[name]
    measure.read(here)
    epochs = list(distinct(spy).values())
    if "random_label" in name:
        passes = sum(epochs) * len(here.own.train) / here.count
        assert passes == pytest.approx(measure.passes)
        return
    assert sorted(epochs) == sorted(measure.trains.values())


def test_probes_share_their_trainings() -> None:
    """All of them together train what the plan counts once, by the names of the trainings."""
    here, spy = spied(scene("pruned"))
    named: dict[str, float] = {}
    for measure in PANEL.values():
        if measure.trains:
            measure.read(here)
            named |= measure.trains
    assert sorted(distinct(spy).values()) == sorted(named.values())
