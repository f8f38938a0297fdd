"""Curvature against the full Hessian, closed forms, and an independent library."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import eigsh
from slow_landscape import ARCHITECTURES, case, full_hessian, slow
from strategies import SEEDS
from torch import Tensor, nn

from recursive_lth.architecture.module import module
from recursive_lth.errors import InputError
from recursive_lth.study.panel.curvature import (
    hessian_trace,
    hutchinson,
    lanczos,
    largest_eigenvalue,
    sam_sharpness,
)
from recursive_lth.study.panel.landscape import landscape
from recursive_lth.training.samples import Samples


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symmetric(values: list[float], seed: int) -> Tensor:
    """A matrix of these eigenvalues in a random orthonormal basis."""
    drawn = torch.randn(len(values), len(values), dtype=torch.float64, generator=seeded(seed))
    basis: Tensor = torch.linalg.qr(drawn).Q
    return basis @ torch.tensor(values, dtype=torch.float64).diag() @ basis.T


def noise_of_trace(matrix: Tensor, probes: int) -> float:
    """The standard error of a trace from random signs: sqrt(2) |A - diag A| over sqrt(probes)."""
    return float((matrix - matrix.diagonal().diag()).norm()) * math.sqrt(2 / probes)


class Counted:
    """A matrix that counts how often it is multiplied."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.products = matrix, 0

    def __call__(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.matrix @ vector


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_largest_eigenvalue_is_the_full_hessians(name: str) -> None:
    """Iterated to the end."""
    given_case = case(name, 1)
    found = largest_eigenvalue(given_case.landscape(), seeded(1), products=400, tolerance=1e-9)
    true = float(torch.linalg.eigvalsh(full_hessian(given_case))[-1])
    assert found == pytest.approx(true, rel=1e-7)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_product_is_the_full_hessians(name: str) -> None:
    """H v with 0 at pruned places, whatever v holds there; batches add up to the whole."""
    given_case = case(name, 2)
    around, hessian = given_case.landscape(), full_hessian(given_case)
    vector = torch.randn(len(around.point), dtype=torch.float64, generator=seeded(3))
    live = vector * around.is_live
    expected = torch.zeros_like(vector)
    expected[around.is_live] = hessian @ vector[around.is_live]
    torch.testing.assert_close(around.product(live), expected, rtol=1e-8, atol=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recursive_lth.study.panel.landscape.BATCH", 5)
        torch.testing.assert_close(around.product(live), expected, rtol=1e-8, atol=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), SEEDS)
def test_the_eigenvalue_of_a_quadratic(values: list[float], seed: int) -> None:
    """The Hessian of w.A w / 2 is A: its largest eigenvalue, even below 0."""
    matrix = symmetric(values, seed)
    start = torch.randn(len(values), dtype=torch.float64, generator=seeded(seed))
    found = lanczos(lambda v: matrix @ v, start, products=60, tolerance=1e-10)
    assert found == pytest.approx(max(values), abs=1e-6)


def test_it_stops_where_it_is_told_or_near_enough() -> None:
    """Stopped early, the value is below the true one; with a tolerance it is as near as that."""
    values = [math.sqrt(i) for i in range(200)]
    matrix = symmetric(values, 0)
    start = torch.randn(200, dtype=torch.float64, generator=seeded(0))
    before = -math.inf
    for products in (2, 4, 8, 16):
        counted = Counted(matrix)
        found = lanczos(counted, start, products=products, tolerance=0)
        assert counted.products == products
        assert before < found < max(values)
        before = found
    for tolerance in (1e-2, 1e-4, 1e-8):
        counted = Counted(matrix)
        found = lanczos(counted, start, products=200, tolerance=tolerance)
        assert counted.products < 200
        assert min(abs(found - v) for v in values) <= tolerance * found


def test_nothing_to_see() -> None:
    """A matrix of 0 has eigenvalue 0 after one product; a product that is no number, none."""
    start, nothing = torch.ones(4, dtype=torch.float64), Counted(torch.zeros(4, 4).double())
    assert lanczos(nothing, start, products=9, tolerance=1e-3) == 0
    assert nothing.products == 1
    assert lanczos(nothing, 0 * start, products=9, tolerance=1e-3) == 0
    assert nothing.products == 1
    broken = lanczos(lambda v: v * math.nan, start, products=9, tolerance=1e-3)
    assert math.isnan(broken)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_trace_is_the_full_hessians(name: str) -> None:
    """With many draws it lies within 4 standard errors, which are known of the full Hessian."""
    given_case = case(name, 3)
    hessian = full_hessian(given_case)
    found = hessian_trace(given_case.landscape(), seeded(4), probes=300)
    assert abs(found - float(hessian.trace())) <= 4 * noise_of_trace(hessian, 300)


def test_the_variance_of_random_signs() -> None:
    """2 |A - diag A|^2 is the variance of v.A v over signs; none is left of a diagonal matrix."""
    matrix = symmetric([1.0, 2.0, 3.0, 4.0, 5.0, -6.0], 5)
    ones = torch.ones(6, dtype=torch.float64)
    draws = seeded(0)
    one_by_one = [hutchinson(lambda v: matrix @ v, ones, draws, probes=1) for _ in range(4000)]
    off = noise_of_trace(matrix, 1)
    assert float(torch.tensor(one_by_one).std()) == pytest.approx(off, rel=0.1)
    counted = Counted(matrix)
    found = hutchinson(counted, ones, seeded(0), probes=4000)
    assert counted.products == 4000
    assert found == pytest.approx(sum(one_by_one) / 4000)
    assert found == pytest.approx(9.0, abs=4 * noise_of_trace(matrix, 4000))
    values = torch.arange(6.0, dtype=torch.float64)
    diagonal = hutchinson(lambda v: values * v, ones, seeded(0), probes=2)
    assert diagonal == 15.0
    masked = hutchinson(lambda v: values * v, (values > 2).double(), seeded(0), probes=2)
    assert masked == 12.0


def test_the_hessian_of_a_linear_model() -> None:
    """Closed form of softmax regression: the mean of (diag p - p p^T) x (x, 1)(x, 1)^T.

    With a single sample its largest eigenvalue is that of diag p - p p^T times |x|^2 + 1, and its
    trace (1 - |p|^2) (|x|^2 + 1).
    """
    whole = case("linear")
    dense = {n: torch.ones_like(m) for n, m in whole.masks.items()}
    one = Samples(whole.samples.images[:1], whole.samples.labels[:1])
    around = landscape(whole.architecture, whole.weights, dense, one, precision=torch.float64)
    x = one.images[0]
    p = (whole.weights["output.weight"] @ x + whole.weights["output.bias"]).softmax(0)
    size = float(x @ x + 1)
    of_logits, seen = p.diag() - torch.outer(p, p), torch.cat([x, torch.ones(1).double()])
    top = float(torch.linalg.eigvalsh(of_logits)[-1])
    found = largest_eigenvalue(around, seeded(0), tolerance=1e-10)
    assert found == pytest.approx(top * size, rel=1e-9)
    trace = hessian_trace(around, seeded(0), probes=3000)
    expected = float(1 - p @ p) * size
    noise = noise_of_trace(torch.kron(of_logits, torch.outer(seen, seen)), 3000)
    assert trace == pytest.approx(expected, abs=4 * noise)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_sam_is_one_step_uphill(name: str, rho: float) -> None:
    """As the twin does it: up the normalised gradient of what remains, and the loss's rise."""
    given_case = case(name, 6)
    twin = slow(given_case)
    live = twin.point.clone().requires_grad_()
    (slope,) = torch.autograd.grad(twin.loss(live), live)
    rise = twin.loss(twin.point + rho * slope / slope.norm()) - twin.loss(twin.point)
    found = sam_sharpness(given_case.landscape(), rho=rho)
    assert found == pytest.approx(float(rise), rel=1e-8)
    assert found > 0


def test_sam_of_a_flat_place() -> None:
    """All inputs and logits 0 and balanced labels: the gradient is 0, and so is the rise."""
    flat = case("linear")
    weights = {n: torch.zeros_like(t) for n, t in flat.weights.items()}
    images, labels = torch.zeros(3, 5, dtype=torch.float64), torch.arange(3)
    around = landscape(
        flat.architecture, weights, flat.masks, Samples(images, labels), precision=torch.float64
    )
    assert sam_sharpness(around) == pytest.approx(0, abs=1e-12)


def test_errors_name_the_cure() -> None:
    whole = case("linear")
    with pytest.raises(InputError, match="1 probe or more, got 0"):
        hessian_trace(whole.landscape(), seeded(0), probes=0)
    none = Samples(whole.samples.images[:0], whole.samples.labels[:0])
    with pytest.raises(InputError, match=r"raise study\.samples"):
        landscape(whole.architecture, whole.weights, whole.masks, none)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_float32_is_near_enough(name: str) -> None:
    """The precision that a study uses: its eigenvalue within 1 % of the true one."""
    given_case = case(name, 7)
    around = landscape(
        given_case.architecture, given_case.weights, given_case.masks, given_case.samples
    )
    assert around.point.dtype == torch.float32
    found = largest_eigenvalue(around, seeded(0), products=100)
    true = float(torch.linalg.eigvalsh(full_hessian(given_case))[-1])
    assert found == pytest.approx(true, rel=0.01)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")  # what it imports is scripted
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_independent_library_agrees(name: str) -> None:
    """curvlinops (Dangel et al.) on a module of torch's layers: eigenvalue, trace, products.

    It knows no masks, so the network is dense.
    """
    curvlinops = pytest.importorskip(
        "curvlinops", reason="pip install curvlinops-for-pytorch, an independent Hessian"
    )
    given_case = case(name, 8)
    dense = {n: torch.ones_like(m) for n, m in given_case.masks.items()}
    samples = given_case.samples
    around = landscape(
        given_case.architecture, given_case.weights, dense, samples, precision=torch.float64
    )
    net = module(given_case.architecture, given_case.weights).eval()
    owned = dict(net.named_parameters())
    params = [owned[n] for n in given_case.architecture.trainable]
    operator = curvlinops.HessianLinearOperator(
        net, nn.CrossEntropyLoss(), params, [(samples.images, samples.labels)]
    )
    vector = torch.randn(len(around.point), dtype=torch.float64, generator=seeded(0))
    torch.testing.assert_close(around.product(vector), operator @ vector, rtol=1e-8, atol=1e-11)
    theirs = float(eigsh(operator.to_scipy(), k=1, which="LA", return_eigenvectors=False)[0])
    ours = largest_eigenvalue(around, seeded(0), products=300, tolerance=1e-9)
    assert ours == pytest.approx(theirs, rel=1e-6)
    whole = operator @ torch.eye(len(around.point), dtype=torch.float64)
    trace = hessian_trace(around, seeded(1), probes=300)
    assert trace == pytest.approx(float(whole.trace()), abs=4 * noise_of_trace(whole, 300))
    x = around.loss(around.point)
    assert x == pytest.approx(float(F.cross_entropy(net(samples.images), samples.labels).detach()))
