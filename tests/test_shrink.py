"""Shrink and perturb against its formula, entry by entry."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures
from test_grow import NETWORKS, lived_in
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.growth.fresh import SCHEMES, fresh
from recursive_lth.training.shrink import shrink_perturb


@pytest.mark.parametrize("scheme", SCHEMES)
@given(architectures(), st.floats(0.1, 1), st.floats(0, 1), SEEDS)
def test_the_formula(
    scheme: str, architecture: Architecture, shrink: float, perturb: float, seed: int
) -> None:
    """w -> m * (shrink * w + perturb * fresh) in linear and convolution layers, biases too.

    Fresh biases are 0. Norms and their statistics, masks, rewind values and births stay: a norm's
    gamma of 0 would be revived, and a shrunk one would not make the network any younger.
    """
    ticket = lived_in(architecture, seed)
    digest = ticket.digest
    moved = shrink_perturb(ticket, shrink, perturb, seeds.generator(seed), scheme)
    noise = fresh(architecture, seeds.generator(seed), scheme)
    for name, tensor in ticket.weights.items():
        if architecture.layers[name.rpartition(".")[0]].operation == "batchnorm":
            assert torch.equal(moved.weights[name], tensor)
            continue
        expected = shrink * tensor + perturb * noise[name]
        if name in ticket.masks:
            expected[~ticket.masks[name]] = 0
        torch.testing.assert_close(moved.weights[name], expected, rtol=1e-6, atol=1e-8)
    for group in ("masks", "rewind", "births"):
        before, after = getattr(ticket, group), getattr(moved, group)
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert replace(ticket).digest == digest


def test_one_and_nothing_change_nothing() -> None:
    """(1, 0) is the identity: the same digest, and no draw is taken from the generator."""
    ticket = lived_in(NETWORKS["convnet"], 0)
    generator = seeds.generator(0)
    state = generator.get_state()
    same = shrink_perturb(ticket, 1.0, 0.0, generator, "kaiming_normal")
    assert same.digest == ticket.digest
    assert torch.equal(generator.get_state(), state)


def test_the_generator_decides() -> None:
    """The same seed gives the same bits and another seed others; no noise gives shrink * w."""
    ticket = lived_in(NETWORKS["convnet"], 0)

    def moved(seed: int, perturb: float) -> Tensor:
        generator = seeds.generator(seed)
        after = shrink_perturb(ticket, 0.5, perturb, generator, "kaiming_normal")
        return after.weights["conv2.weight"]

    assert torch.equal(moved(0, 0.1), moved(0, 0.1))
    assert not torch.equal(moved(0, 0.1), moved(1, 0.1))
    assert torch.equal(moved(0, 0.0), moved(1, 0.0))
    assert torch.equal(moved(0, 0.0), ticket.weights["conv2.weight"] / 2)
