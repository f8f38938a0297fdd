"""Probes: what they train, slow twins of what they tell, and planted effects that they must find.

An effect is planted in a network at hand: weights of 0, which no gradient moves but in the last
bias; weights 30 times as large; a long training on random labels, which ages a network (Lyle et al.
2023, arXiv 2303.01486). What is planted is far beyond what a seed moves.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from study_scenes import experiment_of, last_scene, scenes_of

from recursive_lth.config import Data, Study, Task
from recursive_lth.running.fit import Fitted
from recursive_lth.study.panel.catalogue import PANEL
from recursive_lth.study.panel.probes import (
    DRAW,
    LOOKS,
    NEW_LABELS,
    NEW_TASK,
    SHORT,
    accuracy_of,
    instability,
    learning_loss_area,
    new_task_accuracy,
    new_task_loss_area,
    random_label_fit,
)
from recursive_lth.study.panel.rivals import (
    LONG,
    PERTURB,
    SHRINK,
    against_fresh,
    fresh_like,
    further_accuracy,
    shrink_perturb_gain,
    warm_start_gap,
)
from recursive_lth.study.scene import Scene
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import accuracy, evaluate

WHOLE = Data("digits", test_limit=40, validation_fraction=0.2)
NONSENSE = Task("nonsense", labels="random")
READ = Study(readings="all", looks=4, samples=100)


@cache
def folder(name: str) -> TemporaryDirectory[str]:
    """Where the probes of an arm leave their trainings, for all tests."""
    return TemporaryDirectory()


@cache
def scene(name: str) -> Scene:
    """A scene by the name of what was done to its network."""
    moves, number = ARMS[name]
    experiment = experiment_of(moves, data=WHOLE, tasks=[NONSENSE], study=READ)
    return scenes_of(experiment, Path(folder(name).name))[number]


ARMS: dict[str, tuple[list[str], int]] = {
    "fresh": (["train 1"], 0),
    "trained": (["train 5"], -1),
    "pruned": (["train 2", "prune 0.3", "train 2"], -1),
    "aged": (["train 60 on=nonsense", "train 0.1"], -2),
}


def scaled(here: Scene, factor: float) -> Scene:
    """The scene with all weights times a factor, biases as they are."""
    weights = {n: t * factor if n.endswith("weight") else t for n, t in here.ticket.weights.items()}
    return replace(here, ticket=replace(here.ticket, weights=weights))


@dataclass
class Spied:
    """A fit that notes what it is asked for and does it."""

    fit: Callable[..., Fitted]
    calls: list[tuple[str, Ticket, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, name: str, ticket: Ticket, **how: Any) -> Fitted:
        self.calls.append((name, ticket, how))
        return self.fit(name, ticket, **how)


def spied(here: Scene) -> tuple[Scene, Spied]:
    """The scene with a fit that can be asked what it was asked for."""
    spy = Spied(here.fit)
    return replace(here, fit=spy), spy


@pytest.mark.parametrize("name", ["plasticity", "random_label_plasticity", "new_labels_plasticity"])
@pytest.mark.parametrize("factor", [0.0, 30.0])
def test_a_network_that_cannot_move_has_less_plasticity(name: str, factor: float) -> None:
    """Than the fresh one, and than what it was before it was spoilt."""
    fresh = scene("fresh")
    spoilt = PANEL[name].read(scaled(fresh, factor))
    young = PANEL[name].read(fresh)
    assert spoilt is not None
    assert young is not None
    assert spoilt < -0.15
    assert spoilt < young - 0.15


def test_random_labels_age_a_network() -> None:
    """Sixty epochs of learning nonsense by heart leave less room for other nonsense."""
    aged = PANEL["random_label_plasticity"].read(scene("aged"))
    young = PANEL["random_label_plasticity"].read(scene("fresh"))
    assert aged is not None
    assert young is not None
    assert aged < -0.1 < young


def test_another_fresh_network_is_no_other() -> None:
    """The fresh rival against itself: no difference, to the bit."""
    fresh = scene("fresh")
    rival = replace(fresh, ticket=fresh_like(fresh))
    for read in (new_task_accuracy, random_label_fit, learning_loss_area):
        assert against_fresh(read)(rival) == 0
    assert warm_start_gap(rival) == 0


def test_fresh_like_is_of_the_same_shape_and_none_of_the_weights() -> None:
    """Masks are kept and hold; the same for every scene of a seed with these masks."""
    here = scene("pruned")
    fresh = fresh_like(here)
    assert fresh.architecture == here.architecture
    for name, mask in here.ticket.masks.items():
        assert torch.equal(fresh.masks[name], mask)
        assert not bool(fresh.weights[name][~mask].any())
        assert not torch.equal(fresh.weights[name], here.ticket.weights[name])
        assert not torch.equal(fresh.weights[name], here.ticket.rewind[name] * mask)
    spoilt = fresh_like(scaled(here, 2.0))
    assert spoilt.digest == fresh.digest


def test_what_it_knows_is_a_head_start() -> None:
    """Of its own data a trained network loses less on the way; nothing of it is left elsewhere."""
    known = PANEL["learning_against_fresh"].read(scene("trained"))
    new = PANEL["plasticity"].read(scene("trained"))
    assert known is not None
    assert new is not None
    assert known < -0.5
    assert abs(new) < 0.15


def test_a_warm_start_hurts_who_cannot_move() -> None:
    """And what is shaken can: weights of 0 get a gradient from fresh ones."""
    stuck = scaled(scene("fresh"), 0.0)
    gap, gain = warm_start_gap(stuck), shrink_perturb_gain(stuck)
    assert gap is not None
    assert gain is not None
    assert gap > 0.5
    assert gain > 0.5


def test_stable_once_trained_and_not_before() -> None:
    """Frankle et al.: the barrier falls as training goes on; the same order twice has none."""
    fresh, trained = instability(scene("fresh")), instability(scene("trained"))
    assert fresh is not None
    assert trained is not None
    assert fresh > trained + 0.02
    here = scene("fresh")

    def in_one_order(name: str, ticket: Ticket, **how: Any) -> Fitted:
        return here.fit(name, ticket, **{**how, "order": 0})

    assert instability(replace(here, fit=in_one_order)) == 0


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
    batch = here.recipe.batch_size
    assert fitted.steps * batch == pytest.approx(30 * len(known), rel=0.02)
    shares = known.labels.bincount(minlength=10) / len(known)
    assert float(shares.max()) < 0.25


@pytest.mark.parametrize(
    ("read", "name", "epochs"),
    [
        (warm_start_gap, "further", LONG),
        (PANEL["plasticity"].read, "new task", SHORT),
        (PANEL["new_labels_plasticity"].read, "new labels", SHORT),
    ],
)
def test_rivals_train_alike(
    read: Callable[[Scene], float | None], name: str, epochs: float
) -> None:
    """On the same data and batches, at the cost it says: more steps where masks are sparser."""
    here, spy = spied(scene("pruned"))
    assert read(here) is not None
    (one, mine, how), (other, fresh, likewise) = spy.calls
    assert one == other == name
    assert how == likewise
    assert how["epochs"] == epochs
    assert mine.digest == here.ticket.digest
    assert fresh.digest == fresh_like(here).digest
    costs = [here.fit(name, ticket, **how).cost for ticket in (mine, fresh)]
    assert costs[0] == costs[1]
    assert costs[0] == pytest.approx(epochs * here.epoch_cost, rel=0.02)


def test_shrink_perturb_moves_as_it_says() -> None:
    """The copy that is trained has 0.6 of the weights and 0.1 of fresh ones; the other is as is."""
    here, spy = spied(scene("pruned"))
    gain = shrink_perturb_gain(here)
    (_, moved, _), (_, plain, _) = spy.calls
    assert plain.digest == here.ticket.digest
    for name, mask in here.ticket.masks.items():
        rest = moved.weights[name] - SHRINK * here.ticket.weights[name]
        assert not bool(rest[~mask].any())
        fan_in = rest.shape[1]
        expected = PERTURB * (2 / fan_in) ** 0.5
        assert float(rest[mask].std()) == pytest.approx(expected, rel=0.3)
    ends = [further_accuracy(replace(here, ticket=ticket)) for ticket in (moved, plain)]
    assert ends[0] is not None
    assert ends[1] is not None
    assert gain == ends[0] - ends[1]


def test_a_probe_that_diverges_says_nothing() -> None:
    """So does the difference from a fresh network, which does not."""
    lost = scaled(scene("fresh"), 1e30)
    assert new_task_accuracy(scene("fresh")) is not None
    for measure in PANEL.values():
        if measure.kind == "probe":
            assert measure.read(lost) is None
    assert accuracy_of(None) is None


def test_probes_lay_their_changes_over_spoilt_labels(tmp_path: Path) -> None:
    """Noise belongs to true labels alone; of data that are limited no more is taken."""
    noisy = Data("digits", train_limit=60, test_limit=40, validation_fraction=0.2, label_noise=0.3)
    here, spy = spied(last_scene(["train 0.5"], tmp_path, data=noisy))
    assert random_label_fit(here) is not None
    assert new_task_accuracy(here) is not None
    assert [call[2]["changes"]["draw"] for call in spy.calls] == [DRAW, DRAW]
    assert len(here.parts(spy.calls[0][2]["changes"]).train) == 30
    assert torch.equal(here.parts(NEW_LABELS).train.images, here.split.train.images)


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


def distinct(spy: Spied) -> dict[tuple[Any, ...], float]:
    """The epochs of the trainings that were asked for, each once."""
    return {
        (name, ticket.digest, how["order"], repr(how["changes"])): how["epochs"]
        for name, ticket, how in spy.calls
    }
