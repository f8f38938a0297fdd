"""Every engine trains as masked dense training does, to rounding, the sparse with fewer numbers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grow import NETWORKS, lived_in
from test_loop import batches_for, doubled
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import network
from recursive_lth.architecture.sparse import (
    Pattern,
    gradient,
    product,
    product_turned,
    sparse_linear,
)
from recursive_lth.architecture.turning import laid, turned
from recursive_lth.config import Training
from recursive_lth.ticket.moments import State
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse, planned_engine, rectified
from recursive_lth.training.loop import Step, training
from recursive_lth.training.onednn import able as by_onednn

CPU = torch.device("cpu")
RECIPES = {
    "momentum": Training(optimizer="sgd", learning_rate=0.02, weight_decay=0.01, schedule="cosine"),
    "adam": Training(optimizer="adam", learning_rate=0.003, clip_norm=0.5, schedule="steps"),
    "adamw": Training(optimizer="adamw", learning_rate=0.003, weight_decay=0.1, warmup=0.2),
}
STEPS = 50


@settings(max_examples=100)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(0, 99),
    st.booleans(),
    st.booleans(),
)
def test_a_sparse_layer_is_the_masked_one(
    out: int, width: int, samples: int, seed: int, has_bias: bool, is_rectified: bool
) -> None:
    """Output and all gradients, also with no weight at all, empty rows and strided inputs.

    A ReLU done in place is the one done after.
    """
    draw = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    mask = torch.rand(out, width, generator=draw) < 0.3
    weight = (drawn(out, width) * mask).requires_grad_()
    bias = drawn(out).requires_grad_() if has_bias else None
    x = drawn(width, samples).t().requires_grad_()
    pattern = Pattern.of(mask)
    values = pattern.pack(weight.detach()).requires_grad_()
    assert torch.equal(pattern.unpack(values.detach()), weight.detach())
    other = x.detach().clone().requires_grad_()
    bias_too = bias.detach().clone().requires_grad_() if bias is not None else None
    dense = F.linear(x, weight, bias)
    sparse = sparse_linear(other, values, bias_too, pattern, is_rectified=is_rectified)
    dense = F.relu(dense) if is_rectified else dense
    above = drawn(samples, out)
    (dense * above).sum().backward()
    (sparse * above).sum().backward()
    close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
    close(sparse, dense)
    assert weight.grad is not None
    assert values.grad is not None
    close(values.grad, pattern.pack(weight.grad))
    close(other.grad, x.grad)
    if bias is not None and bias_too is not None:
        close(bias_too.grad, bias.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 9, 60, 500])
@pytest.mark.parametrize("density", [0.0, 0.001, 0.05, 0.5])
def test_products_are_those_of_the_matrix(
    density: float, samples: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies where the result will lie is never read, even in rows without a weight."""
    draw = torch.Generator().manual_seed(0)
    pattern = Pattern.of(torch.rand(60, 40, generator=draw) < density)
    values = torch.randn(len(pattern.places), generator=draw, dtype=dtype)
    x, above = (torch.randn(n, samples, generator=draw, dtype=dtype) for n in (40, 60))
    whole = pattern.unpack(values)
    monkeypatch.setattr(Tensor, "new_empty", lambda x, *shape: x.new_full(shape, torch.nan))
    close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-4)
    close(product(pattern, values, x), whole @ x)
    close(product_turned(pattern, values, above), whole.t() @ above)
    close(gradient(pattern, above, x), pattern.pack(above @ x.t()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 5), (128, 784), (1, 20_000), (5, 60, 784), (2, 3, 90, 70)])
def test_turned_matrices_are_those_of_a_copy(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Also of a view that begins within its memory, and of one that does not lie end to end."""
    whole = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    for x in (whole[1], whole.movedim(0, -1)[..., 1]):
        found = turned(x)
        assert found.is_contiguous()
        assert torch.equal(found, x.mT)
    flat = whole[1].reshape(-1, shape[-1])
    for view in (flat, flat.t(), flat[:, ::2]):
        assert laid(view).is_contiguous()
        assert torch.equal(laid(view), view)


def test_a_relu_is_done_with_the_layer_that_nothing_else_reads() -> None:
    """Not where a shortcut reads it too, nor where another activation follows."""

    def told(**inputs: tuple[str, ...]) -> dict[str, str]:
        kinds = {"a": "linear", "r": "relu", "s": "add", "t": "tanh", "b": "linear"}
        layers = {"in": Layer("input", width="pixels")}
        for name, read in inputs.items():
            kind: Any = kinds[name]
            layers[name] = Layer(kind, read, width="units" if kind == "linear" else "")
        return rectified(Architecture(layers, {"pixels": 4, "units": 4}))

    assert told(a=("in",), r=("a",), b=("r",)) == {"a": "r"}
    assert told(a=("in",), r=("a",), s=("r", "a"), b=("s",)) == {}
    assert told(a=("in",), t=("a",), b=("t",)) == {}


Layers = tuple[str, ...]
WAYS: dict[str, Callable[[Layers, Layers], Plan]] = {  # of (what can be sparse, what is linear)
    "dense": lambda able, linear: DENSE,
    "sparse": lambda able, linear: Plan(able),
    "onednn": lambda able, linear: Plan((), linear),
    "both": lambda able, linear: Plan(able[:1], tuple(n for n in linear if n not in able[:1])),
}


def last_step(
    kind: str, recipe: Training, *, way: str, start: int = 0, state: State | None = None
) -> Step:
    """The last of 50 steps in float64, computed in one of the `WAYS`."""
    ticket = lived_in(NETWORKS[kind], 1)
    plan = WAYS[way](can_be_sparse(ticket.architecture), by_onednn(ticket.architecture, 10**9))
    engine = planned_engine(ticket.architecture, ticket.masks, plan, CPU)
    assert len(engine.patterns) == len(plan.sparse)
    loop = training(
        ticket.architecture,
        doubled(ticket),
        ticket.masks,
        batches_for(ticket.architecture, replace(recipe, batch_size=8), torch.float64),
        replace(recipe, batch_size=8),
        steps=STEPS,
        seed=3,
        start=start,
        state=state,
        engine=engine,
    )
    *_, last = islice(loop, STEPS)
    return last


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("way", ["sparse", "onednn", "both"])
def test_every_engine_trains_as_the_dense_one(way: str, kind: str, name: str) -> None:
    """After 50 steps, with clipping, decay and schedules: weights, moments and loss to 1e-10."""
    dense, sparse = (last_step(kind, RECIPES[name], way=each) for each in ("dense", way))
    assert float((dense.loss - sparse.loss).abs()) < 1e-10
    assert dense.weights.keys() == sparse.weights.keys()
    for tensor, weight in dense.weights.items():
        assert weight.shape == sparse.weights[tensor].shape
        assert float((weight - sparse.weights[tensor]).detach().abs().max()) < 1e-10
    one, other = dense.state(), sparse.state()
    assert one.keys() == other.keys()
    for moment, tensors in one.items():
        for tensor, value in tensors.items():
            assert float((value - other[moment][tensor]).abs().max()) < 1e-10


def test_only_remaining_weights_exist() -> None:
    """What the sparse engine moves has as many entries as the mask, and so have its moments."""
    ticket = lived_in(NETWORKS["convnet"], 1)
    step = last_step("convnet", RECIPES["adam"], way="sparse")
    for name, mask in ticket.masks.items():
        assert step.live[name].shape == (int(mask.sum()),)
        assert not bool(step.weights[name][~mask].any())


def test_a_sparse_training_goes_on_where_a_dense_one_stopped() -> None:
    """The state of one is the other's: 50 steps from there agree."""
    begun = last_step("mlp", RECIPES["adam"], way="dense").state()
    both = [
        last_step("mlp", RECIPES["adam"], way=way, start=7, state=begun)
        for way in ("dense", "sparse")
    ]
    for tensor, weight in both[0].weights.items():
        assert float((weight - both[1].weights[tensor]).detach().abs().max()) < 1e-10


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_forward_is_pure(kind: str) -> None:
    """Evaluation through the engine gives the dense forward's logits, and changes nothing."""
    ticket = lived_in(NETWORKS[kind], 1)
    able = can_be_sparse(ticket.architecture)
    engine = planned_engine(ticket.architecture, ticket.masks, Plan(able), CPU)
    weights = doubled(ticket)
    images = batches_for(ticket.architecture, Training(), torch.float64).images[:6]
    packed = engine.pack(weights)
    before = {name: tensor.clone() for name, tensor in packed.items()}
    found, _ = engine.forward(packed, images)
    expected, _ = network(ticket.architecture)(weights, images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(packed[name], tensor) for name, tensor in before.items())
