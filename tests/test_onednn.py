"""Large products by oneDNN: the BLAS's numbers and gradients, chosen once a run where faster."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_choice import CPU, RECIPE, masks

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Training
from recursive_lth.ticket import masks as masking
from recursive_lth.training import onednn
from recursive_lth.training.batches import Batches
from recursive_lth.training.engine import Plan, planned_engine
from recursive_lth.training.loop import training
from recursive_lth.training.samples import Samples
from recursive_lth.training.together import Member, training_together

LARGE = mlp((784,), 10, (300, 300))
needs_onednn = pytest.mark.skipif(not onednn.is_there(), reason="this PyTorch has no oneDNN")


def weights_of(
    architecture: Architecture, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Small random weights."""
    draw = torch.Generator().manual_seed(0)
    return {
        name: 0.05 * torch.randn(architecture.shape(name), generator=draw, dtype=dtype)
        for name in architecture.tensors
    }


@needs_onednn
@settings(max_examples=60, deadline=None)
@given(*(st.integers(1, 90) for _ in range(3)), st.integers(0, 99), st.booleans(), st.booleans())
def test_a_product_and_its_gradients(
    n: int, m: int, k: int, seed: int, is_turned: bool, is_turned_too: bool
) -> None:
    """Of matrices that lie either way; against float64, to float32's rounding of k terms."""
    draw = torch.Generator().manual_seed(seed)
    left = (
        torch.randn((k, n), generator=draw).t()
        if is_turned
        else torch.randn((n, k), generator=draw)
    )
    right = (
        torch.randn((k, m), generator=draw).t()
        if is_turned_too
        else torch.randn((m, k), generator=draw)
    )
    above = torch.randn(n, m, generator=draw)
    found = onednn.product(left.requires_grad_(), right.requires_grad_())
    found.backward(above)
    one, other = (x.detach().double().requires_grad_() for x in (left, right))
    expected = one @ other.t()
    expected.backward(above.double())
    for mine, exact in ((found, expected), (left.grad, one.grad), (right.grad, other.grad)):
        assert mine is not None
        assert exact is not None
        torch.testing.assert_close(mine.double(), exact, rtol=1e-4, atol=1e-4)


def trained(plan: Plan, steps: int) -> tuple[dict[str, torch.Tensor], float]:
    """Weights and loss of a perceptron after some steps, in float32."""
    draw = torch.Generator().manual_seed(1)
    images, labels = torch.randn(120, 784, generator=draw), torch.arange(120) % 10
    data = Batches(Samples(images, labels), torch.zeros(1), RECIPE)
    *_, last = training(
        LARGE, weights_of(LARGE), masking.dense(LARGE), data, RECIPE, steps=steps, seed=0,
        engine=planned_engine(LARGE, masking.dense(LARGE), plan, CPU),
    )  # fmt: skip
    return last.snapshot(), float(last.loss)


@needs_onednn
def test_training_by_onednn_is_near_and_repeats_itself() -> None:
    """Other last bits than the BLAS's, the same ones every time."""
    plan = Plan((), onednn.able(LARGE, RECIPE.batch_size))
    assert plan.onednn == ("fc1",)
    (weights, loss), (again, _), (usual, expected) = (trained(p, 10) for p in (plan, plan, Plan()))
    assert loss == pytest.approx(expected, abs=1e-4)
    for name, weight in weights.items():
        assert torch.equal(weight, again[name])
        torch.testing.assert_close(weight, usual[name], rtol=0, atol=1e-3)
    assert not torch.equal(weights["fc1.weight"], usual["fc1.weight"])


@needs_onednn
def test_a_company_by_onednn_is_near_its_members_alone() -> None:
    """Float32: one seed's controls read one stream, another's a second."""
    draw = torch.Generator().manual_seed(1)
    recipe, members = Training(batch_size=64, learning_rate=1e-3), []
    images, labels = torch.randn(120, 784, generator=draw), torch.arange(120) % 10
    data = Batches(Samples(images, labels), torch.zeros(1), recipe)
    for seed, width in enumerate((300, 280, 300)):
        network = mlp((784,), 10, (width,))
        few = masks(network, 0.5)
        own = masking.apply(weights_of(network), few)
        members.append(Member(network, own, few, data, recipe, 10, min(seed, 1)))
    *_, last = training_together(members, Plan((), ("fc1",)))
    for number, one in enumerate(members):
        *_, lone = training(
            one.architecture, one.weights, one.masks, data, recipe, steps=10, seed=one.seed
        )
        for name, weight in last.of(number).snapshot().items():
            torch.testing.assert_close(weight, lone.weights[name].detach(), rtol=0, atol=1e-4)
            if name in one.masks:
                assert not bool(weight[~one.masks[name]].any())
