"""Units born in pairs: exact under every mask, and able to part."""

import pytest
import torch
from new_unit_networks import conv_net, dense_net, widened
from strategies import random_samples
from test_grow import NETWORKS, lived_in, sprout_of

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS
from recursive_lth.architecture.network import EPSILON
from recursive_lth.config import GrowthStep
from recursive_lth.growth.bottleneck_matrix import double, gradient_at_birth
from recursive_lth.growth.certificate import largest_change
from recursive_lth.growth.masks_of_new import BUDGETED, MASKS_OF_NEW
from recursive_lth.growth.mirror import mirror
from recursive_lth.growth.new_units import gather, new_units
from recursive_lth.growth.variance import variance_transfer
from recursive_lth.ticket.transplant import transplant


@pytest.mark.parametrize("mask", [mask for mask in MASKS_OF_NEW if mask not in BUDGETED])
@pytest.mark.parametrize("kind", NETWORKS)
def test_pairs_are_exact_under_every_mask(kind: str, mask: str) -> None:
    """Z h - Z h = 0: no mask tells the two of a pair apart, for their weights are the skeleton."""
    architecture = NETWORKS[kind]
    ticket = lived_in(architecture, 1)
    for i in range(len(architecture.free_symbols)):
        place = (i + 0.5) / len(architecture.free_symbols)
        sprout = sprout_of(ticket, GrowthStep("widen", place, 1.0, "mirror", mask))
        assert sprout.certificate.claims_exact
        assert max(sprout.certificate.eval, sprout.certificate.train) < 1e-10


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_pairs_are_exact_behind_any_activation(activation: str) -> None:
    """f(V x) is the same for both, whatever f is; both sides get a gradient at once."""
    change, soil = widened(dense_net(activation), "hidden", 0.7)
    born = mirror(change, soil)
    after = transplant(double(soil.ticket.weights), change, born.values)
    sides = ((change.before, soil.ticket.weights), (change.after, after))
    assert largest_change(*sides, soil.batch.images, training=True) < 1e-12
    into, out = gradient_at_birth(change, soil, born.values)
    assert into.shape[0] == 4
    assert bool(into.any(dim=1).all())
    assert bool(out.any(dim=1).all())
    torch.testing.assert_close(into[:2], -into[2:])
    torch.testing.assert_close(out[:2], out[2:])


def test_pairs_through_a_grouped_convolution() -> None:
    """Both of a pair get one kernel on the way, so what readers see of them is the same."""
    architecture = conv_net((3, 1, 1), (3, 1, 1), between=("relu", "groupconv", "gelu"))
    change, soil = widened(architecture, "hidden", 0.5)
    values = mirror(change, soil).values
    kernels = values["b1.weight"][-2:]
    assert torch.equal(kernels[0], kernels[1])
    assert bool(kernels.any())
    after = transplant(double(soil.ticket.weights), change, values)
    sides = ((architecture, soil.ticket.weights), (change.after, after))
    assert largest_change(*sides, soil.batch.images, training=True) < 1e-12


def test_an_odd_unit_is_read_with_zero() -> None:
    """Three units: one pair, (V, V) and (Z, -Z), and one that reads and is not read."""
    change, soil = widened(dense_net("relu"), "hidden", 0.5)
    units = new_units(change)
    values = mirror(change, soil).values
    incoming, outgoing = gather(values, units.incoming), gather(values, units.outgoing)
    fresh_in, fresh_out = (gather(soil.fresh, p) for p in (units.incoming, units.outgoing))
    assert torch.equal(incoming, fresh_in[[0, 0, 2]])
    assert torch.equal(outgoing[:2], torch.stack([fresh_out[0], -fresh_out[0]]))
    assert not outgoing[2].any()


def test_variance_transfer_scales_what_reads() -> None:
    """Old weights that read 6 units, then 9, are multiplied by sqrt(6/9); nothing else changes."""
    architecture = dense_net("relu")
    ticket = lived_in(architecture, 1)
    batch = random_samples(architecture, 8, 0)
    assert len(batch) == 8
    sprout = sprout_of(ticket, GrowthStep("widen", 0.0, 0.5, "variance_transfer"))
    factor = torch.tensor((6 / 9) ** 0.5)
    for group in ("weights", "rewind"):
        old, new = getattr(ticket, group), getattr(sprout.ticket, group)
        torch.testing.assert_close(new["two.weight"][:, :6], old["two.weight"] * factor)
        assert torch.equal(new["one.weight"][:6], old["one.weight"])
        assert torch.equal(new["two.bias"], old["two.bias"])
        assert torch.equal(new["output.weight"], old["output.weight"])
    pair = sprout.ticket.weights["two.weight"][:, 6:8]
    assert torch.equal(pair[:, 0], -pair[:, 1])
    assert not sprout.certificate.claims_exact


def test_variance_transfer_before_a_norm_changes_almost_nothing() -> None:
    """A BatchNorm undoes the factor f: its statistics are scaled too, so only epsilon remains.

    (f x - f m) / sqrt(f^2 v + eps) differs from (x - m) / sqrt(v + eps) by the relative
    eps (1/f^2 - 1) / (2 (v + eps)) or less.
    """
    architecture: Architecture = NETWORKS["resnet-20"]
    ticket = lived_in(architecture, 1)
    place = (architecture.free_symbols.index("s1b1_conv1") + 0.5) / len(architecture.free_symbols)
    sprout = sprout_of(ticket, GrowthStep("widen", place, 1.0, "variance_transfer"))
    assert 0 < sprout.certificate.eval < 10 * EPSILON
    before, after = ticket.weights, sprout.ticket.weights
    mean, variance = ("s1b1_norm2.running_mean", "s1b1_norm2.running_var")
    torch.testing.assert_close(after[mean], before[mean] * 0.5**0.5)
    torch.testing.assert_close(after[variance], before[variance] * 0.5)


def test_variance_transfer_keeps_the_variance() -> None:
    """Weights of variance 2 / fan-in before have it after, old and new alike (n = 40,000)."""
    architecture = dense_net("relu", hidden=200).edit(widths={"wide": 200})
    change, soil = widened(architecture, "hidden", 1.0)
    born = variance_transfer(change, soil)
    after = transplant(double(soil.ticket.weights), change, born.values)
    scaled = after["two.weight"] * born.scaled["two.weight"]
    for part in (scaled[:, :200], scaled[:, 200:]):
        assert float(part.var()) == pytest.approx(2 / 400, rel=0.05)
