"""Optimizers by name, their moments as named tensors, and the learning rate over the steps."""

import math
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recursive_lth.config import Training
from recursive_lth.errors import InputError
from recursive_lth.training.optimizer import (
    OPTIMIZERS,
    SCHEDULES,
    make_optimizer,
    moments,
    rate_factor,
    set_moments,
)

NAMES = ["one", "two"]
KINDS = {
    "sgd": {"momentum_buffer"},
    "adam": {"step", "exp_avg", "exp_avg_sq"},
    "adamw": {"step", "exp_avg", "exp_avg_sq"},
}
FORMULAS: dict[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    "cosine": lambda t: math.cos(math.pi * t / 2) ** 2,  # = (1 + cos(pi t)) / 2
    "linear": lambda t: 1 - t,
    "steps": lambda t: 0.1 ** ((t >= 0.5) + (t >= 0.75)),
}


def factors(recipe: Training, steps: int) -> list[float]:
    """The factor of every step of a training."""
    return [rate_factor(recipe, step, steps) for step in range(steps)]


def test_everything_has_its_formula() -> None:
    assert FORMULAS.keys() == SCHEDULES.keys()
    assert KINDS.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(st.integers(1, 500))
def test_schedules_are_their_formulas(schedule: str, steps: int) -> None:
    """Step i of n stands at i / n: it begins with the whole rate and never reaches the end's 0."""
    found = factors(Training(schedule=schedule), steps)
    expected = [FORMULAS[schedule](i / steps) for i in range(steps)]
    assert found == pytest.approx(expected, rel=1e-9)
    assert found[0] == 1
    assert all(a >= b > 0 for a, b in pairwise([1.0, *found]))


def test_steps_are_those_of_resnet() -> None:
    """64,000 iterations, a tenth from 32,000 and a hundredth from 48,000 (He et al. 2016)."""
    recipe = Training(schedule="steps")
    at = [rate_factor(recipe, i, 64_000) for i in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert at == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01], rel=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(st.integers(1, 300), st.floats(0, 1))
def test_warmup_rises_to_the_schedule(schedule: str, steps: int, warmup: float) -> None:
    """The rate rises in equal parts, as high at last as one part below 1, then the schedule begins.

    With w = warmup * steps the i-th step of the rise has (i + 1) / (w + 1), and after it the
    schedule runs over what is left.
    """
    found = factors(Training(schedule=schedule, warmup=warmup), steps)
    rise = [i for i in range(steps) if i / steps < warmup]
    for i, factor in enumerate(found):
        if i < len(rise):
            assert factor == pytest.approx((i + 1) / (warmup * steps + 1))
        else:
            rest = (i / steps - warmup) / (1 - warmup)
            assert factor == pytest.approx(FORMULAS[schedule](rest), rel=1e-6, abs=1e-9)
    assert all(0 < factor <= 1 for factor in found)
    assert all(a < b for a, b in pairwise(found[: len(rise)]))


def minimise(optimizer: torch.optim.Optimizer, parameters: list[Tensor], steps: int) -> None:
    """Some steps on the sum of fourth powers."""
    for _ in range(steps):
        loss = torch.stack([p.pow(4).sum() for p in parameters]).sum()
        for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.grad = gradient
        optimizer.step()


def start() -> list[Tensor]:
    """Two leaf tensors."""
    values = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([[0.25]])
    return [value.double().requires_grad_() for value in values]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_carry_an_optimizer_over(name: str) -> None:
    """Three steps, then four with the moments in a new optimizer, are seven steps, bit for bit."""
    recipe = Training(optimizer=name, learning_rate=0.01, weight_decay=0.1)
    whole = start()
    minimise(make_optimizer(whole, recipe), whole, 7)
    first = start()
    before = make_optimizer(first, recipe)
    minimise(before, first, 3)
    state = moments(before, NAMES)
    assert state.keys() == KINDS[name]
    assert all(list(values) == NAMES for values in state.values())
    kept = {kind: {n: t.clone() for n, t in values.items()} for kind, values in state.items()}
    second = [p.detach().clone().requires_grad_() for p in first]
    after = make_optimizer(second, recipe)
    set_moments(after, NAMES, state)
    minimise(after, second, 4)
    assert all(torch.equal(a, b) for a, b in zip(whole, second, strict=True))
    for kind, values in moments(before, NAMES).items():
        assert all(torch.equal(values[n], kept[kind][n]) for n in NAMES)


def test_plain_sgd_has_no_moments() -> None:
    """Without momentum there is nothing to carry, and setting nothing changes nothing."""
    parameters = start()
    optimizer = make_optimizer(parameters, Training(optimizer="sgd", momentum=0))
    set_moments(optimizer, NAMES, {})
    minimise(optimizer, parameters, 2)
    assert moments(optimizer, NAMES) == {}


def test_a_fresh_optimizer_has_no_moments() -> None:
    """Before the first step there are none, whatever the optimizer."""
    for name in OPTIMIZERS:
        assert moments(make_optimizer(start(), Training(optimizer=name)), NAMES) == {}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_that_of_the_algorithm(name: str) -> None:
    """At gradient 0 from the first step on: SGD and Adam take decay as gradient, AdamW apart.

    w becomes w - lr * d * w under SGD and AdamW; Adam's first step is -lr * sign(d * w).
    """
    recipe = Training(optimizer=name, learning_rate=0.01, weight_decay=0.1)
    weight = torch.tensor([2.0, -3.0], dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer([weight], recipe)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    by_rule = [2 - 0.01, -3 + 0.01] if name == "adam" else [2 * 0.999, -3 * 0.999]
    assert weight.tolist() == pytest.approx(by_rule, rel=1e-9)


@pytest.mark.parametrize(
    ("recipe", "law"),
    [
        (Training(optimizer="adamm"), "unknown optimizer 'adamm': did you mean 'adam"),
        (Training(schedule="cosin"), "unknown schedule 'cosin': did you mean 'cosine'"),
    ],
)
def test_unknown_names_are_errors(recipe: Training, law: str) -> None:
    """The error names the nearest name there is."""
    first = make_optimizer if recipe.optimizer not in OPTIMIZERS else None
    with pytest.raises(InputError, match=law):
        first(start(), recipe) if first else rate_factor(recipe, 0, 1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_bare_optimizer_takes_the_steps_of_pytorch(name: str) -> None:
    """To the bit, with a rate that changes between."""
    recipe = Training(optimizer=name, learning_rate=0.1, weight_decay=0.01)
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(n, generator=draw) for n in (3, 70)]
    ours, theirs = ([t.clone().requires_grad_() for t in start] for _ in range(2))
    own = make_optimizer(ours, recipe)
    (kind,) = type(own).__bases__
    assert "plain" in type(own).step.__qualname__  # PyTorch has laid nothing around it
    options = {"momentum": recipe.momentum} if name == "sgd" else {}
    usual = kind(theirs, lr=0.1, weight_decay=0.01, fused=True, **options)
    for rate in (0.1, 0.05, 0.02):
        for tensors, optimizer in ((ours, own), (theirs, usual)):
            optimizer.param_groups[0]["lr"] = rate
            for tensor in tensors:
                tensor.grad = tensor.detach().sin()
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], start[0])


def test_no_training_imports_the_compiler() -> None:
    """PyTorch's own optimizers do, the first of them, for a second; nothing here compiles."""
    told = """
import sys, torch
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Training
from recursive_lth.growth.fresh import fresh
from recursive_lth.training.batches import Batches
from recursive_lth.training.engine import DENSE, Plan, planned_engine
from recursive_lth.training.loop import training
from recursive_lth.training.optimizer import OPTIMIZERS
from recursive_lth.training.samples import Samples

network = mlp((4,), 3, (5,))
weights = fresh(network, torch.Generator(), "kaiming_normal")
masks = {name: weights[name] > 0 for name in network.prunable}
samples = Samples(torch.rand(64, 4), torch.arange(64) % 3)
for name in OPTIMIZERS:
    recipe = Training(optimizer=name, batch_size=16, clip_norm=1.0)
    data = Batches(samples, torch.zeros(1), recipe)
    for plan in (DENSE, Plan(("fc1",))):
        engine = planned_engine(network, masks, plan, torch.device("cpu"))
        for state in ({}, {"age": {name: torch.ones_like(weights[name]) for name in weights}}):
            if plan is DENSE or not state:
                assert len(list(training(network, weights, masks, data, recipe, steps=3, seed=0,
                                         engine=engine, state=state))) == 3
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
