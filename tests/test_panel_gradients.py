"""Gradients against torch's own layers, and the laws of their parts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow_landscape import ARCHITECTURES, case, slow
from strategies import SEEDS
from torch import Tensor

from recursive_lth.architecture.graph import STATISTICS
from recursive_lth.study.panel.gradients import (
    gradient_flow,
    gradient_norm,
    gradient_to_weight,
    loss_gradient,
)
from recursive_lth.study.panel.parts import by_birth, by_layer, entries, learning, norm


def births_of(masks: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A generation of 0, 1 or 4 for every weight."""
    generator = torch.Generator().manual_seed(seed)
    choices = torch.tensor([0, 1, 4], dtype=torch.int16)
    return {n: choices[torch.randint(0, 3, m.shape, generator=generator)] for n, m in masks.items()}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equal_to_the_twin(name: str, training: bool) -> None:
    """In both modes of BatchNorm; exactly 0 where weights are pruned; loss and norm likewise."""
    given_case = case(name, 1)
    twin = slow(given_case, training=training)
    live = twin.point.clone().requires_grad_()
    loss = twin.loss(live)
    (slope,) = torch.autograd.grad(loss, live)
    found = loss_gradient(
        given_case.architecture,
        given_case.weights,
        given_case.masks,
        given_case.samples,
        training=training,
        precision=torch.float64,
    )
    masks = learning(given_case.architecture, given_case.masks)
    assert list(found) == list(masks) == list(given_case.architecture.trainable)
    torch.testing.assert_close(entries(found, masks), slope, rtol=1e-8, atol=1e-12)
    assert all(bool((found[n][~m] == 0).all()) for n, m in given_case.masks.items())
    assert gradient_norm(found, masks) == pytest.approx(float(slope.norm()))
    around = given_case.landscape(training=training)
    assert around.loss(around.point) == pytest.approx(float(loss.detach()), rel=1e-10)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_flow_is_what_a_small_step_gains(name: str) -> None:
    """(L(w) - L(w - r g)) / r tends to |g|^2 as r does to 0."""
    given_case = case(name, 2)
    around = given_case.landscape()
    slope = around.gradient(around.point)
    found = loss_gradient(
        given_case.architecture,
        given_case.weights,
        given_case.masks,
        given_case.samples,
        training=False,
        precision=torch.float64,
    )
    flow = gradient_flow(found, learning(given_case.architecture, given_case.masks))
    gained = (around.loss(around.point) - around.loss(around.point - 1e-6 * slope)) / 1e-6
    assert flow == pytest.approx(gained, rel=1e-3)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parts_add_up(name: str) -> None:
    """Every entry that learns lies in one layer, every weight that remains in one generation."""
    given_case = case(name, 3)
    found = loss_gradient(
        given_case.architecture, given_case.weights, given_case.masks, given_case.samples
    )
    masks = learning(given_case.architecture, given_case.masks)
    layers = by_layer(masks)
    assert set(layers) == {n.rpartition(".")[0] for n in given_case.architecture.trainable}
    flows = [gradient_flow(found, part) for part in layers.values()]
    assert sum(flows) == pytest.approx(gradient_flow(found, masks), rel=1e-9)
    generations = by_birth(given_case.masks, births_of(given_case.masks, 0))
    assert list(generations) == ["0", "1", "4"]
    flows = [gradient_flow(found, part) for part in generations.values()]
    assert sum(flows) == pytest.approx(gradient_flow(found, given_case.masks), rel=1e-9)


@given(SEEDS, st.integers(0, 30))
def test_generations_are_those_of_remaining_weights(seed: int, kept: int) -> None:
    """One by one: a weight is in the masks of its birth iff it remains; no generation is empty."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.zeros(30, dtype=torch.bool)
    flat[torch.randperm(30, generator=generator)[:kept]] = True
    masks = {"a.weight": flat[:12].view(3, 4), "b.weight": flat[12:].view(6, 3)}
    births = births_of(masks, seed)
    found = by_birth(masks, births)
    for name, mask in masks.items():
        for place in mask.nonzero().tolist():
            own = str(int(births[name][tuple(place)]))
            assert [g for g, part in found.items() if part[name][tuple(place)]] == [own]
    assert sum(int(m.sum()) for part in found.values() for m in part.values()) == kept
    assert all(any(bool(m.any()) for m in part.values()) for part in found.values())
    assert set(by_layer(masks)) == {n[0] for n, m in masks.items() if bool(m.any())}


def test_statistics_do_not_learn() -> None:
    given_case = case("resnet-8")
    names = set(learning(given_case.architecture, given_case.masks))
    assert names == {n for n in given_case.architecture.tensors if not n.endswith(STATISTICS)}


def test_beside_the_weights() -> None:
    """|(3, 4)| / |(0, 10)|, where a third entry is not counted; None beside weights of 0."""
    gradient = {"a": torch.tensor([3.0, 4.0, 99.0])}
    weights = {"a": torch.tensor([0.0, 10.0, 99.0])}
    masks = {"a": torch.tensor([True, True, False])}
    assert norm(gradient, masks) == 5
    assert gradient_to_weight(gradient, weights, masks) == 0.5
    assert gradient_to_weight(gradient, {"a": torch.zeros(3)}, masks) is None
    assert norm(gradient, {}) == 0
