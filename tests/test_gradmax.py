"""GradMax: its matrix against two slow twins, its bound, and its exactness."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from new_unit_networks import conv_net, dense_net, hidden_signals, widened
from strategies import SEEDS, architectures, random_samples
from test_grow import lived_in
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import WEIGHTED
from recursive_lth.architecture.zoo import convnet, resnet_20
from recursive_lth.config import GrowthStep
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.growth.bottleneck_matrix import (
    bottleneck_matrix,
    double,
    gradient_at_birth,
    observe,
)
from recursive_lth.growth.certificate import largest_change
from recursive_lth.growth.firefly import firefly
from recursive_lth.growth.gradmax import gradmax, gradmax_optimised, rank
from recursive_lth.growth.grow import grow
from recursive_lth.growth.initialise import why_inexact
from recursive_lth.growth.mirror import mirror
from recursive_lth.growth.new_units import gather, new_units, quiet, scatter
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.growth.tiny import tiny
from recursive_lth.growth.zeros import kaiming
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import transplant

WINDOWS = [  # (kernel, stride, padding) of both convolutions
    ((3, 1, 1), (3, 1, 1)),
    ((3, 2, 1), (3, 1, 0)),
    ((2, 2, 0), (3, 2, 1)),
    ((1, 1, 0), (2, 1, 1)),
    ((3, 1, 2), (2, 2, 0)),
    ((4, 3, 1), (1, 1, 0)),
]
NETS: dict[str, Callable[[], Architecture]] = {
    "linear": dense_net,
    "relu": lambda: dense_net("relu"),
    **{f"conv {w}": partial(conv_net, *w) for w in WINDOWS},
    "batchnorm": lambda: conv_net((3, 1, 1), (3, 2, 1), between=("batchnorm", "relu")),
    "maxpool": lambda: conv_net((3, 1, 1), (3, 1, 1), between=("relu", "maxpool")),
    "avgpool": lambda: conv_net((3, 1, 1), (2, 2, 0), between=("silu", "avgpool")),
    "depthwise": lambda: conv_net((1, 1, 0), (1, 1, 0), between=("relu", "groupconv", "relu")),
}


def matrix_of(change: Morph, soil: Soil) -> Tensor:
    units = new_units(change)
    return bottleneck_matrix(soil, units, observe(soil, units).deltas)[0]


def grown_gradient(change: Morph, soil: Soil, born: Birth) -> Tensor:
    """The loss's gradient in the incoming weights of a ticket that is really grown."""
    return gradient_at_birth(change, soil, born.values)[0]


def bound(change: Morph, soil: Soil) -> float:
    """c sqrt(sum of the k largest squared singular values), c the norm of a unit read afresh."""
    units = new_units(change)
    sizes = torch.linalg.svdvals(matrix_of(change, soil))[: units.count]
    norm = gather(soil.fresh, units.outgoing).norm() / math.sqrt(units.count)
    return float(norm * sizes.norm())


@pytest.mark.parametrize("activation", ["", "relu", "tanh", "leakyrelu"])
def test_the_matrix_of_linear_layers(activation: str) -> None:
    """sum over samples of x delta^T, for the deltas hold the 1/n of the mean; f'(0+) is 1 here."""
    change, soil = widened(dense_net(activation), "hidden", 0.5)
    reads, delta = hidden_signals(soil)
    torch.testing.assert_close(matrix_of(change, soil), reads.T @ delta, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("first", "second"), WINDOWS)
def test_the_matrix_of_convolutions(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    """Hidden pixel p holds w_a x[s1 p + a - pad1]; output q reads v_b h[s2 q + b - pad2].

    So M[(c, a), (o, b)] is the sum of x[c, s1 p + a - pad1] delta[o, q] over samples, all q, and
    p = s2 q + b - pad2 where that is a hidden pixel: both sides are unfolded here, one by one.
    """
    change, soil = widened(conv_net(first, second), "hidden", 0.5)
    reads, delta = hidden_signals(soil)
    (k1, s1, p1), (k2, s2, p2) = first, second
    hidden = soil.ticket.architecture.shapes["one"][1:]
    padded = F.pad(reads, (p1, p1, p1, p1))
    expected = torch.zeros(3, k1, k1, 5, k2, k2, dtype=torch.float64)
    for qy in range(delta.shape[2]):
        for qx in range(delta.shape[3]):
            for by in range(k2):
                for bx in range(k2):
                    y, x = s2 * qy + by - p2, s2 * qx + bx - p2
                    if 0 <= y < hidden[0] and 0 <= x < hidden[1]:
                        window = padded[:, :, s1 * y : s1 * y + k1, s1 * x : s1 * x + k1]
                        pair = torch.einsum("ncij,no->cijo", window, delta[:, :, qy, qx])
                        expected[..., by, bx] += pair
    found = matrix_of(change, soil)
    torch.testing.assert_close(
        found, expected.view(3 * k1 * k1, 5 * k2 * k2), rtol=1e-10, atol=1e-14
    )


@pytest.mark.parametrize(("first", "second"), [w for w in WINDOWS if w[1][2] == 0])
def test_the_auxiliary_kernel(first: tuple[int, int, int], second: tuple[int, int, int]) -> None:
    """y[q] = sum v_b w_a x[s1 s2 q + s1 b + a - pad1 - s1 pad2]: a kernel K[s1 b + a] = v_b w_a.

    Of size k1 + s1 (k2 - 1), stride s1 s2 and padding pad1 + s1 pad2, so M is the gradient of K at
    zero, unfolded. Only without padding in the second layer: K would also read through hidden
    pixels beyond the border, which are 0.
    """
    change, soil = widened(conv_net(first, second), "hidden", 0.5)
    reads, delta = hidden_signals(soil)
    (k1, s1, p1), (k2, s2, _) = first, second
    size = k1 + s1 * (k2 - 1)
    kernel = torch.zeros(5, 3, size, size, dtype=torch.float64, requires_grad=True)
    out = F.conv2d(reads, kernel, None, s1 * s2, p1)
    out = out[:, :, : delta.shape[2], : delta.shape[3]]
    (gradient,) = torch.autograd.grad((out * delta).sum(), kernel)
    patches = gradient.unfold(2, k1, s1).unfold(3, k1, s1)  # (5, 3, k2, k2, k1, k1)
    expected = patches.permute(1, 4, 5, 0, 2, 3).reshape(3 * k1 * k1, 5 * k2 * k2)
    torch.testing.assert_close(matrix_of(change, soil), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", NETS)
def test_the_incoming_gradient_reaches_its_bound(kind: str) -> None:
    """With orthogonal outgoing rows c v_i the incoming gradient M c v_i has the norm c sigma_i."""
    change, soil = widened(NETS[kind](), "hidden", 0.5)
    largest = bound(change, soil)
    assert largest > 1e-4
    found = float(grown_gradient(change, soil, gradmax(change, soil)).norm())
    assert found == pytest.approx(largest, rel=1e-8)


@pytest.mark.parametrize("kind", NETS)
def test_no_other_directions_get_more(kind: str) -> None:
    """Ky Fan: over orthonormal rows V, ||M V^T|| is largest for the first singular vectors.

    Rivals keep incoming weights 0 and the norm of each unit, c: what kaiming, mirror, TINY and
    Firefly send on, and 200 random draws; once with their directions made orthogonal, as the law
    demands, and once as they are where they are random in 12 dimensions or more. Not so without
    orthogonality: with all units on the first vector the norm is c sqrt(k) sigma_1.
    """
    change, soil = widened(NETS[kind](), "hidden", 0.5)
    units = new_units(change)
    silent = quiet(soil.fresh, units, units.count)
    norm = float(gather(soil.fresh, units.outgoing).norm()) / math.sqrt(units.count)
    best = float(grown_gradient(change, soil, gradmax(change, soil)).norm())

    def reached(rows: Tensor) -> float:
        rows = norm * F.normalize(rows, dim=1)
        values = scatter(silent, units.outgoing, rows)
        return float(grown_gradient(change, soil, Birth(values)).norm())

    rivals = {b.__name__: b(change, soil).values for b in (kaiming, mirror, tiny, firefly)}
    for values in rivals.values():
        left, _, right = torch.linalg.svd(gather(values, units.outgoing), full_matrices=False)
        assert reached(left @ right) <= best * (1 + 1e-9)
    generator = torch.Generator().manual_seed(5)
    shape = gather(soil.fresh, units.outgoing).shape
    for _ in range(200):
        rows = torch.randn(shape, generator=generator, dtype=torch.float64)
        assert reached(torch.linalg.qr(rows.T).Q.T) < best
        assert reached(rows) < best or shape[1] < 12
    for raw in ("kaiming", "mirror"):
        assert reached(gather(rivals[raw], units.outgoing)) < best
    _, sizes, right = torch.linalg.svd(matrix_of(change, soil), full_matrices=False)
    alike = reached(right[:1].expand(units.count, -1))
    assert alike == pytest.approx(norm * math.sqrt(units.count) * float(sizes[0]), rel=1e-8)


@pytest.mark.parametrize("symbol", ["stream1", "stream2", "s1b1_conv1", "stream3"])
def test_residual_streams(symbol: str) -> None:
    """With all layers that make or read the units stacked, the same bound holds to rounding."""
    change, soil = widened(resnet_20((3, 8, 8), 5, (3, 4, 5)), symbol, 0.6, samples=12)
    found = float(grown_gradient(change, soil, gradmax(change, soil)).norm())
    assert found == pytest.approx(bound(change, soil), rel=1e-8)


@pytest.mark.parametrize("kind", NETS)
def test_ascent_comes_near_the_bound_and_never_above(kind: str) -> None:
    """The optimised variant never sees the matrix: 20 ascents reach 95 % of the bound here."""
    change, soil = widened(NETS[kind](), "hidden", 0.5)
    largest = bound(change, soil)
    found = float(grown_gradient(change, soil, gradmax_optimised(change, soil)).norm())
    assert 0.95 * largest <= found <= largest * (1 + 1e-9)


def test_units_beyond_the_rank_are_born_by_zero_out() -> None:
    """Two classes give one direction (the deltas of a sample sum to 0), so one unit is silent.

    The others read as at a first birth and are read with 0: their outgoing weights get a gradient.
    """
    architecture = dense_net("relu").edit(widths={"classes": 2})
    change, soil = widened(architecture, "wide", 0.4)
    units = new_units(change)
    matrix = matrix_of(change, soil)
    assert rank(torch.linalg.svdvals(matrix), matrix.shape) == 1
    born = gradmax(change, soil)
    incoming = gather(born.values, units.incoming)
    outgoing = gather(born.values, units.outgoing)
    assert not incoming[0].any()
    assert bool(outgoing[0].any())
    assert torch.equal(incoming[1:], gather(soil.fresh, units.incoming)[1:])
    assert not outgoing[1:].any()
    into, out = gradient_at_birth(change, soil, born.values)
    assert bool(into[0].any())
    assert bool(out[1:].any(dim=1).all())


def test_without_bias_a_relu_stays_shut() -> None:
    """relu'(0) is 0 in torch: no gradient could ever reach a silent unit, so all are zero-out."""
    change, soil = widened(conv_net((3, 1, 1), (3, 1, 1), bias=False), "hidden", 0.5)
    assert not matrix_of(change, soil).any()
    units = new_units(change)
    for birth in (gradmax, gradmax_optimised):
        values = birth(change, soil).values
        assert not gather(values, units.outgoing).any()
        assert torch.equal(gather(values, units.incoming), gather(soil.fresh, units.incoming))


def test_a_float32_ticket_keeps_its_function() -> None:
    """Through `grow`, half of the old weights pruned: the certificate is exact, units learn."""
    architecture = convnet((3, 8, 8), 5, (4, 6))
    ticket = lived_in(architecture, 1)
    batch = random_samples(architecture, 16, 0)
    generator = torch.Generator().manual_seed(2)
    for name in ("gradmax", "gradmax_optimised"):
        sprout = grow(
            ticket, GrowthStep("widen", 0.2, 0.5, name), batch, generation=1, generator=generator
        )
        assert sprout.certificate.claims_exact
        assert max(sprout.certificate.eval, sprout.certificate.train) < 1e-10
        assert sprout.certificate.new_gradient > 1
        assert sprout.multiply_adds > 0


def test_a_sigmoid_claims_nothing() -> None:
    """f(0) = 1/2 would be read, so neither variant claims to preserve; other activations may."""
    change, _ = widened(dense_net("sigmoid"), "hidden", 0.5)
    for name in ("gradmax", "gradmax_optimised"):
        assert "sigmoid" in why_inexact(change, "widen", name)
    assert why_inexact(change, "widen", "mirror") == ""
    silu, _ = widened(dense_net("silu"), "hidden", 0.5)
    assert why_inexact(silu, "widen", "gradmax") == ""


@settings(max_examples=30, deadline=None)
@given(architectures(), SEEDS)
def test_exact_and_bounded_in_random_architectures(architecture: Architecture, seed: int) -> None:
    """Pools, flattens, norms and streams, at every width: no logit moves, the bound holds.

    All layers get a bias: an old ReLU that reads exactly 0, as after zeros alone, is shut by 0 and
    open by `QUIET`, and then more gradient comes back than the matrix knows of.
    """
    layers = {
        n: replace(layer, bias=True) if layer.operation in WEIGHTED else layer
        for n, layer in architecture.layers.items()
    }
    architecture = Architecture(layers, architecture.widths, architecture.spatial)
    for i, _ in enumerate(architecture.free_symbols):
        place = (i + 0.5) / len(architecture.free_symbols)
        change = OPERATORS["widen"](architecture, place=place, ratio=0.6, label="g1")
        if why_inexact(change, "widen", "gradmax"):  # a sigmoid, see above
            continue
        symbol = new_units(change).symbol
        change, soil = widened(architecture, symbol, 0.6, samples=8, seed=seed)
        born = gradmax(change, soil)
        after = transplant(double(soil.ticket.weights), change, born.values)
        sides = ((architecture, soil.ticket.weights), (change.after, after))
        for training in (False, True):
            assert largest_change(*sides, soil.batch.images, training=training) < 1e-10
        units = new_units(change)
        incoming = gather(born.values, units.incoming)
        silent = ~incoming.any(dim=1) & gather(born.values, units.outgoing).any(dim=1)
        found = grown_gradient(change, soil, born)[silent].norm()
        assert float(found) == pytest.approx(bound(change, soil), rel=1e-7, abs=1e-12)
