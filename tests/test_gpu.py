"""A GPU trains as a CPU does; where there is none the CPU shows that the tests run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_together import RECIPES, member
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.training.batches import Batches
from recursive_lth.training.engine import Plan
from recursive_lth.training.loop import Step
from recursive_lth.training.samples import Samples
from recursive_lth.training.together import Member, alone, training_together

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_GPU)]
NETWORKS = {"perceptron": mlp((1, 4, 4), 3, (7, 5)), "convolutional": convnet((1, 4, 4), 3, (6,))}
AUGMENTED = Training(optimizer="adamw", learning_rate=0.003, shift=1, flip=True, warmup=0.2)


def moved(one: Member, device: str) -> Member:
    """The member with its data on a device; its weights follow by themselves."""
    place, data = torch.device(device), one.data
    samples = Samples(data.images.to(place), data.labels.to(place))
    black = torch.zeros(1, dtype=data.images.dtype, device=place)
    return replace(one, data=Batches(samples, black, one.recipe))


def after(steps: Iterator[Step]) -> dict[str, Tensor]:
    """The weights that a training ends with, on the CPU."""
    *_, last = steps
    return {name: tensor.cpu() for name, tensor in last.weights.items()}


def assert_alike(one: Mapping[str, Tensor], other: Mapping[str, Tensor], most: float) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=0, atol=most)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("recipe", [*RECIPES, "augmented"])
def test_a_training_ends_the_same_there(network: str, recipe: str, device: str) -> None:
    """Order and augmentation are drawn on the CPU; in float64 only the order of sums differs."""
    found = {**RECIPES, "augmented": AUGMENTED}[recipe]
    one = member(NETWORKS[network], found, 0, 0.5)
    there = moved(one, device)
    assert there.data.images.device.type == device
    assert_alike(after(alone(there)), after(alone(one)), 1e-10)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
def test_sparse_layers_train_the_same_there(network: str, device: str) -> None:
    """Against masked dense training on the CPU; what was pruned stays 0."""
    architecture = NETWORKS[network]
    one = member(architecture, RECIPES["adam, clipped"], 1, 0.3)
    names = tuple(name.removesuffix(".weight") for name in architecture.prunable)
    weights = after(alone(moved(one, device), Plan(names)))
    assert_alike(weights, after(alone(one)), 1e-10)
    assert all(not weights[name][~mask].any() for name, mask in one.masks.items())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_population_ends_as_its_members_would_here(recipe: str, device: str) -> None:
    """By batched products; widths differ."""
    widths = [(7, 5), (4, 9), (6, 6)]
    members = [
        member(mlp((1, 4, 4), 3, some), RECIPES[recipe], seed, 0.6)
        for seed, some in enumerate(widths)
    ]
    *_, last = training_together([moved(one, device) for one in members])
    for number, one in enumerate(members):
        found = {name: tensor.cpu() for name, tensor in last.of(number).weights.items()}
        assert_alike(found, after(alone(one)), 1e-10)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
def test_bfloat16_trains_there(network: str, device: str) -> None:
    """Layers compute in it: weights are near those of float32, not equal, and float32 too."""

    def single(precision: str) -> Member:
        one = member(NETWORKS[network], RECIPES["momentum"], 2, 0.5)
        samples = Samples(one.data.images.float(), one.data.labels)
        recipe = replace(one.recipe, precision=precision)
        weights = {name: tensor.float() for name, tensor in one.weights.items()}
        data = Batches(samples, torch.zeros(1), recipe)
        return moved(replace(one, weights=weights, data=data, recipe=recipe), device)

    half, full = (after(alone(single(precision))) for precision in ("bfloat16", "float32"))
    assert {tensor.dtype for tensor in half.values()} == {torch.float32}
    assert_alike(half, full, 0.05)
    assert any(not torch.equal(half[name], full[name]) for name in half)


@pytest.mark.parametrize("device", DEVICES)
def test_images_reach_convolutions_channels_last_there(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    usual = torch.nn.functional.conv2d

    def conv2d(x: Tensor, *given: Any, **named: Any) -> Tensor:
        seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return usual(x, *given, **named)

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    architecture = convnet((3, 8, 8), 3, (4, 4))
    after(alone(moved(images_of(architecture), device)))
    assert len(seen) > 1
    assert all(seen)


def images_of(architecture: Architecture) -> Member:
    """A member that reads images of several channels."""
    draw = torch.Generator().manual_seed(0)
    like = member(NETWORKS["convolutional"], RECIPES["momentum"], 0, 0.5)
    weights = {
        name: torch.randn(architecture.shape(name), generator=draw) / 8
        for name in architecture.tensors
    }
    images = torch.randn(16, *architecture.shapes[architecture.input], generator=draw)
    data = Batches(Samples(images, torch.arange(16) % 3), torch.zeros(3), like.recipe)
    masks = {name: torch.ones_like(weights[name]).bool() for name in architecture.prunable}
    return replace(
        like, architecture=architecture, weights=weights, masks=masks, data=data, steps=2
    )
