"""Costs: torch's counters and loops over entries are the twins."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights, random_batch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from recursive_lth.architecture.cost import FORWARDS_IN_A_STEP, cost, places, size, training_cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.errors import InputError
from recursive_lth.ticket.masks import masked_cost

many = settings(max_examples=60)


@given(architectures())
@many
def test_multiply_adds_are_torchs(architecture: Architecture) -> None:
    """Twin: torch's counter on torch's layers for one sample; it counts two for a multiply-add."""
    built = module(architecture, normal_weights(architecture, 0)).eval()
    with FlopCounterMode(display=False) as counter:
        built(random_batch(architecture, 1, 0))
    assert 2 * cost(architecture).multiply_adds == counter.get_total_flops()


@given(architectures())
@many
def test_parameters_are_torchs(architecture: Architecture) -> None:
    """Twin: what torch's module calls its parameters, and those of its linear and conv layers."""
    built = module(architecture, normal_weights(architecture, 0))
    found = cost(architecture)
    assert found.parameters == sum(p.numel() for p in built.parameters())
    layers = [m for m in built.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert found.weights == sum(layer.weight.numel() for layer in layers)
    for name, tensor in built.state_dict().items():
        if name in architecture.tensors:
            assert size(architecture, name) == tensor.numel()


@given(st.data(), SEEDS)
@many
def test_remaining_is_counted_where_it_is_used(data: DataObject, seed: int) -> None:
    """Twin: visit every output pixel of every layer and count the weights that remain."""
    architecture = data.draw(architectures())
    kept = data.draw(kept_counts(architecture))
    masks = exact_masks(architecture, kept, seed)
    uses: dict[str, int] = {}

    def count(name: str, layer: nn.Module, out: Tensor) -> None:
        pixels = out[0, 0].numel()  # each runs every kernel once
        uses[name] = sum(int(masks[f"{name}.weight"].sum()) for _ in range(pixels))
        assert places(architecture, f"{name}.weight") == pixels

    built = module(architecture, normal_weights(architecture, seed)).eval()
    for name, layer in built.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(lambda m, _, out, name=name: count(name, m, out))
    built(random_batch(architecture, 1, seed))
    found, whole = cost(architecture, kept), cost(architecture)
    assert masked_cost(architecture, masks) == found
    assert found.remaining_multiply_adds == sum(uses.values())
    assert found.remaining_weights == sum(kept.values())
    assert found.parameters - found.remaining_parameters == found.weights - found.remaining_weights
    assert found.density == sum(kept.values()) / whole.weights
    assert (found.weights, found.parameters, found.multiply_adds) == (
        whole.weights,
        whole.parameters,
        whole.multiply_adds,
    )
    assert whole.remaining_weights == whole.weights
    assert whole.remaining_parameters == whole.parameters
    assert whole.remaining_multiply_adds == whole.multiply_adds


def test_by_hand() -> None:
    """3-2-2 with biases: 6 + 4 weights, 4 biases; of 1 + 4 remaining weights 5 multiply-adds."""
    found = cost(ARCHITECTURES["mlp"]((3,), 2, (2,)), {"fc1.weight": 1})
    assert (found.weights, found.parameters, found.multiply_adds) == (10, 14, 10)
    assert (found.remaining_weights, found.remaining_parameters) == (5, 9)
    assert found.remaining_multiply_adds == 5
    assert found.density == 0.5


@pytest.mark.parametrize(
    ("remaining", "law"),
    [
        ({"fc9.weight": 1}, r"fc9\.weight"),
        ({"fc1.bias": 1}, r"fc1\.bias"),
        ({"fc1.weight": 7}, r"fc1\.weight"),
        ({"fc1.weight": -1}, r"fc1\.weight"),
    ],
)
def test_counts_that_cannot_be_are_refused(remaining: dict[str, int], law: str) -> None:
    """A name that is not prunable, or a count beyond the tensor, would give a false cost."""
    with pytest.raises(InputError, match=law):
        cost(ARCHITECTURES["mlp"]((3,), 2, (2,)), remaining)


def test_a_training_step_is_three_forwards() -> None:
    """Matrix products: outputs W x, gradients of inputs W' d and of weights d x', equally long."""
    weight = torch.randn(4, 3, requires_grad=True)
    batch = torch.randn(5, 3, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        nn.functional.linear(batch, weight).sum().backward()
    assert FORWARDS_IN_A_STEP == 3
    assert 2 * training_cost(12, 5) == counter.get_total_flops()
