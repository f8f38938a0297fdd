"""Chains: a compiled step has the losses and gradients of PyTorch's tape, on any threads."""

import math
import os
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from test_together import RECIPES, alone, check_equal, lone_loop, member, residual
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.training.batches import Batches, Picked
from recursive_lth.training.chain import is_chain
from recursive_lth.training.compiled import BLOCK
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse, planned_engine
from recursive_lth.training.lesson import Lesson
from recursive_lth.training.loop import Step, training
from recursive_lth.training.population import join
from recursive_lth.training.samples import Samples
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


def test_what_branches_or_convolves_or_is_dense_somewhere_is_none() -> None:
    assert not is_chain(residual((4, 4)))
    assert not is_chain(convnet((1, 8, 8), 3, (2, 2)))
    plain = mlp((4,), 3, (5, 6))
    whole = {n: torch.ones(plain.shape(n), dtype=torch.bool) for n in plain.prunable}
    streams = torch.zeros(2, dtype=torch.long)
    for plan, is_there in ((DENSE, False), (Plan(NAMES[:2]), False), (Plan(NAMES), True)):
        assert bool(planned_engine(plain, whole, plan, CPU).chain) is is_there
        assert bool(join([plain] * 2, [whole] * 2, plan, streams).chain) is is_there


Case = tuple[Lesson, Picked, Tensor, Callable[[float], Tensor]]


def case(
    members: int, samples: int, density: float, dtype: torch.dtype, seed: int, *, bias: bool = True
) -> Case:
    """A lesson, what it is to be taught, and its losses by PyTorch, of one network or of several.

    Every other member sees other images, and is narrower.
    """
    draw = torch.Generator().manual_seed(seed)
    architectures = [mlp((6,), 4, (5, 7 - n % 2)) for n in range(members)]
    if not bias:
        architectures = [row_of("linear", "relu", "linear", "linear", bias=False)] * members
    masks = [
        {n: torch.rand(each.shape(n), generator=draw) <= density for n in each.prunable}
        for each in architectures
    ]
    weights = [
        {
            n: torch.randn(each.shape(n), generator=draw, dtype=dtype) * own.get(n, 1)
            for n in each.tensors
        }
        for each, own in zip(architectures, masks, strict=True)
    ]
    lead, streams = architectures[0], torch.arange(members) % 2
    images = (
        torch.randn(2 * samples, lead.shapes[lead.order[0]][0], generator=draw, dtype=dtype) * 3
    )
    rows = torch.randint(0, len(images), (int(streams.max()) + 1, samples), generator=draw)
    labels = torch.randint(0, lead.classes, (members, samples), generator=draw)
    plan = Plan(can_be_sparse(lead))
    if members == 1:
        engine = planned_engine(lead, masks[0], plan, CPU)
        tensors, chain = engine.pack(weights[0]), engine.chain
    else:
        population = join(architectures, masks, plan, streams)
        tensors, chain = population.pack(weights), population.chain
    assert chain is not None
    parts = [Batches(Samples(images, labels.new_zeros(1)), images[:1], Training())] * len(rows)
    lesson = Lesson(chain, tensors, parts, samples)

    def by_tape(smoothing: float) -> Tensor:
        read = images[rows].mT
        if members == 1:
            logits = engine.forward(lesson.live, read[0].t())[0].t()[None]
        else:
            logits = population.forward(lesson.live, read)
        each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        return each.mean(1)

    return lesson, Picked(images, rows), labels, by_tape


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 2 * BLOCK + 2),
    st.sampled_from([0.0, 0.1, 0.9]),
    st.floats(0, 1),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
def test_losses_and_gradients_are_those_of_the_tape(
    members: int, samples: int, smoothing: float, density: float, dtype: torch.dtype, seed: int
) -> None:
    """Alone or joined, in one block of samples or in several, twice in a row."""
    lesson, picked, labels, by_tape = case(members, samples, density, dtype, seed)
    check(lesson, picked, labels, by_tape(smoothing), smoothing, dtype)


def check(
    lesson: Lesson,
    picked: Picked,
    labels: Tensor,
    expected: Tensor,
    smoothing: float,
    dtype: torch.dtype,
) -> None:
    tensors = list(lesson.live.values())
    slopes = torch.autograd.grad(expected.sum(), tensors, materialize_grads=True)
    bound = 1e-10 if dtype == torch.float64 else 1e-4
    for _ in range(2):
        found = lesson.learn(picked, labels, smoothing)
        torch.testing.assert_close(found, expected.detach(), rtol=bound, atol=bound)
        for (name, tensor), slope in zip(lesson.live.items(), slopes, strict=True):
            torch.testing.assert_close(tensor.grad, slope, rtol=bound, atol=10 * bound, msg=name)


def test_layers_without_biases_are_links_too() -> None:
    lesson, picked, labels, by_tape = case(1, 9, 0.5, torch.float64, 0, bias=False)
    assert not any(name.endswith("bias") for name in lesson.live)
    check(lesson, picked, labels, by_tape(0.0), 0.0, torch.float64)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets PyTorch's threads, and sets them back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("members", [1, 3])
def test_threads_decide_no_bits(
    members: int, dtype: torch.dtype, threads: Callable[[int], None]
) -> None:
    found = []
    for count in (1, 2):
        threads(count)
        lesson, picked, labels, _ = case(members, 2 * BLOCK + 5, 0.5, dtype, 1)
        losses = lesson.learn(picked, labels, 0.1)
        found.append([losses, *(t.grad for t in lesson.live.values())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none(bad: float) -> None:
    """A training that diverges is seen to."""
    lesson, picked, labels, by_tape = case(1, 5, 1.0, torch.float32, 0)
    with torch.no_grad():
        lesson.live["fc1.bias"][0] = bad
    assert bool(by_tape(0.0).isnan()) is bool(lesson.learn(picked, labels, 0.0).isnan())
    lesson.live["output.bias"].detach()[0] = float("nan")
    assert bool(lesson.learn(picked, labels, 0.0).isnan())


def test_logits_far_apart_have_a_loss() -> None:
    """Also a class that cannot be, where none of it is."""
    lesson, picked, labels, by_tape = case(1, 5, 1.0, torch.float32, 0)
    lesson.live["output.bias"].detach()[0] = 1e4
    check(lesson, picked, labels, by_tape(0.1), 0.1, torch.float32)
    labels.clamp_(min=1)
    lesson.live["output.bias"].detach()[0] = -math.inf
    check(lesson, picked, labels, by_tape(0.0), 0.0, torch.float32)


def test_images_are_read_where_they_lie() -> None:
    """Members that share a pool have the bits of those whose images are copied for each batch."""
    ones = [member(mlp((1, 4, 4), 3, (7, 5)), RECIPES["smoothed"], n, 0.4) for n in (0, 1)]
    shared = [replace(one, data=ones[0].data) for one in ones]
    apart = [replace(one, data=copy(ones[0].data)) for one in ones]
    apart[1].data.images = apart[1].data.images.clone()
    steps = [list(training_together(each, Plan(NAMES)))[-1] for each in (shared, apart)]
    for number, one in enumerate(shared):
        found, other = (step.of(number) for step in steps)
        check_equal(found, alone(one))
        assert all(torch.equal(tensor, found.live[name]) for name, tensor in other.live.items())


def last_of(one: Member, **changed: object) -> Step:
    """The end of a member's training with all layers sparse."""
    recipe = replace(one.recipe, **changed)  # type: ignore[arg-type]
    engine = planned_engine(one.architecture, one.masks, Plan(NAMES), CPU)
    *_, last = training(
        *(one.architecture, one.weights, one.masks, one.data, recipe),
        steps=one.steps,
        seed=one.seed,
        engine=engine,
    )
    return last


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many members each compiled step has taught."""
    found: list[int] = []
    learn = Lesson.learn

    def counting(self: Lesson, picked: Picked, labels: Tensor, smoothing: float) -> Tensor:
        found.append(len(labels))
        return learn(self, picked, labels, smoothing)

    monkeypatch.setattr(Lesson, "learn", counting)
    return found


def test_who_is_taught_by_compiled_steps(taught: list[int]) -> None:
    """Sparse perceptrons, alone or joined; not with dropout, nor in half precision."""
    ones = [member(mlp((1, 4, 4), 3, (7, 5)), RECIPES["momentum"], s, 0.4) for s in (0, 1)]
    for _ in lone_loop(ones[0]):
        pass
    last_of(ones[0], dropout=0.5)
    assert taught == []
    lone = last_of(ones[0])
    assert taught == [1] * ones[0].steps
    taught.clear()
    *_, last = training_together(ones, Plan(NAMES))
    assert taught == [2] * ones[0].steps
    check_equal(last.of(0), lone)


def test_a_batch_of_all_there_are_is_small_enough(taught: list[int]) -> None:
    """However many the recipe asks for; alone and in company."""
    ones = [member(mlp((1, 4, 4), 3, (7, 5)), RECIPES["momentum"], s, 0.4) for s in (0, 1)]
    recipe = replace(ones[0].recipe, batch_size=100_000)
    large = [replace(one, recipe=recipe, data=ones[0].data) for one in ones]
    *_, last = training_together(large, Plan(NAMES))
    for number, one in enumerate(large):
        exact = replace(one, recipe=replace(one.recipe, batch_size=len(one.data)))
        check_equal(last.of(number), alone(exact))
        check_equal(last_of(one), alone(exact))
    assert taught == [2] * ones[0].steps + [1] * 2 * ones[0].steps


def test_half_precision_keeps_its_tape(taught: list[int]) -> None:
    one = member(mlp((1, 4, 4), 3, (7, 5)), Training(learning_rate=0.01), 0, 0.4)
    one = replace(one, weights={n: t.float() for n, t in one.weights.items()})
    one.data.images = one.data.images.float()
    last_of(one, precision="bfloat16")
    assert taught == []
    last_of(one)
    assert len(taught) == one.steps


def test_the_images_of_other_batches_are_gone() -> None:
    """An augmented batch is picked anew each step; weights that a run keeps are copies."""
    one = member(mlp((1, 4, 4), 3, (7, 5)), RECIPES["adamw, shifted"], 0, 0.4)
    check_equal(last_of(one), alone(one))
    given = {name: tensor.clone() for name, tensor in one.weights.items()}
    last_of(one)
    assert all(torch.equal(tensor, given[name]) for name, tensor in one.weights.items())
