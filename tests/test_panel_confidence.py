"""Confidence sample by sample, and the temperature that labels were drawn at."""

import math

import pytest
import torch
from hypothesis import given
from slow_landscape import case
from strategies import SEEDS
from test_evaluate import labelled
from torch import Tensor

from recursive_lth.study.panel.confidence import (
    calibration_error,
    generalisation_gap,
    over_confidence,
    temperature,
)
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.samples import Samples


def drawn(seed: int, samples: int = 60) -> tuple[Tensor, Tensor]:
    """Logits of four classes and labels that do not follow them quite."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, 4, dtype=torch.float64, generator=generator) * 3
    return logits, labelled(logits, 1.5, seed)


def slow_calibration_error(logits: Tensor, labels: Tensor, bins: int) -> float:
    """|accuracy - confidence| of each bin ((m - 1) / bins, m / bins], by its share of samples."""
    held: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        sizes = [math.exp(v - max(row)) for v in row]
        sure = max(sizes) / math.fsum(sizes)
        m = next(m for m in range(1, bins + 1) if sure <= m / bins or m == bins)
        held.setdefault(m, []).append((sure, row.index(max(row)) == label))
    total = 0.0
    for found in held.values():
        confidence = math.fsum(sure for sure, _ in found) / len(found)
        accuracy = sum(right for _, right in found) / len(found)
        total += len(found) / len(labels) * abs(accuracy - confidence)
    return total


@given(SEEDS)
@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_equals_the_twin(bins: int, seed: int) -> None:
    logits, labels = drawn(seed)
    found = calibration_error(logits, labels, bins=bins)
    assert found == pytest.approx(slow_calibration_error(logits, labels, bins), abs=1e-12)


def test_calibration_error_by_hand() -> None:
    """Four samples surely 0, of which three are: confidence 1, accuracy 3/4."""
    logits = torch.tensor([[1000.0, 0.0]]).expand(4, 2)
    assert calibration_error(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(0.25)
    even = torch.zeros(4, 2)  # confidence 1/2, and it says 0
    assert calibration_error(even, torch.tensor([0, 0, 1, 1])) == pytest.approx(0, abs=1e-12)


def test_bins_hold_their_upper_ends() -> None:
    """Of (0, 1/2] and (1/2, 1], a confidence of exactly 1/2 lies in the first.

    Wrong there, it is 1/2 off; right at 0.9 in the second, 1/10: in one bin these would cancel.
    """
    logits = torch.tensor([[0.0, 0.0], [math.log(9), 0.0]], dtype=torch.float64)
    found = calibration_error(logits, torch.tensor([1, 0]), bins=2)
    assert found == pytest.approx((0.5 + 0.1) / 2)


@given(SEEDS)
def test_over_confidence_is_the_loss_that_a_temperature_saves(seed: int) -> None:
    """By its definition, with the sign of T - 1; sharper logits are surer."""
    logits, labels = drawn(seed)
    t = temperature(logits, labels)
    assert t is not None
    chosen = torch.arange(len(labels)), labels

    def loss(scaled: Tensor) -> float:
        return -float(scaled.log_softmax(1)[chosen].mean())

    found = over_confidence(logits, labels)
    assert found is not None
    assert abs(found) == pytest.approx(loss(logits) - loss(logits / t), abs=1e-9)
    assert math.copysign(1, found) == math.copysign(1, t - 1)
    surer = over_confidence(10 * logits, labels)
    assert surer is not None
    assert surer > max(0, found)


@pytest.mark.parametrize(("at", "side"), [(0.4, -1), (3.0, 1)])
def test_sides_of_confidence(at: float, side: int) -> None:
    """Labels drawn at T above 1 make the logits too sure, below 1 not sure enough."""
    logits = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0)) * 2
    found = over_confidence(logits, labelled(logits, at, 1))
    assert found is not None
    assert side * found > 0.05


def test_nothing_of_a_diverged_network() -> None:
    logits = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    labels = torch.tensor([0, 1])
    assert over_confidence(logits, labels) is None
    assert temperature(logits, labels) is None
    assert calibration_error(logits, labels) is None
    given_case = case("mlp")
    broken = {n: t * math.nan for n, t in given_case.weights.items()}
    samples = given_case.samples
    assert generalisation_gap(given_case.architecture, broken, samples, samples) is None


def test_the_gap() -> None:
    """Validation loss less training loss, training accuracy less validation accuracy."""
    given_case = case("mlp")
    architecture, weights = given_case.architecture, given_case.weights
    images = given_case.samples.images
    known = Samples(images[:8], given_case.samples.labels[:8])
    other = Samples(images[8:], given_case.samples.labels[8:])
    found = generalisation_gap(architecture, weights, known, other)
    one, two = evaluate(architecture, weights, known), evaluate(architecture, weights, other)
    assert found is not None
    assert found.loss == two.loss - one.loss
    assert found.accuracy == one.accuracy - two.accuracy
    same = generalisation_gap(architecture, weights, known, known)
    assert same is not None
    assert (same.loss, same.accuracy) == (0, 0)
