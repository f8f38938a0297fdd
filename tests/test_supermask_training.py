"""Supermasks in training: scores get the gradient that they should, and a mask alone learns."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from strategies import normal_weights, random_batch
from test_grow import NETWORKS, lived_in
from test_supermask import CPU, doubled, half_of, lens_for
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights, network
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.config import Data, Supermask, Training
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.datasets import load
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.loop import Step, steps_in, training
from recursive_lth.training.samples import Samples, Split
from recursive_lth.training.split import split
from recursive_lth.training.supermask import (
    METHODS,
    first_scores,
    frozen,
    likely_masks,
    straight_through,
    supermask_lens,
    top_masks,
)

RECIPE = Training(epochs=3, optimizer="sgd", learning_rate=1.0, momentum=0.9, batch_size=8)


def slope_outside(ticket: Ticket, seen: Mapping[str, Tensor], images: Tensor) -> Weights:
    """dL / d(what the forward saw), with the weights seen as leaves."""
    leaves = {n: t.detach().clone().requires_grad_(n in ticket.masks) for n, t in seen.items()}
    names = list(ticket.masks)
    found = torch.autograd.grad(loss_of(ticket, leaves, images), [leaves[n] for n in names])
    return dict(zip(names, found, strict=True))


def loss_of(ticket: Ticket, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    logits, _ = network(ticket.architecture)(weights, images, training=True)
    return F.cross_entropy(logits, torch.arange(len(images)) % ticket.architecture.classes)


SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "edge_popup": torch.sign,
    "bernoulli": lambda s: s.sigmoid() * (1 - s.sigmoid()),
}


@pytest.mark.parametrize("method", SLOPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_go_straight_through(name: str, method: str) -> None:
    """The mask's step counts as its soft twin: dL/ds = dL/dw_seen * w * d soft/ds, kept or not."""
    ticket = doubled(lived_in(NETWORKS[name], 2))
    images = random_batch(ticket.architecture, 6, 0)
    live = normal_weights(ticket.architecture, 5)
    scores = {n: live[n].requires_grad_() for n in ticket.masks}
    lens = lens_for(ticket, method)
    assert set(lens.trainable) == set(ticket.masks)
    seen = lens.read(live, 4)
    found = torch.autograd.grad(
        lens.price(loss_of(ticket, seen, images), live, 4), list(scores.values())
    )
    outside = slope_outside(ticket, seen, images)
    dropped_with_slope = 0
    for (tensor, score), slope in zip(scores.items(), found, strict=True):
        wanted = outside[tensor] * ticket.weights[tensor] * SLOPES[method](score.detach())
        torch.testing.assert_close(slope, wanted, rtol=1e-9, atol=1e-12)
        dropped_with_slope += int(((seen[tensor] == 0) & (slope != 0)).sum())
    assert dropped_with_slope, "what is not kept must be able to come back"


def test_straight_through_has_one_value_and_the_other_gradient() -> None:
    soft = torch.tensor([0.3, 0.9], requires_grad=True)
    found = straight_through(soft.square(), torch.tensor([True, False]))
    assert found.tolist() == [1.0, 0.0]
    found.sum().backward()
    assert soft.grad is not None
    torch.testing.assert_close(soft.grad, 2 * soft.detach())


def test_the_score_function_is_the_gradient_of_the_expected_loss() -> None:
    """E[(L - b) d log p / ds] = d E[L] / ds, for E[b d log p / ds] = b d(sum of p) / ds = 0.

    Every one of the 2^4 masks is found among the steps, priced by the lens, and weighed with its
    probability; against autograd through the sum over all masks. A fifth weight is pruned.
    """
    whole = seed_ticket(
        birth(mlp((2,), 2, (1, 1))), torch.Generator().manual_seed(3), "kaiming_normal"
    )
    masks = {n: m.clone() for n, m in whole.masks.items()}
    (pruned, *_) = masks
    masks[pruned].view(-1)[0] = False
    biases = {n: t + 0.3 for n, t in whole.weights.items() if n not in masks}
    weights = {n: t.abs() + 0.1 for n, t in whole.weights.items()} | biases
    ticket = doubled(replace(whole, masks=masks, weights=masking.apply(weights, masks)))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 2, generator=generator, dtype=torch.float64)
    live = {
        n: torch.randn(t.shape, dtype=t.dtype, generator=generator) if n in masks else t
        for n, t in ticket.weights.items()
    }
    scores = [live[n].requires_grad_() for n in masks]
    lens = lens_for(ticket, "reinforce")
    prices: dict[tuple[bool, ...], tuple[Tensor, ...]] = {}
    for step in range(2000):
        seen = lens.read(live, step)
        key = tuple(bool(x) for n, m in masks.items() for x in (seen[n] != 0)[m].tolist())
        if key not in prices:
            price = lens.price(loss_of(ticket, seen, images), live, step)
            prices[key] = torch.autograd.grad(price, scores)
    assert len(prices) == 2**4
    expected = torch.zeros((), dtype=torch.float64)
    found = [torch.zeros_like(score) for score in scores]
    for key in product((False, True), repeat=4):
        bits = iter(key)
        kept = {
            n: torch.tensor([x and next(bits) for x in m.flatten().tolist()]).view(m.shape)
            for n, m in masks.items()
        }
        chances = [
            torch.where(kept[n], live[n].sigmoid(), 1 - live[n].sigmoid())[m].prod()
            for n, m in masks.items()
        ]
        chance = torch.stack(chances).prod()
        seen = {n: t * kept[n] if n in masks else t for n, t in ticket.weights.items()}
        expected = expected + chance * loss_of(ticket, seen, images)
        found = [f + chance.detach() * p for f, p in zip(found, prices[key], strict=True)]
    for slope, wanted in zip(found, torch.autograd.grad(expected, scores), strict=True):
        torch.testing.assert_close(slope, wanted, rtol=1e-9, atol=1e-12)
    assert max(float(slope.abs().max()) for slope in found) > 1e-3


def train(ticket: Ticket, settings: Supermask, data: Split, recipe: Training, seed: int) -> Step:
    """The last step of a training of scores."""
    batches = Batches(data.train, data.black, recipe)
    steps = steps_in(recipe.epochs, len(batches), recipe.batch_size)
    scored = first_scores(ticket, settings, seeds.generator(seed, "scores"))
    lens = supermask_lens(ticket, settings, half_of(ticket), seed, CPU)
    weights, masks = scored.weights, scored.masks
    loop = training(
        ticket.architecture, weights, masks, batches, recipe, steps=steps, seed=seed, lens=lens
    )
    *_, last = loop
    return last


def random_split(architecture: Architecture) -> Split:
    images = random_batch(architecture, 24, 0).float()
    samples = Samples(images, torch.arange(24) % architecture.classes)
    return Split(samples, samples, samples, architecture.classes, torch.zeros(images.shape[1]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_only_scores_and_statistics_move(name: str, method: str) -> None:
    """Weights keep every bit, biases and norms too; scores move where weights remain, alone."""
    ticket = lived_in(NETWORKS[name], 4)
    before = {n: t.clone() for n, t in ticket.weights.items()}
    settings = Supermask(method=method)
    scored = first_scores(ticket, settings, seeds.generator(0, "scores"))
    last = train(ticket, settings, random_split(ticket.architecture), RECIPE, 0)
    moved = {n for n, t in last.weights.items() if not torch.equal(t.detach(), scored.weights[n])}
    statistics = {n for n in before if n.endswith(("running_mean", "running_var"))}
    assert moved == set(ticket.masks) | statistics
    assert all(torch.equal(ticket.weights[n], t) for n, t in before.items())
    for tensor, mask in ticket.masks.items():
        assert not last.weights[tensor][~mask].any()


def digits() -> Split:
    return split(load("digits", Path()), Data(name="digits"), 0, CPU)


@pytest.mark.parametrize(
    ("method", "optimizer", "rate", "epochs", "units", "wanted"),
    [
        ("edge_popup", "sgd", 1.0, 8, 200, 0.85),
        ("bernoulli", "adam", 0.3, 8, 200, 0.85),
        ("reinforce", "adam", 0.01, 100, 20, 0.25),
    ],
)
@pytest.mark.parametrize("weights", ["as_born", "signed_constant"])
def test_a_mask_alone_learns(
    method: str, optimizer: str, rate: float, epochs: int, units: int, wanted: float, weights: str
) -> None:
    """Digits by a mask over a random perceptron; a guess is right one time in ten.

    The score function is true to the gradient and far noisier: it learns little, and slowly.
    """
    data = digits()
    settings = Supermask(method=method, weights=weights)
    architecture = mlp(tuple(data.train.images.shape[1:]), 10, (units,))
    born = seed_ticket(birth(architecture), seeds.generator(0, "birth"), "kaiming_normal")
    ticket = frozen(born, settings)
    recipe = replace(RECIPE, optimizer=optimizer, learning_rate=rate, epochs=epochs, batch_size=32)
    last = train(ticket, settings, data, recipe, 0)
    scores = {n: last.weights[n].abs() for n in ticket.masks}
    masks = likely_masks(ticket, last.weights)
    if method == "edge_popup":
        masks = top_masks(ticket, scores, half_of(ticket))
        assert masking.counts(masks) == half_of(ticket)
    found = masking.apply(ticket.weights, masks)
    assert evaluate(architecture, found, data.test).accuracy >= wanted
    assert evaluate(architecture, ticket.weights, data.test).accuracy <= 0.2


@pytest.mark.slow
def test_edge_popup_masks_a_random_convolutional_network_for_mnist(
    real_data: Callable[[str], Path],
) -> None:
    """95 % with 10,000 samples and weights that never moved (Ramanujan et al. 2020)."""
    data = split(load("mnist", real_data("mnist")), Data(name="mnist", train_limit=11_112), 0, CPU)
    settings = Supermask(method="edge_popup")
    architecture = ARCHITECTURES["conv-2"]((1, 28, 28), 10, (8,))
    born = seed_ticket(birth(architecture), seeds.generator(0, "birth"), "kaiming_normal")
    ticket = frozen(born, settings)
    recipe = replace(RECIPE, epochs=5, batch_size=64, schedule="cosine")
    last = train(ticket, settings, data, recipe, 0)
    masks = top_masks(ticket, {n: last.weights[n].abs() for n in ticket.masks}, half_of(ticket))
    found = masking.apply(ticket.weights, masks)
    assert evaluate(architecture, found, data.test).accuracy >= 0.95
