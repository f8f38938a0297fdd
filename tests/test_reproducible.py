"""The loop's draws: order, augmentation and dropout come from the seed and the epoch alone."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from strategies import random_batch
from test_grow import NETWORKS, lived_in
from torch import Generator, Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Drop, Forward, Watch, Weights, network
from recursive_lth.config import Training
from recursive_lth.ticket.moments import State
from recursive_lth.training import batches as batching
from recursive_lth.training.batches import Batch, Batches
from recursive_lth.training.engine import Engine
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.loop import Step, training
from recursive_lth.training.optimizer import OPTIMIZERS
from recursive_lth.training.samples import Samples

COUNT, BATCH, PER_EPOCH = 44, 8, 5
EVERYTHING: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.4},
    "shift and flip": {"shift": 2, "flip": True},
    "crop, warm-up, clip": {"crop": 2, "warmup": 0.3, "clip_norm": 0.5, "label_smoothing": 0.1},
}


def samples(architecture: Architecture) -> Samples:
    """Random images and labels."""
    images = random_batch(architecture, COUNT, 5).float()
    return Samples(images, torch.arange(COUNT) % architecture.classes)


def steps(kind: str, recipe: Training, *, seed: int = 0, **options: Any) -> list[Step]:
    """All steps of a training in float32, with what they hold copied."""
    ticket = lived_in(NETWORKS[kind], 1)
    data = samples(ticket.architecture)
    batches = Batches(data, torch.zeros(data.images.shape[1]), recipe)
    weights = options.pop("weights", ticket.weights)
    options = {"steps": 3 * PER_EPOCH, "seed": seed} | options
    done = []
    for step in training(ticket.architecture, weights, ticket.masks, batches, recipe, **options):
        state, loss = partial(copied, copied(step.state())), step.loss.clone()
        done.append(replace(step, loss=loss, live=step.snapshot(), state=state))
    return done


def copied(state: State) -> State:
    """A copy of an optimizer's state: what a step hands out moves on with the loop."""
    return {kind: {name: t.clone() for name, t in values.items()} for kind, values in state.items()}


def is_same(one: Weights, other: Weights) -> bool:
    """The same bits in every tensor."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("extra", EVERYTHING)
@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_the_seed_decides_every_bit(kind: str, extra: str) -> None:
    """The same seed gives the same bits whatever the global generator; another gives others."""
    recipe = Training(batch_size=BATCH, **EVERYTHING[extra])
    ends = []
    for seed, noise in ((1, 3), (1, 4), (2, 3)):
        torch.manual_seed(noise)
        ends.append(steps(kind, recipe, seed=seed)[-1].weights)
    assert is_same(ends[0], ends[1])
    assert not is_same(ends[0], ends[2])


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("extra", EVERYTHING)
@pytest.mark.parametrize("kind", ["mlp", "convnet", "resnet-20"])
def test_resuming_at_an_epoch_gives_the_same_bits(
    kind: str, extra: str, optimizer: str, epoch: int
) -> None:
    """Weights, statistics and optimizer state at an epoch's first step are all that the loop holds.

    Its draws are named by the epoch, so a loop begun there takes the same steps to the last bit.
    """
    recipe = Training(batch_size=BATCH, optimizer=optimizer, momentum=0.9, **EVERYTHING[extra])
    whole = steps(kind, recipe)
    at = whole[epoch * PER_EPOCH - 1]
    rest = steps(kind, recipe, weights=at.weights, state=at.state(), start=at.number)
    assert [step.number for step in rest] == list(range(epoch * PER_EPOCH + 1, 3 * PER_EPOCH + 1))
    for again, before in zip(rest, whole[epoch * PER_EPOCH :], strict=True):
        assert torch.equal(again.loss, before.loss)
        assert is_same(again.weights, before.weights)
    state, expected = rest[-1].state(), whole[-1].state()
    assert state.keys() == expected.keys()
    assert all(is_same(state[kind], expected[kind]) for kind in state)


@pytest.mark.parametrize("extra", ["plain", "shift and flip"])
def test_resuming_within_an_epoch_goes_on_in_its_order(extra: str) -> None:
    """Order and augmentation are drawn whole when an epoch begins, so its rest is known then."""
    recipe = Training(batch_size=BATCH, **EVERYTHING[extra])
    whole = steps("convnet", recipe)
    at = whole[PER_EPOCH + 1]
    rest = steps("convnet", recipe, weights=at.weights, state=at.state(), start=at.number)
    assert len(rest) == len(whole) - at.number
    assert is_same(rest[-1].weights, whole[-1].weights)


def test_without_the_state_resuming_differs() -> None:
    """The momentum matters: forgetting it is not resuming."""
    recipe = Training(batch_size=BATCH, optimizer="sgd")
    whole = steps("mlp", recipe)
    at = whole[PER_EPOCH - 1]
    rest = steps("mlp", recipe, weights=at.weights, start=at.number)
    assert not is_same(rest[-1].weights, whole[-1].weights)


def test_a_steps_state_is_kept_as_it_was() -> None:
    """A caller who keeps the state of a step, as a checkpoint does, and goes on, still has it."""
    ticket, recipe = lived_in(NETWORKS["mlp"], 1), Training(batch_size=BATCH)
    batches = Batches(samples(ticket.architecture), torch.zeros(1), recipe)
    going = training(
        ticket.architecture, ticket.weights, ticket.masks, batches, recipe, steps=3, seed=0
    )
    held = next(going).state()
    before = copied(held)
    next(going)
    assert all(is_same(held[kind], before[kind]) for kind in held)


def drawn_orders(
    monkeypatch: pytest.MonkeyPatch, seed: int, generators: list[int] | None = None
) -> list[list[int]]:
    """The samples of each epoch in the order in which the loop asks for them.

    `generators` is filled with the seeds of the augmentation.
    """
    orders: list[list[int]] = []
    honest = batching.Batches.epoch

    def epoch(self: Batches, generator: Generator) -> Batch:
        if generators is not None:
            generators.append(generator.initial_seed())
        draw = honest(self, generator)
        own: list[int] = []
        orders.append(own)

        def batch(indices: Tensor, places: slice) -> Tensor:
            assert places == slice(len(own), len(own) + BATCH)
            own.extend(indices.tolist())
            return draw(indices, places)

        return batch

    with monkeypatch.context() as patch:
        patch.setattr(batching.Batches, "epoch", epoch)
        steps("mlp", Training(batch_size=BATCH), seed=seed, steps=3 * PER_EPOCH + 2)
    return orders


def test_each_epoch_sees_each_sample_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 of 44 samples an epoch, none twice, in an order of its own; the last, partial epoch 16.

    Augmentation, too, is drawn anew each epoch.
    """
    generators: list[int] = []
    orders = drawn_orders(monkeypatch, 0, generators)
    assert [len(order) for order in orders] == [40, 40, 40, 16]
    assert len(set(generators)) == 4
    for order in orders:
        assert len(set(order)) == len(order)
        assert set(order) <= set(range(COUNT))
    assert len({tuple(order[:16]) for order in orders}) == 4
    assert drawn_orders(monkeypatch, 0) == orders
    assert drawn_orders(monkeypatch, 1)[0] != orders[0]


def test_the_order_does_not_depend_on_what_else_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Common random numbers: two networks, with and without dropout, see the same batches."""
    seen: list[list[Tensor]] = []
    for recipe in (
        Training(batch_size=BATCH, shift=1),
        Training(batch_size=BATCH, shift=1, dropout=0.5),
    ):
        images: list[Tensor] = []
        record = recording(images)
        with monkeypatch.context() as patch:
            patch.setattr(batching.Batches, "epoch", record)
            steps("convnet", recipe)
        seen.append(images)
    assert len(seen[0]) == 3 * PER_EPOCH
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def recording(images: list[Tensor]) -> Callable[[Batches, Generator], Batch]:
    """`Batches.epoch` that also keeps every batch."""
    honest = batching.Batches.epoch

    def epoch(self: Batches, generator: Generator) -> Batch:
        draw = honest(self, generator)

        def batch(indices: Tensor, places: slice) -> Tensor:
            images.append(draw(indices, places))
            return images[-1]

        return batch

    return epoch


def test_dropout_is_for_training_alone() -> None:
    """It changes what training does, from its first loss on, and no evaluation ever draws."""
    ticket = lived_in(NETWORKS["mlp"], 1)
    without, with_ = (Training(batch_size=BATCH, dropout=rate) for rate in (0.0, 0.5))
    assert float(steps("mlp", without)[0].loss) != float(steps("mlp", with_)[0].loss)
    data = samples(ticket.architecture)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    twice = [evaluate(ticket.architecture, ticket.weights, data) for _ in range(2)]
    assert twice[0] == twice[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_keeps_the_mean() -> None:
    """A share `rate` of ones becomes 0 and the rest 1 / (1 - rate): on average 1, anew each step.

    Of n = 30,000 the share kept has deviation sqrt(rate (1 - rate) / n).
    """
    seen: list[Tensor] = []

    def spying(architecture: Architecture) -> Forward:
        honest = network(architecture)

        def forward(
            weights: Mapping[str, Tensor],
            batch: Tensor,
            *,
            training: bool = False,
            drop: Drop | None = None,
            watch: Watch | None = None,
        ) -> tuple[Tensor, Weights]:
            if drop:
                seen.append(drop(torch.ones(30_000)))
            return honest(weights, batch, training=training, drop=drop, watch=watch)

        return forward

    engine = Engine(spying(NETWORKS["mlp"]))
    steps("mlp", Training(batch_size=BATCH, dropout=0.0), steps=2, engine=engine)
    assert seen == []
    steps("mlp", Training(batch_size=BATCH, dropout=0.25), steps=PER_EPOCH + 1, engine=engine)
    assert len({mask.numpy().tobytes() for mask in seen}) == PER_EPOCH + 1
    for mask in seen:
        assert mask.unique().tolist() == pytest.approx([0, 4 / 3])
        assert abs(float((mask > 0).double().mean()) - 0.75) < 5 * (0.25 * 0.75 / 30_000) ** 0.5
