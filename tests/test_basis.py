"""Bases: orthonormal, linear, there and back, and the DCT that scipy has."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dctn, idctn
from strategies import SEEDS
from torch import Tensor

from recursive_lth.architecture.basis import BASES, Basis, cosines, dct, inverse_dct

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)
EACH = st.sampled_from(sorted(BASES)).map(BASES.__getitem__)


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@given(EACH, SHAPES, SEEDS)
def test_there_and_back(basis: Basis, shape: tuple[int, ...], seed: int) -> None:
    """Either way round, for an orthonormal matrix is square: its left inverse is its right one."""
    tensor = normal(shape, seed)
    for there, back in ((basis.encode, basis.decode), (basis.decode, basis.encode)):
        found = there(tensor)
        assert (found.shape, found.dtype) == (tensor.shape, tensor.dtype)
        torch.testing.assert_close(back(found), tensor, rtol=0, atol=1e-13)


@given(EACH, SHAPES, SEEDS)
def test_inner_products_stay(basis: Basis, shape: tuple[int, ...], seed: int) -> None:
    """<Ea, Eb> = <a, b>, and decoding is the adjoint of encoding: <Da, b> = <a, Eb>.

    So weight decay, norms and gradients mean the same on coefficients as on weights.
    """
    a, b = normal(shape, seed), normal(shape, seed + 1)
    inner = pytest.approx(float((a * b).sum()), abs=1e-12)
    assert float((basis.encode(a) * basis.encode(b)).sum()) == inner
    crossed = pytest.approx(float((a * basis.encode(b)).sum()), abs=1e-12)
    assert float((basis.decode(a) * b).sum()) == crossed


@given(EACH, SHAPES, SEEDS, st.floats(-3, 3))
def test_transforms_are_linear(
    basis: Basis, shape: tuple[int, ...], seed: int, factor: float
) -> None:
    a, b = normal(shape, seed), normal(shape, seed + 1)
    for turn in (basis.encode, basis.decode):
        torch.testing.assert_close(
            turn(a + factor * b), turn(a) + factor * turn(b), rtol=0, atol=1e-12
        )


@given(SHAPES, SEEDS)
def test_the_dct_is_that_of_scipy(shape: tuple[int, ...], seed: int) -> None:
    tensor = normal(shape, seed)
    np.testing.assert_allclose(dct(tensor), dctn(tensor.numpy(), norm="ortho"), atol=1e-13)
    np.testing.assert_allclose(inverse_dct(tensor), idctn(tensor.numpy(), norm="ortho"), atol=1e-13)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 300])
def test_cosines_are_orthonormal(size: int) -> None:
    matrix = cosines(size, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(
        matrix @ matrix.T, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_a_constant_has_one_coefficient() -> None:
    """Its size is the norm, sqrt(entries) * value; it stands at frequency 0."""
    found = dct(torch.full((4, 3, 2), 5.0, dtype=torch.float64))
    assert float(found[0, 0, 0]) == pytest.approx(5 * 24**0.5)
    assert found.flatten()[1:].abs().max() < 1e-13


def test_the_single_type_loses_little() -> None:
    """The cosines are computed in float64 and rounded once."""
    tensor = normal((64, 32, 3, 3), 0).float()
    assert (inverse_dct(dct(tensor)) - tensor).abs().max() < 1e-5


def test_what_is_kept_for_later_carries_gradients() -> None:
    """Cosines made in inference mode serve a training later: autograd refuses inference tensors."""
    with torch.inference_mode():
        dct(torch.ones(11))
    live = torch.ones(11, requires_grad=True)
    (dct(live) ** 2).sum().backward()  # |E a|^2 = |a|^2, whose gradient is 2 a
    assert live.grad is not None
    torch.testing.assert_close(live.grad, torch.full((11,), 2.0))
