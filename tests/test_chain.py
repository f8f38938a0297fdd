"""Chains: losses and gradients of PyTorch's tape, for whatever perceptron has a sparse layer."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from test_together import RECIPES, check_equal, lone_loop, member, residual
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.sparse import Pattern
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.training import onednn
from recursive_lth.training.chain import Chain, chain_of, cross_entropy, filled_up, is_chain
from recursive_lth.training.engine import DENSE, Plan, planned_engine
from recursive_lth.training.loop import Step, training
from recursive_lth.training.population import join
from recursive_lth.training.together import Member, training_together

CPU = torch.device("cpu")
NAMES = ("fc1", "fc2", "output")


def row_of(*kinds: str, bias: bool = True) -> Architecture:
    """Layers of these kinds, each reading the one before, the linear ones 4 wide."""
    layers = {"in": Layer("input", width="pixels")}
    for number, kind in enumerate(kinds):
        width = "units" if kind == "linear" else ""
        before = tuple(layers)[-1:]
        layers[f"l{number}"] = Layer(
            kind,  # type: ignore[arg-type]
            before,
            width=width,
            bias=bias or kind != "linear",
        )
    return Architecture(layers, {"pixels": 4, "units": 4})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("linear",), True),
        (("linear", "relu", "linear"), True),
        (("linear", "linear"), True),
        (("flatten", "linear", "relu", "linear"), True),
        (("linear", "relu", "relu", "linear"), False),
        (("linear", "tanh", "linear"), False),
        (("relu", "linear"), False),
    ],
)
def test_which_rows_are_chains(kinds: tuple[str, ...], expected: bool) -> None:
    assert is_chain(row_of(*kinds)) is expected


def test_what_branches_or_convolves_or_is_dense_is_none() -> None:
    assert not is_chain(residual((4, 4)))
    assert not is_chain(convnet((1, 8, 8), 3, (2, 2)))
    plain = mlp((4,), 3, (5, 6))
    whole = {n: torch.ones(plain.shape(n), dtype=torch.bool) for n in plain.prunable}
    assert chain_of(plain, {}) is None
    for plan, is_there in (
        (DENSE, False),
        (Plan(("fc2",)), True),
        (Plan(("fc1",), ("fc2",)), True),
        (Plan((), ("fc1", "fc2")), False),
    ):
        assert bool(planned_engine(plain, whole, plan, CPU).chain) is is_there
    streams = torch.zeros(2, dtype=torch.long)
    for plan, is_there in (
        (Plan(("fc1",)), True),
        (Plan(("fc2",)), False),  # images of many streams are read by sparse layers
        (Plan(("fc1",), ("fc2",)), False),  # whose matrices lie apart
    ):
        assert bool(join([plain] * 2, [whole] * 2, plan, streams).chain) is is_there


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.integers(1, 3),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.1, 0.9]),
    st.floats(0, 1),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
def test_losses_and_gradients_are_those_of_the_tape(
    sparse: set[str],
    members: int,
    samples: int,
    smoothing: float,
    density: float,
    dtype: torch.dtype,
    seed: int,
) -> None:
    """Alone or joined, whatever the batch is filled up with."""
    draw = torch.Generator().manual_seed(seed)
    architecture, streams = mlp((6,), 4, (5, 7)), torch.arange(members) % 2
    names = sorted(sparse | ({"fc1"} if members > 1 else set()))
    masks = [
        {n: torch.rand(architecture.shape(n), generator=draw) <= density for n in each}
        for each in [architecture.prunable] * members
    ]

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=dtype)

    weights = [
        {n: drawn(*architecture.shape(n)) * each.get(n, 1) for n in architecture.tensors}
        for each in masks
    ]
    images = drawn(int(streams.max()) + 1, 6, filled_up(samples)) * 10
    labels = torch.randint(0, 4, (members, samples), generator=draw)
    if members == 1:
        engine = planned_engine(architecture, masks[0], Plan(tuple(names)), CPU)
        live, chain = engine.pack(weights[0]), engine.chain
    else:
        population = join([architecture] * members, masks, Plan(tuple(names)), streams)
        live, chain = population.pack(weights), population.chain
    assert chain is not None
    live = {name: tensor.clone().requires_grad_() for name, tensor in live.items()}

    def by_tape() -> Tensor:
        real = images[..., :samples]
        if members == 1:
            logits = engine.forward(live, real[0].t())[0].t()[None]
        else:
            logits = population.forward(live, real)
        each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        return each.mean(1)

    expected = by_tape()
    slopes = torch.autograd.grad(expected.sum(), list(live.values()), materialize_grads=True)
    found = chain.learn(live, images.flatten(0, 1), labels, smoothing)
    bound = 1e-10 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(found, expected.detach(), rtol=bound, atol=bound)
    for (name, tensor), slope in zip(live.items(), slopes, strict=True):
        assert tensor.grad is not None
        torch.testing.assert_close(tensor.grad, slope, rtol=bound, atol=10 * bound, msg=name)


def test_onednn_does_the_same_products_of_dense_layers() -> None:
    """In float32, which it is for; where it is not there both sides are the BLAS's."""
    one = member(mlp((1, 4, 4), 3, (40, 50)), RECIPES["adam, clipped"], 0, 0.4)
    plan = Plan(("fc1",), ("fc2",) if onednn.is_there() else ())
    engine = planned_engine(one.architecture, one.masks, plan, CPU)
    live = {n: t.float().requires_grad_() for n, t in engine.pack(one.weights).items()}
    images, labels = one.data.images[:16].float().flatten(1), one.data.labels[:16]
    loss = F.cross_entropy(engine.forward(live, images)[0], labels)
    slopes = torch.autograd.grad(loss, list(live.values()))
    assert engine.chain is not None
    assert engine.chain.links[1].is_by_onednn is onednn.is_there()
    (found,) = engine.chain.learn(live, images.t().contiguous(), labels[None], 0.0)
    torch.testing.assert_close(found, loss.detach())
    for tensor, slope in zip(live.values(), slopes, strict=True):
        torch.testing.assert_close(tensor.grad, slope, rtol=1e-4, atol=1e-6)


def test_layers_without_biases_are_links_too() -> None:
    architecture = row_of("linear", "relu", "linear", bias=False)
    draw = torch.Generator().manual_seed(0)
    live = {n: torch.randn(4, 4, generator=draw) for n in architecture.trainable}
    patterns = {"l0.weight": Pattern.of(torch.rand(4, 4, generator=draw) < 0.5)}
    live["l0.weight"] = patterns["l0.weight"].pack(live["l0.weight"])
    live = {name: tensor.requires_grad_() for name, tensor in live.items()}
    chain = chain_of(architecture, patterns)
    assert chain is not None
    chain.learn(live, torch.randn(4, 16, generator=draw), torch.zeros(1, 9).long(), 0.0)
    assert all(tensor.grad is not None for tensor in live.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_pytorchs(smoothing: float, dtype: torch.dtype) -> None:
    """Also of logits that are far apart, and with a gradient of 0 where no sample is."""
    draw = torch.Generator().manual_seed(0)
    logits = (100 * torch.randn(3, 5, 16, generator=draw, dtype=dtype)).requires_grad_()
    labels = torch.randint(0, 5, (3, 11), generator=draw)
    losses, slope = cross_entropy(logits.detach(), labels, smoothing)
    each = F.cross_entropy(
        logits[..., :11], labels, reduction="none", label_smoothing=smoothing
    ).mean(1)
    (expected,) = torch.autograd.grad(each.sum(), logits)
    torch.testing.assert_close(losses, each.detach())
    torch.testing.assert_close(slope, expected)
    assert not bool(slope[..., 11:].any())


def test_batches_are_filled_up_to_whole_lines() -> None:
    assert [filled_up(n) for n in (1, 15, 16, 17, 60, 64, 128)] == [16, 16, 16, 32, 64, 64, 128]


def last_of(one: Member, sparse: tuple[str, ...] = NAMES, **changed: object) -> Step:
    """The end of a member's training with these layers sparse."""
    recipe = replace(one.recipe, **changed)  # type: ignore[arg-type]
    engine = planned_engine(one.architecture, one.masks, Plan(sparse), CPU)
    *_, last = training(
        *(one.architecture, one.weights, one.masks, one.data, recipe),
        steps=one.steps,
        seed=one.seed,
        engine=engine,
    )
    return last


@pytest.fixture
def batches_by_hand(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many members each chain has taught."""
    taught: list[int] = []
    learn = Chain.learn

    def counting(
        self: Chain, live: Mapping[str, Tensor], x: Tensor, labels: Tensor, smoothing: float
    ) -> Tensor:
        taught.append(len(labels))
        return learn(self, live, x, labels, smoothing)

    monkeypatch.setattr(Chain, "learn", counting)
    return taught


def test_who_trains_by_hand(batches_by_hand: list[int]) -> None:
    """Sparse perceptrons, alone or joined; not with dropout, nor in half precision."""
    ones = [member(mlp((1, 4, 4), 3, (7, 5)), RECIPES["momentum"], s, 0.4) for s in (0, 1)]
    for _ in lone_loop(ones[0]):
        pass
    last_of(ones[0], dropout=0.5)
    assert batches_by_hand == []
    lone = last_of(ones[0])
    assert batches_by_hand == [1] * ones[0].steps
    batches_by_hand.clear()
    *_, last = training_together(ones, Plan(NAMES))
    assert batches_by_hand == [2] * ones[0].steps
    check_equal(last.of(0), lone)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_dense_weight_may_lie_the_other_way_round(optimizer: str) -> None:
    """As a module's may: an optimizer walks through memory, weight and gradient alike."""
    plain = member(
        mlp((1, 4, 4), 3, (7, 5)), replace(RECIPES["momentum"], optimizer=optimizer), 0, 0.4
    )
    turned = {n: t.t().contiguous().t() if t.dim() == 2 else t for n, t in plain.weights.items()}
    assert not turned["fc2.weight"].is_contiguous()
    expected, found = (
        last_of(replace(plain, weights=w), sparse=("fc1",)) for w in (plain.weights, turned)
    )
    check_equal(found, expected)


def test_half_precision_keeps_its_tape(batches_by_hand: list[int]) -> None:
    one = member(mlp((1, 4, 4), 3, (7, 5)), Training(learning_rate=0.01), 0, 0.4)
    one = replace(one, weights={n: t.float() for n, t in one.weights.items()})
    one.data.images = one.data.images.float()
    last_of(one, precision="bfloat16")
    assert batches_by_hand == []
    last_of(one)
    assert len(batches_by_hand) == one.steps
