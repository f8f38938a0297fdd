"""Evaluation against a twin that knows only softmax, logarithm and a grid of temperatures."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, normal_weights, random_batch
from test_grow import NETWORKS, lived_in
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.architecture.zoo import mlp
from recursive_lth.ticket.masks import masked_cost
from recursive_lth.training import samples as samples_module
from recursive_lth.training.engine import DENSE, Plan, planned_engine
from recursive_lth.training.evaluate import (
    TEMPERATURES,
    Evaluation,
    accuracy,
    best_temperature,
    calibrated,
    evaluate,
    logits_of,
)
from recursive_lth.training.samples import Samples

GRID = [math.exp(math.log(0.05) + i / 800 * math.log(20 / 0.05)) for i in range(801)]


def mean_loss(logits: list[list[float]], labels: list[int], temperature: float = 1.0) -> float:
    """-log softmax(logits / T) of the label, the mean over samples, one sample at a time."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        scaled = [value / temperature for value in row]
        highest = max(scaled)
        sum_ = math.fsum(math.exp(value - highest) for value in scaled)
        total += highest + math.log(sum_) - scaled[label]
    return total / len(labels)


@given(architectures(), SEEDS)
def test_equal_to_the_twin(architecture: Architecture, seed: int) -> None:
    """Accuracy and loss by their definitions; the calibrated loss at most that of any grid point.

    The loss is convex in 1 / T, so its least value is not above the grid's. The search may miss
    1 / T by 1e-4, and the loss has at most the slope of the widest row of logits there.
    """
    weights = normal_weights(architecture, seed)
    images = random_batch(architecture, 12, seed)
    labels = torch.arange(12) % architecture.classes
    found = evaluate(architecture, weights, Samples(images, labels))
    with torch.no_grad():
        rows = module(architecture, weights).eval()(images).tolist()
    right = sum(
        row.index(max(row)) == label for row, label in zip(rows, labels.tolist(), strict=True)
    )
    assert found.accuracy == pytest.approx(right / 12)
    assert found.loss == pytest.approx(mean_loss(rows, labels.tolist()), rel=1e-9)
    at_best = mean_loss(rows, labels.tolist(), found.temperature)
    assert found.calibrated_loss == pytest.approx(at_best, rel=1e-9)
    least = min(mean_loss(rows, labels.tolist(), t) for t in GRID)
    spread = max(max(row) - min(row) for row in rows)
    assert found.calibrated_loss <= least + 1e-4 * spread
    assert found.calibrated_loss <= found.loss
    assert TEMPERATURES[0] <= found.temperature <= TEMPERATURES[1]
    assert found.samples == 12


def labelled(logits: Tensor, temperature: float, seed: int) -> Tensor:
    """Labels drawn from softmax(logits / T): a network whose right temperature is T."""
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial((logits / temperature).softmax(1), 1, generator=generator).flatten()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 6.0])
def test_the_right_temperature_is_found(temperature: float) -> None:
    """On labels drawn at T the best is near T: the likelihood's maximum is consistent."""
    logits = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0)).double() * 3
    found = best_temperature(logits, labelled(logits, temperature, 1))
    assert found == pytest.approx(temperature, rel=0.05)


@given(SEEDS, st.floats(0.2, 5))
def test_scale_moves_the_temperature_alone(seed: int, factor: float) -> None:
    """Logits times c have their best loss at c * T, and it is the same: only the ratio counts."""
    logits = torch.randn(60, 4, generator=torch.Generator().manual_seed(seed)).double() * 2
    labels = labelled(logits, 1.0, seed)
    one, other = best_temperature(logits, labels), best_temperature(logits * factor, labels)
    low, high = TEMPERATURES
    if low * 1.1 < one * factor < high / 1.1:
        assert other == pytest.approx(one * factor, rel=1e-3)


@given(SEEDS, st.floats(0.2, 5))
def test_no_other_temperature_has_less_loss(seed: int, spread: float) -> None:
    """The slow twin: PyTorch's cross-entropy at 400 temperatures between the ends."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, 5, generator=generator).double() * spread
    labels = torch.randint(0, 5, (40,), generator=generator)
    least = min(
        float(F.cross_entropy(logits / temperature, labels))
        for temperature in np.geomspace(*TEMPERATURES, 400)
    )
    found = float(F.cross_entropy(logits / best_temperature(logits, labels), labels))
    assert found <= least + 1e-5


def test_temperatures_have_ends() -> None:
    """Always right wants to be ever surer, always wrong never sure: both stop at an end."""
    logits = torch.eye(4, dtype=torch.float64)
    assert best_temperature(logits, torch.arange(4)) == pytest.approx(TEMPERATURES[0], rel=0.01)
    wrong = best_temperature(logits, (torch.arange(4) + 1) % 4)
    assert wrong == pytest.approx(TEMPERATURES[1], rel=0.01)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_diverged_network(broken: float) -> None:
    """A logit that is no number: accuracy 0 and infinite losses, so that it never wins."""
    architecture = mlp((4,), 3, (5,))
    weights = {n: torch.ones(architecture.shape(n)) for n in architecture.tensors}
    weights["output.bias"][1] = broken
    samples = Samples(torch.ones(7, 4), torch.zeros(7, dtype=torch.int64))
    found = evaluate(architecture, weights, samples)
    assert (found.accuracy, found.loss, found.calibrated_loss) == (0.0, math.inf, math.inf)
    assert (found.temperature, found.samples) == (1.0, 7)


@pytest.mark.parametrize("kind", NETWORKS)
def test_batches_of_evaluation_do_not_matter(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation mode treats each sample alone, so logits in parts of 3 are those of the whole."""
    ticket = lived_in(NETWORKS[kind], 0)
    weights = {name: tensor.double() for name, tensor in ticket.weights.items()}
    images = random_batch(ticket.architecture, 11, 0)
    whole = logits_of(ticket.architecture, weights, images)
    monkeypatch.setattr("recursive_lth.training.evaluate.BATCH", 3)
    parts = logits_of(ticket.architecture, weights, images)
    assert whole.shape == (11, ticket.architecture.classes)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)
    assert not parts.requires_grad


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e6, 1e12])
def test_no_loss_is_below_0(scale: float) -> None:
    """Nor more than it is, however sure and right the network."""
    logits = scale * torch.eye(5, dtype=torch.float64)[torch.arange(20) % 5]
    loss, least, _ = calibrated(logits, torch.arange(20) % 5)
    assert 0 <= least <= loss
    assert loss == pytest.approx(math.log1p(4 * math.exp(-scale)), abs=1e-15)


PLANS: dict[str, list[tuple[Plan, bool]]] = {  # and whether the image's first readers are sparse
    "mlp": [
        (DENSE, False),
        (Plan(("fc1",)), True),
        (Plan(("fc2",)), False),
        (Plan(("fc2",), ("fc1",)), False),
        (Plan(("fc1",), ("fc2",)), True),
    ],
    "convnet": [(Plan(("conv1",)), False), (Plan(("output",)), False)],
}


@pytest.mark.parametrize("kind", PLANS)
def test_a_sparse_engine_is_shown_the_images_as_it_reads_them(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turned once for all looks where all that reads them is sparse; to the same end."""
    monkeypatch.setattr(samples_module, "BATCH", 5)
    ticket = lived_in(NETWORKS[kind], 1)
    architecture = ticket.architecture
    weights = {name: tensor.double() for name, tensor in ticket.weights.items()}
    pool, rows = random_batch(architecture, 20, 3), torch.arange(19, 7, -1)
    images, samples = pool[rows], Samples(pool, rows % architecture.classes, rows)
    for one in (samples, Samples(images, samples.labels)):
        assert [len(batch) for batch in one.turned] == [5, 5, 2]
        assert torch.equal(torch.cat(one.turned), images)
        assert all(batch.flatten(1).t().is_contiguous() for batch in one.turned)
    dense = evaluate(architecture, weights, samples)
    for plan, is_turned in PLANS[kind]:
        engine = planned_engine(architecture, ticket.masks, plan, torch.device("cpu"))
        assert engine.is_turned == is_turned
        found = evaluate(architecture, engine.pack(weights), samples, engine)
        assert found.loss == pytest.approx(dense.loss, rel=1e-9)
        assert found.calibrated_loss == pytest.approx(dense.calibrated_loss, rel=1e-9)
        assert found.accuracy == dense.accuracy


@pytest.mark.parametrize("evaluated", [evaluate, accuracy])
def test_what_is_not_thin_answers_dense(
    evaluated: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward alone, sparse products gain less; either way images are turned at most once."""
    ticket = lived_in(NETWORKS["mlp"], 1)
    architecture, masks = ticket.architecture, ticket.masks
    plan, asked = Plan(("fc1", "fc2", "output")), list[bool]()
    engine = planned_engine(architecture, masks, plan, torch.device("cpu"))
    density = masked_cost(architecture, masks).density
    assert engine.density == pytest.approx(density)
    assert planned_engine(architecture, masks, DENSE, torch.device("cpu")).density == 0

    def forward(*given: Any, **named: Any) -> Any:
        asked.append(True)
        return engine.forward(*given, **named)

    watched = replace(engine, forward=forward)
    images = random_batch(architecture, 20, 3)
    samples = Samples(images, torch.arange(20) % architecture.classes)
    weights = engine.pack({name: tensor.double() for name, tensor in ticket.weights.items()})
    found = []
    for most in (density + 1e-6, density - 1e-6):
        monkeypatch.setattr("recursive_lth.training.evaluate.MOST_READ", most)
        found.append(evaluated(architecture, weights, samples, watched))
    assert len(asked) == 1
    assert "turned" in vars(samples)
    first, second = found
    if isinstance(first, Evaluation) and isinstance(second, Evaluation):
        assert first.loss == pytest.approx(second.loss, rel=1e-9)
    else:
        assert first == second
