"""TINY, NeST's bridging and Firefly: births that move at once, and what they promise."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from new_unit_networks import conv_net, dense_net, living, widened
from strategies import random_samples
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import Weights, network
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.growth.bottleneck_matrix import (
    bottleneck_matrix,
    double,
    gradient_at_birth,
    observe,
)
from recursive_lth.growth.firefly import EPSILON, POOL, firefly
from recursive_lth.growth.gradmax import rank
from recursive_lth.growth.initialise import is_preserving
from recursive_lth.growth.new_units import gather, new_units, scatter
from recursive_lth.growth.tiny import BRIDGED, _beyond, _whitening, bridging, patches, tiny
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import transplant

NETS: dict[str, Callable[[], Architecture]] = {
    "linear": dense_net,
    "relu": lambda: dense_net("relu"),
    "conv": lambda: conv_net((3, 2, 1), (3, 1, 1)),
    "norm": lambda: conv_net((3, 1, 1), (2, 2, 0), between=("batchnorm", "relu", "maxpool")),
}


def loss(change: Morph, soil: Soil, values: Weights) -> float:
    grown = transplant(double(soil.ticket.weights), change, double(values))
    logits, _ = network(change.after)(grown, soil.batch.images, training=True)
    return float(F.cross_entropy(logits, soil.batch.labels))


def parents_loss(soil: Soil) -> float:
    logits, _ = network(soil.ticket.architecture)(
        soil.ticket.weights, soil.batch.images, training=True
    )
    return float(F.cross_entropy(logits, soil.batch.labels))


def random_like(born: Birth, change: Morph, seed: int) -> Weights:
    """Random new weights, of the same norm as the birth's on either side."""
    units, values = new_units(change), born.values
    generator = torch.Generator().manual_seed(seed)
    for places in (units.incoming, units.outgoing):
        old = gather(values, places)
        rows = torch.randn(old.shape, generator=generator, dtype=torch.float64)
        values = scatter(values, places, rows * old.norm() / rows.norm())
    return values


@pytest.mark.parametrize("kind", NETS)
def test_tiny_lowers_the_loss_more_than_chance(kind: str) -> None:
    """Against 50 draws of the same norms on both sides, at the amplitude that TINY chose.

    Behind a BatchNorm the matrix tells of silent units alone, so there the loss only may not rise.
    """
    change, soil = widened(NETS[kind](), "hidden", 0.5, samples=64)
    born = tiny(change, soil)
    found = loss(change, soil, born.values)
    if kind == "norm":
        assert found <= parents_loss(soil) + 1e-12
        return
    assert found < parents_loss(soil) - 1e-3
    for seed in range(50):
        assert found < loss(change, soil, random_like(born, change, seed))


def test_tiny_is_a_regression_in_function_space() -> None:
    """Two hidden units pass 2 of 5 dimensions on: three new ones bring what the loss misses most.

    TINY's first-order gain for a step in function space is the sum of squared singular values of
    S^(-1/2) N over their root; any other pair of the same size there, ||S^(1/2) A B||, gains less.
    """
    change, soil = widened(dense_net(hidden=2, inputs=5), "hidden", 1.5, samples=200)
    units = new_units(change)
    signals = observe(soil, units)
    wanted = {name: _beyond(change, signals, name) for name in signals.deltas}
    matrix, _ = bottleneck_matrix(soil, units, wanted)
    reads = signals.reads["one"]
    covariance = reads.T @ reads / len(reads)
    born = tiny(change, soil)
    into, out = gather(born.values, units.incoming), gather(born.values, units.outgoing)
    product = into.T @ out  # what the new units add, as a matrix from inputs to outputs

    def gain(step: Tensor) -> float:
        size = ((step.T @ covariance @ step).trace()).sqrt()
        return float(-(matrix * step).sum() / size)

    best = gain(product)
    assert best > 0
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        left = torch.randn(5, units.count, generator=generator, dtype=torch.float64)
        right = torch.randn(units.count, 12, generator=generator, dtype=torch.float64)
        assert gain(left @ right) < best
    sizes = torch.linalg.svdvals(_whitening(change, signals, units) @ matrix)
    reached = min(units.count, rank(sizes, matrix.shape))
    assert best == pytest.approx(float(sizes[:reached].norm()), rel=1e-8)


def test_without_a_bottleneck_tiny_is_zero_out() -> None:
    """Six linear units pass all of 5 inputs on: the reader can give what the loss wants itself."""
    change, soil = widened(dense_net(inputs=5), "hidden", 0.5, samples=200)
    units = new_units(change)
    values = tiny(change, soil).values
    assert not gather(values, units.outgoing).any()
    assert torch.equal(gather(values, units.incoming), gather(soil.fresh, units.incoming))


def test_what_weights_can_give_is_taken_away() -> None:
    """What is left of the gradient is orthogonal to all that the reader reads."""
    change, soil = widened(conv_net((3, 1, 1), (3, 2, 1)), "hidden", 0.5, samples=32)
    signals = observe(soil, new_units(change))
    left = _beyond(change, signals, "two").movedim(1, -1).flatten(0, -2)
    reads = patches(change.before.layers["two"], signals.reads["two"])
    assert float((reads.T @ left).abs().max()) < 1e-12
    assert float(left.norm()) < float(signals.deltas["two"].norm())


def test_patches_are_what_a_convolution_multiplies() -> None:
    """patches @ weight^T, laid out again, is the convolution."""
    layer = Layer("conv", ("input",), "units", 3, 2, 1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 7, 6, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64)
    expected = F.conv2d(images, weight, None, 2, 1)
    found = (patches(layer, images) @ weight.flatten(1).T).view(2, *expected.shape[2:], 4)
    torch.testing.assert_close(found.movedim(-1, 1), expected)


def test_bridging_joins_the_largest_pairs() -> None:
    """Only inputs and outputs of the tenth with the largest |G| are joined, as large as old ones.

    With one pair both weights are +-sqrt|G| before they are scaled, and their product has the sign
    of -G: a short step along it lowers the loss.
    """
    change, soil = widened(dense_net("relu"), "hidden", 0.2)
    units = new_units(change)
    assert units.count == 1
    matrix, _ = bottleneck_matrix(soil, units, observe(soil, units).deltas)
    values = bridging(change, soil).values
    incoming, outgoing = gather(values, units.incoming)[0], gather(values, units.outgoing)[0]
    count = round(BRIDGED * matrix.numel())
    chosen = torch.zeros(matrix.numel(), dtype=torch.bool)
    chosen[matrix.abs().flatten().argsort(descending=True)[:count]] = True
    chosen = chosen.view(matrix.shape)
    assert torch.equal(incoming != 0, chosen.any(1))
    assert bool((~outgoing.bool() | chosen.any(0)).all())
    for part, name in ((incoming, "one.weight"), (outgoing, "two.weight")):
        size = soil.ticket.weights[name].abs().mean()
        torch.testing.assert_close(part.abs().mean(), size)


def test_bridging_descends() -> None:
    """Averaged over the drawn signs, A B is minus the chosen part of G, so the loss falls."""
    total = 0.0
    for seed in range(20):
        change, soil = widened(dense_net("tanh"), "hidden", 0.5, seed=seed)
        matrix, _ = bottleneck_matrix(
            soil, new_units(change), observe(soil, new_units(change)).deltas
        )
        units = new_units(change)
        values = bridging(change, soil).values
        product = gather(values, units.incoming).T @ gather(values, units.outgoing)
        total += float((product * matrix).sum() / product.norm() / matrix.norm())
    assert total / 20 < -0.3


@pytest.mark.parametrize("kind", NETS)
def test_firefly_keeps_the_best_and_descends(kind: str) -> None:
    """The first-order change is -epsilon times the sum of kept scores, and holds for a small step.

    More outgoing gradient reaches the kept than as many drawn at random.
    """
    change, soil = widened(NETS[kind](), "hidden", 0.5, samples=48)
    units = new_units(change)
    born = firefly(change, soil)
    assert loss(change, soil, born.values) < parents_loss(soil)
    norms = gather(born.values, units.outgoing).norm(dim=1)
    fresh = gather(soil.fresh, units.outgoing).norm() / units.count**0.5
    torch.testing.assert_close(norms, (EPSILON * fresh).expand(units.count))
    unheard = scatter(
        born.values, units.outgoing, torch.zeros_like(gather(soil.fresh, units.outgoing))
    )
    kept = gradient_at_birth(change, soil, unheard)[1].norm(dim=1)
    drawn = []
    for seed in range(20):
        rows = gather(random_like(Birth(soil.fresh), change, seed), units.incoming)
        values = scatter(unheard, units.incoming, rows)
        drawn.append(gradient_at_birth(change, soil, values)[1].norm(dim=1))
    assert float(kept.mean()) > float(torch.cat(drawn).mean())
    assert POOL > 1


@pytest.mark.parametrize("birth", [tiny, bridging, firefly])
def test_costs_are_told(birth: Callable[[Morph, Soil], Birth]) -> None:
    """Each looks at the batch at least once forward and back, and none claims to preserve."""
    change, soil = widened(dense_net("relu"), "wide", 0.5)
    least = 3 * soil.ticket.cost.multiply_adds * len(soil.batch)
    assert birth(change, soil).multiply_adds > least
    assert not is_preserving("widen", birth.__name__)


def test_living_tickets_have_what_tests_need() -> None:
    """Biases differ from 0 and every weight remains, so no twin holds by accident."""
    ticket = living(dense_net("relu"), 0)
    assert bool(ticket.weights["one.bias"].all())
    assert all(bool(mask.all()) for mask in ticket.masks.values())
    assert len(random_samples(ticket.architecture, 3, 0)) == 3
