"""The tangent kernel against one backward pass for each sample and logit, and in closed form."""

import math

import pytest
import torch
from hypothesis import given
from slow_landscape import ARCHITECTURES, Case, case, slow
from strategies import SEEDS
from torch import Tensor

from recursive_lth.study.panel.kernel import (
    kernel_alignment,
    kernel_condition,
    kernel_trace,
    tangent_kernel,
)


def slow_kernel(given_case: Case) -> Tensor:
    """The mean over logits of the products of their gradients, each by a backward of its own."""
    twin = slow(given_case)
    live = twin.point.clone().requires_grad_()
    logits = twin.logits(live)
    count, classes = logits.shape
    found = torch.zeros(count, count, dtype=torch.float64)
    for k in range(classes):
        slopes = [
            torch.autograd.grad(logits[i, k], live, retain_graph=True)[0] for i in range(count)
        ]
        for i, one in enumerate(slopes):
            for j, other in enumerate(slopes):
                found[i, j] += (one * other).sum() / classes
    return found


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("most", [1, 500, 2**26])
def test_equal_to_the_twin(name: str, most: int) -> None:
    """Whole or in blocks of a few samples, of a single one at the least."""
    given_case = case(name, 1)
    found = tangent_kernel(given_case.landscape(), most=most)
    torch.testing.assert_close(found, slow_kernel(given_case), rtol=1e-9, atol=1e-12)


def test_the_kernel_of_a_linear_model() -> None:
    """df_k/dW_k = x and df_k/db_k = 1: the kernel is the mean over logits of x.m_k x' + 1.

    m_k are the weights of logit k that remain; it does not depend on the weights' values.
    """
    given_case = case("linear", 2)
    x, mask = given_case.samples.images, given_case.masks["output.weight"].double()
    expected = torch.stack([(x * m) @ x.T + 1 for m in mask]).mean(0)
    torch.testing.assert_close(tangent_kernel(given_case.landscape()), expected)


def test_trace_and_condition_of_a_known_spectrum() -> None:
    """Eigenvalues 1, 2, 4, 8 in any basis: 15 / 4 a sample, and 8 over 1."""
    drawn = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(drawn).Q
    kernel = basis @ torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64).diag() @ basis.T
    assert kernel_trace(kernel) == pytest.approx(3.75)
    assert kernel_condition(kernel) == pytest.approx(8)


def test_a_singular_kernel_has_no_condition() -> None:
    """Two samples that are one: a direction in which nothing is ever learnt."""
    rows = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.5, -1.0]], dtype=torch.float64)
    assert kernel_condition(rows @ rows.T) == math.inf
    assert kernel_condition(torch.zeros(3, 3, dtype=torch.float64)) == math.inf


def slow_alignment(kernel: Tensor, labels: Tensor) -> float:
    """The cosine of H K H and H Y H with H = 1 - 1/n, entry by entry."""
    n = len(labels)
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    same = torch.tensor([[float(a == b) for b in labels] for a in labels], dtype=torch.float64)
    ours, theirs = centre @ kernel @ centre, centre @ same @ centre
    inner = math.fsum(float(a * b) for a, b in zip(ours.flatten(), theirs.flatten(), strict=True))
    return inner / math.sqrt(float((ours**2).sum()) * float((theirs**2).sum()))


@given(SEEDS)
def test_alignment_equals_the_twin(seed: int) -> None:
    """Scale and a constant added to all features change nothing."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(9, 4, dtype=torch.float64, generator=generator)
    labels = torch.arange(9) % 3
    kernel = rows @ rows.T
    found = kernel_alignment(kernel, labels)
    assert found is not None
    assert found == pytest.approx(slow_alignment(kernel, labels), rel=1e-9)
    assert kernel_alignment(7 * kernel + 3, labels) == pytest.approx(found, rel=1e-9)


def test_alignment_at_its_ends() -> None:
    """1 for the labels' own kernel, below 0 where unlike samples are alike, None for constants."""
    labels = torch.tensor([0, 0, 1, 1])
    same = (labels[:, None] == labels[None]).double()
    assert kernel_alignment(same, labels) == pytest.approx(1)
    assert kernel_alignment(1 - same, labels) == pytest.approx(-1)
    assert kernel_alignment(torch.ones(4, 4, dtype=torch.float64), labels) is None
    assert kernel_alignment(same, torch.zeros(4, dtype=torch.int64)) is None


def test_training_turns_the_kernel_to_the_labels() -> None:
    """Baratin et al. (2021): descent raises the alignment of a hidden layer's tangent kernel."""
    given_case = case("mlp", 3)
    around = given_case.landscape()
    before = kernel_alignment(tangent_kernel(around), given_case.samples.labels)
    vector = around.point
    for _ in range(300):
        vector = vector - 0.2 * around.gradient(vector)
    learnt = Case(
        given_case.architecture,
        {n: t.detach() for n, t in around.tensors(vector).items()},
        given_case.masks,
        given_case.samples,
    )
    after = kernel_alignment(tangent_kernel(learnt.landscape()), given_case.samples.labels)
    assert before is not None
    assert after is not None
    assert after > before
