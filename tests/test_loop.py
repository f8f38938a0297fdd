"""The training loop against a loop written by hand with torch's own modules and optimizers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from strategies import random_batch
from test_grow import NETWORKS, lived_in
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.architecture.network import Weights
from recursive_lth.config import Training
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.loop import Step, steps_in, training
from recursive_lth.training.optimizer import OPTIMIZERS
from recursive_lth.training.samples import Samples

COUNT = 44  # samples: with batches of 8 an epoch has 5 steps and leaves 4 samples out


def doubled(ticket: Ticket) -> Weights:
    """The ticket's weights in float64."""
    return {name: tensor.double() for name, tensor in ticket.weights.items()}


def batches_for(architecture: Architecture, recipe: Training, dtype: torch.dtype) -> Batches:
    """Random images and labels that a network of this architecture can learn by heart."""
    images = random_batch(architecture, COUNT, 5).to(dtype)
    labels = torch.arange(COUNT) % architecture.classes
    return Batches(Samples(images, labels), torch.zeros(images.shape[1], dtype=dtype), recipe)


def run(ticket: Ticket, recipe: Training, *, seed: int = 0, **options: Any) -> Iterator[Step]:
    """The loop under test in float64; `options` are its own."""
    batches = batches_for(ticket.architecture, recipe, torch.float64)
    weights = options.pop("weights", None) or doubled(ticket)
    steps = options.pop("steps", 12)
    return training(
        ticket.architecture,
        weights,
        ticket.masks,
        batches,
        recipe,
        steps=steps,
        seed=seed,
        **options,
    )


def rate(recipe: Training, step: int, steps: int) -> float:
    """The learning rate of the recipes below, from the definition of cosine and of warm-up."""
    warm = recipe.warmup * steps
    if step < warm:
        return recipe.learning_rate * (step + 1) / (warm + 1)
    progress = (step - warm) / (steps - warm) if recipe.schedule == "cosine" else 0
    return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def plain_optimizer(parameters: list[Tensor], recipe: Training) -> torch.optim.Optimizer:
    """torch's optimizer one tensor at a time, not fused."""
    decay, lr = recipe.weight_decay, recipe.learning_rate
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(
                parameters, lr, recipe.momentum, weight_decay=decay, foreach=False
            )
        case "adam":
            return torch.optim.Adam(parameters, lr, weight_decay=decay, foreach=False)
        case _:
            return torch.optim.AdamW(parameters, lr, weight_decay=decay, foreach=False)


def by_hand(
    architecture: Architecture, weights: Weights, masks: Masks, recipe: Training, steps: int
) -> tuple[Mapping[str, Tensor], list[float]]:
    """The plainest loop: backward, gradients masked and clipped, a step, weights masked."""
    net = module(architecture, weights).train()
    named = dict(net.named_parameters())
    optimizer = plain_optimizer(list(named.values()), recipe)
    images = random_batch(architecture, COUNT, 5)
    labels = torch.arange(COUNT) % architecture.classes
    losses = []
    for step in range(steps):
        epoch, place = divmod(step, COUNT // recipe.batch_size)
        order = torch.randperm(COUNT, generator=seeds.generator(0, "order", epoch))
        chosen = order[place * recipe.batch_size : (place + 1) * recipe.batch_size]
        loss = F.cross_entropy(
            net(images[chosen]), labels[chosen], label_smoothing=recipe.label_smoothing
        )
        optimizer.zero_grad()
        loss.backward()
        for name, mask in masks.items():
            named[name].grad = named[name].grad * mask  # type: ignore[operator]
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(list(named.values()), recipe.clip_norm)
        optimizer.param_groups[0]["lr"] = rate(recipe, step, steps)
        optimizer.step()
        with torch.no_grad():
            for name, mask in masks.items():
                named[name].mul_(mask)
        losses.append(loss.item())
    return net.state_dict(), losses


RECIPES = {
    "sgd": Training(optimizer="sgd", learning_rate=0.05, momentum=0.9, schedule="constant"),
    "sgd+all": Training(
        optimizer="sgd", learning_rate=0.05, weight_decay=0.01, clip_norm=0.5, warmup=0.3
    ),
    "sgd plain": Training(optimizer="sgd", learning_rate=0.05, momentum=0.0),
    "adam": Training(optimizer="adam", learning_rate=0.01, weight_decay=0.01, label_smoothing=0.1),
    "adamw": Training(optimizer="adamw", learning_rate=0.01, schedule="constant"),
    "adamw+all": Training(
        learning_rate=0.01, weight_decay=0.1, clip_norm=0.3, label_smoothing=0.2, warmup=0.5
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_equal_to_a_loop_by_hand(kind: str, recipe: str) -> None:
    """Twelve steps over three epochs in float64: losses, weights and statistics to 1e-12.

    Both do the same sums in another order, so they differ by rounding alone, which twelve steps of
    rates this small cannot raise from 1e-16 above 1e-12 of the largest weight.
    """
    ticket, chosen = lived_in(NETWORKS[kind], 1), replace(RECIPES[recipe], batch_size=8)
    weights = doubled(ticket)
    expected, losses = by_hand(ticket.architecture, weights, ticket.masks, chosen, 12)
    found = list(run(ticket, chosen))
    assert [step.number for step in found] == list(range(1, 13))
    assert [float(step.loss) for step in found] == pytest.approx(losses, rel=1e-11)
    for name, tensor in found[-1].snapshot().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-12, atol=1e-12, msg=name)
    assert found[-1].weights.keys() == weights.keys()


@pytest.mark.parametrize("clip", [0.0, 0.1])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_pruned_stay_pruned(optimizer: str, decay: float, clip: float) -> None:
    """After 200 steps no pruned weight and no moment of one is anything but 0.

    Masking the gradients alone revives every weight whose moment was alive when it was cut; here
    the moments of a dense training are handed to the loop of a pruned ticket.
    """
    ticket = lived_in(NETWORKS["convnet"], 1)
    recipe = Training(
        optimizer=optimizer, learning_rate=0.01, weight_decay=decay, clip_norm=clip, batch_size=8
    )
    dense = {name: torch.ones_like(mask) for name, mask in ticket.masks.items()}
    for before in run(replace(ticket, masks=dense), recipe, steps=5):
        alive = before.state()
    assert all(
        bool(t[~ticket.masks["conv2.weight"]].any()) for t in moments_of(alive, "conv2.weight")
    )
    for step in run(ticket, recipe, steps=205, start=5, state=alive):
        if step.number % 50 and step.number != 6:
            continue
        for name, mask in ticket.masks.items():
            assert not bool(step.weights[name][~mask].any())
            assert bool(step.weights[name][mask].all())
            assert all(not bool(kind[~mask].any()) for kind in moments_of(step.state(), name))
    assert step.number == 205


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_are_masked_after_the_step(optimizer: str) -> None:
    """Weights that are alive where the mask is false are 0 after one step, and stay so."""
    ticket = lived_in(NETWORKS["mlp"], 1)
    recipe = Training(optimizer=optimizer, batch_size=8)
    alive = {name: tensor + 0.1 for name, tensor in doubled(ticket).items()}
    for step in run(ticket, recipe, weights=alive, steps=3):
        for name, mask in ticket.masks.items():
            assert not bool(step.weights[name][~mask].any())


def moments_of(state: State, name: str) -> list[Tensor]:
    """The moments of one tensor, of every kind; counts of steps are none."""
    return [values[name] for kind, values in state.items() if kind != "step"]


def test_nothing_given_is_changed() -> None:
    """Weights, masks, samples and state are as before, bit for bit, and want no gradient."""
    ticket, recipe = lived_in(NETWORKS["resnet-20"], 1), Training(batch_size=8, clip_norm=1)
    batches = batches_for(ticket.architecture, recipe, torch.float32)
    *_, first = training(
        ticket.architecture, ticket.weights, ticket.masks, batches, recipe, steps=2, seed=0
    )
    state = {kind: {n: t.clone() for n, t in v.items()} for kind, v in first.state().items()}
    given: dict[str, Mapping[str, Tensor]] = {
        "weights": ticket.weights,
        "masks": ticket.masks,
        "data": {"images": batches.images, "labels": batches.labels},
        **state,
    }
    copies = {group: {n: t.clone() for n, t in values.items()} for group, values in given.items()}
    options: dict[str, Any] = {"steps": 7, "seed": 1, "state": state}
    *_, last = training(
        ticket.architecture, ticket.weights, ticket.masks, batches, recipe, **options
    )
    for group, values in given.items():
        for name, tensor in values.items():
            assert torch.equal(tensor, copies[group][name]), (group, name)
            assert not tensor.requires_grad
    kept = last.snapshot()
    assert all(not tensor.requires_grad for tensor in kept.values())
    shared = {t.data_ptr() for t in last.weights.values()} & {t.data_ptr() for t in kept.values()}
    assert not shared


@pytest.mark.parametrize(
    ("epochs", "samples", "batch", "steps"),
    [
        (1, 44, 8, 5),
        (2, 44, 8, 10),
        (0.5, 44, 8, 2),
        (0.75, 44, 8, 4),
        (0.01, 44, 8, 1),
        (3, 5, 8, 3),
        (1, 8, 8, 1),
    ],
)
def test_steps_of_epochs(epochs: float, samples: int, batch: int, steps: int) -> None:
    """An epoch drops its last, incomplete batch; there is at least one step, of all if few."""
    assert steps_in(epochs, samples, batch) == steps


def test_the_loop_is_the_callers() -> None:
    """It does nothing that nobody asks for: two steps taken of a million are two steps."""
    ticket = lived_in(NETWORKS["mlp"], 1)
    recipe = Training(batch_size=8)
    taken = list(islice(run(ticket, recipe, steps=10**6), 2))
    assert [(step.number, step.steps) for step in taken] == [(1, 10**6), (2, 10**6)]
    assert list(run(ticket, recipe, steps=5, start=5)) == []
