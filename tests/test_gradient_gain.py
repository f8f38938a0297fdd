"""What a growth adds to the gradient: against the whole gradients before and after it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from new_unit_networks import dense_net, living
from strategies import random_samples

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import GrowthStep
from recursive_lth.growth.birth import Batch, Soil
from recursive_lth.growth.bottleneck_matrix import bottleneck_matrix, observe
from recursive_lth.growth.gradient_gain import GradientGain, gradient_gain
from recursive_lth.growth.grow import Sprout, grow
from recursive_lth.growth.new_units import gather, new_units
from recursive_lth.ticket.ticket import Ticket


def grown(parent: Ticket, step: GrowthStep) -> tuple[Sprout, Batch, GradientGain]:
    """A growth with what it gains on 20 samples."""
    batch = random_samples(parent.architecture, 20, 5)
    sprout = grow(parent, step, batch, generation=1, generator=torch.Generator().manual_seed(2))
    return sprout, batch, gradient_gain(parent, sprout, batch)


def whole_square(ticket: Ticket, batch: Batch) -> float:
    """The squared norm of the gradient in all that remains: the slow twin."""
    values = {n: t.double().requires_grad_() for n, t in ticket.weights.items()}
    logits, _ = network(ticket.architecture)(values, batch.images.double(), training=True)
    F.cross_entropy(logits, batch.labels).backward()
    total = 0.0
    for name, tensor in values.items():
        assert tensor.grad is not None
        mask = ticket.masks.get(name, torch.ones_like(tensor, dtype=torch.bool))
        total += float((tensor.grad[mask] ** 2).sum())
    return total


@pytest.mark.parametrize("mask", ["dense", "parent_density"])
@pytest.mark.parametrize(
    ("operator", "birth"),
    [("widen", "zero_out"), ("widen", "gradmax"), ("deepen", "identity"), ("branch", "zero_gamma")],
)
def test_it_is_the_gain_of_the_whole_norm(operator: str, birth: str, mask: str) -> None:
    """A preserving growth leaves what old weights receive, so the new ones' share is the gain."""
    parent = living(mlp((1, 3, 3), 4, (5, 6)), 3)
    sprout, batch, gain = grown(parent, GrowthStep(operator, 0.4, 0.5, birth, mask))
    gained = whole_square(sprout.ticket, batch) - whole_square(parent, batch)
    assert gain.square == pytest.approx(gained, rel=1e-5, abs=1e-9)
    remaining = [t.cost.remaining_multiply_adds for t in (sprout.ticket, parent)]
    assert gain.added == remaining[0] - remaining[1] > 0
    assert gain.spent == 3 * 20 * remaining[0] + sprout.multiply_adds
    assert gain.per_multiply_add == gain.square / gain.added


def unbiased(architecture: Architecture) -> Architecture:
    return architecture.edit({"one": replace(architecture.layers["one"], bias=False)})


def test_gradmax_gains_the_sum_of_its_squared_singular_values() -> None:
    """Times the squared norm of a unit's outgoing weights; what is silent sends no gradient on.

    Without biases there is no other new weight that receives any.
    """
    parent = living(unbiased(dense_net()), 4)
    sprout, batch, gain = grown(parent, GrowthStep("widen", 0.0, 0.5, "gradmax"))
    units = new_units(sprout.morph)
    assert units.symbol == "hidden"
    soil = Soil(parent, sprout.ticket.weights, torch.Generator(), batch, 0.5)
    matrix, _ = bottleneck_matrix(soil, units, observe(soil, units).deltas)
    squares = torch.linalg.svdvals(matrix)[: units.count] ** 2
    norms = (gather(sprout.ticket.weights, units.outgoing).double() ** 2).sum(1)
    assert gain.square == pytest.approx(float((norms * squares).sum().detach()), rel=1e-5)


def test_a_growth_that_adds_nothing_is_divided_by_one() -> None:
    """As one that is paid for with old weights, or exchanges them."""
    assert GradientGain(3.0, -5, 0).per_multiply_add == 3.0
