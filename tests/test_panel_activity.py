"""Features against torch's own layers, ranks of known spectra."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow_landscape import ARCHITECTURES, case
from strategies import SEEDS, architectures, normal_weights, random_batch
from torch import Tensor, nn

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.study.panel.activity import effective_rank, features, srank

SPECTRA = st.lists(st.floats(0.01, 10), min_size=1, max_size=6)


def with_spectrum(values: list[float], seed: int) -> Tensor:
    """A matrix (9, 7) of these singular values and no others."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64, generator=generator)).Q
    right = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64, generator=generator)).Q
    return sum(
        (v * torch.outer(left[:, i], right[:, i]) for i, v in enumerate(values)),
        start=torch.zeros(9, 7, dtype=torch.float64),
    )


@given(SPECTRA, SEEDS)
def test_ranks_of_a_known_spectrum(values: list[float], seed: int) -> None:
    """exp(-sum p log p) with p = value / sum, and how many values make 99 % of the sum."""
    matrix, total = with_spectrum(values, seed), math.fsum(values)
    shares = sorted((v / total for v in values), reverse=True)
    expected = math.exp(-math.fsum(p * math.log(p) for p in shares))
    assert effective_rank(matrix) == pytest.approx(expected, rel=1e-6)
    assert effective_rank(3 * matrix) == pytest.approx(expected, rel=1e-6)
    needed = next(k for k in range(1, 7) if math.fsum(shares[:k]) >= 0.99 - 1e-12)
    assert srank(matrix, spared=0.01 + 1e-12) == needed


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_equal_values_are_the_rank(rank: int) -> None:
    """k directions of one size: an effective rank of k, and all of them are needed."""
    matrix = with_spectrum([2.0] * rank, 0)
    assert effective_rank(matrix) == pytest.approx(rank)
    assert srank(matrix) == rank


def test_a_silent_layer_has_no_rank() -> None:
    assert effective_rank(torch.zeros(4, 3)) == 0
    assert srank(torch.zeros(4, 3)) == 0


def test_srank_spares_the_small_ones() -> None:
    """90, 9 and 1 of 100: with 1 % spared two are enough, with 10 % one."""
    matrix = torch.tensor([90.0, 9.0, 1.0]).diag()
    assert srank(matrix, spared=0.0101) == 2
    assert srank(matrix, spared=0.11) == 1
    assert srank(matrix, spared=0.005) == 3


def slow_features(architecture: Architecture, weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """What torch's output layer is called with."""
    net, seen = module(architecture, weights).eval(), []

    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].detach())

    net.get_submodule(architecture.output).register_forward_pre_hook(hook)
    net(images)
    return torch.cat(seen)


@given(architectures(), SEEDS)
def test_features_are_what_the_output_reads(architecture: Architecture, seed: int) -> None:
    """In any network; None iff its output layer reads the pixels themselves."""
    weights, images = normal_weights(architecture, seed), random_batch(architecture, 5, seed)
    found = features(architecture, weights, images)
    has_hidden = any(n != architecture.output for n in architecture.order[1:])
    if found is None:
        kinds = {architecture.layers[n].operation for n in architecture.order[1:-1]}
        assert kinds <= {"flatten"}
        return
    assert has_hidden
    torch.testing.assert_close(found, slow_features(architecture, weights, images))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_features_in_batches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation mode treats each sample alone; a linear model has no features."""
    given_case = case(name)
    whole = features(given_case.architecture, given_case.weights, given_case.samples.images)
    monkeypatch.setattr("recursive_lth.study.panel.activity.BATCH", 5)
    parts = features(given_case.architecture, given_case.weights, given_case.samples.images)
    if name == "linear":
        assert whole is None
        return
    assert whole is not None
    assert parts is not None
    torch.testing.assert_close(parts, whole)
