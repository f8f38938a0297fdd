"""Optimizers whose entries differ: against scalars in plain Python, and PyTorch's own."""

import math

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from recursive_lth.config import Training
from recursive_lth.ticket.moments import State, warm_up
from recursive_lth.training.optimizer import OPTIMIZERS, moments, set_moments
from recursive_lth.training.per_entry import DIRECTIONS, PerEntry

RECIPES = {
    "sgd": Training(optimizer="sgd", learning_rate=0.05, momentum=0, weight_decay=0.1),
    "momentum": Training(optimizer="sgd", learning_rate=0.05, momentum=0.8, weight_decay=0.1),
    "adam": Training(optimizer="adam", learning_rate=0.05, weight_decay=0.1),
    "adamw": Training(optimizer="adamw", learning_rate=0.05, weight_decay=0.1),
}
OLD = 5000  # steps behind a network that grows: 0.999^5000 is 0.0067


def scalar_steps(
    weight: float,
    gradients: list[float],
    recipe: Training,
    *,
    age: float = 0,
    gain: float = 1,
    rate: float = 1,
    warm: float = 1,
    rise: float = 0,
) -> float:
    """One weight after so many steps, from empty moments at some age."""
    lr, decay = recipe.learning_rate, recipe.weight_decay
    first = second = 0.0
    for gradient in gradients:
        age, warm = age + 1, min(1, warm + rise)
        seen = gain * gradient
        if recipe.optimizer != "adamw":
            seen += decay * weight / rate
        if recipe.optimizer == "sgd":
            first = recipe.momentum * first + seen
            move = first
        else:
            first = 0.9 * first + 0.1 * seen
            second = 0.999 * second + 0.001 * seen**2
            move = first / (1 - 0.9**age) / (math.sqrt(second / (1 - 0.999**age)) + 1e-8)
        if recipe.optimizer == "adamw":
            weight *= 1 - lr * decay
        weight -= lr * rate * warm * move
    return weight


def tensors_after(
    optimizer: Optimizer, parameters: list[Tensor], gradients: list[list[Tensor]]
) -> list[Tensor]:
    """The parameters after the optimizer has followed these gradients."""
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def drawn(seed: int, *shape: int) -> Tensor:
    """Normal numbers in float64."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def test_every_optimizer_has_a_direction() -> None:
    assert DIRECTIONS.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_entries_are_scalars(name: str) -> None:
    """Each entry goes its own way: age, gain, rate and warm-up are those of the scalar formulas."""
    recipe, names = RECIPES[name], ["plain", "unlike"]
    start = [drawn(0, 3), drawn(1, 2, 4)]
    gradients = [[drawn(2 + i, 3), drawn(50 + i, 2, 4)] for i in range(15)]
    state: State = {
        "gain": {"unlike": drawn(90, 2, 4).exp()},
        "rate": {"unlike": drawn(91, 2, 4).exp()},
        "warm": {"unlike": torch.rand(2, 4, dtype=torch.float64) / 2},
        "rise": {"unlike": torch.tensor(0.125)},
    }
    ages = torch.tensor([[0.0, 1, 5, 100], [3, 0, 2, 5000]])
    if recipe.optimizer != "sgd":
        state |= {
            "age": {"unlike": ages},
            "step": {"plain": torch.tensor(7.0), "unlike": ages.max()},
        }
    live = [tensor.clone().requires_grad_() for tensor in start]
    optimizer = PerEntry(live, recipe)
    set_moments(optimizer, names, state)
    found = tensors_after(optimizer, live, gradients)
    for i in range(3):
        slopes = [float(step[0][i]) for step in gradients]
        expected = scalar_steps(float(start[0][i]), slopes, recipe, age=7)
        assert float(found[0][i]) == pytest.approx(expected, rel=1e-11)
    for i in range(2):
        for j in range(4):
            own = {kind: float(state[kind]["unlike"][i, j]) for kind in ("gain", "rate", "warm")}
            slopes = [float(step[1][i, j]) for step in gradients]
            expected = scalar_steps(
                float(start[1][i, j]), slopes, recipe, age=float(ages[i, j]), rise=0.125, **own
            )
            assert float(found[1][i, j]) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("is_fused", [True, False])
@pytest.mark.parametrize("name", RECIPES)
def test_equal_entries_are_pytorchs(name: str, is_fused: bool) -> None:
    """Where all entries have one age, from a fresh optimizer or in mid-training: PyTorch's own."""
    recipe, names = RECIPES[name], ["one", "two"]
    start = [drawn(0, 3), drawn(1, 2, 4)]
    gradients = [[drawn(2 + i, 3), drawn(100 + i, 2, 4)] for i in range(60)]
    lr, decay = recipe.learning_rate, recipe.weight_decay

    def theirs(parameters: list[Tensor]) -> Optimizer:
        if recipe.optimizer == "sgd":
            return SGD(parameters, lr, recipe.momentum, weight_decay=decay, fused=is_fused)
        if recipe.optimizer == "adam":
            return Adam(parameters, lr, weight_decay=decay, fused=is_fused, foreach=False)
        return AdamW(parameters, lr, weight_decay=decay, fused=is_fused, foreach=False)

    other = [tensor.clone().requires_grad_() for tensor in start]
    reference = theirs(other)
    fresh = [tensor.clone().requires_grad_() for tensor in start]
    begun = PerEntry(fresh, recipe)
    for a, b in zip(
        tensors_after(begun, fresh, gradients[:20]),
        tensors_after(reference, other, gradients[:20]),
        strict=True,
    ):
        assert torch.allclose(a, b, rtol=0, atol=2e-15)
    state = {
        kind: {n: t.clone() for n, t in values.items()}
        for kind, values in moments(reference, names).items()
    }
    if "step" in state:
        state["age"] = {n: torch.full(p.shape, 20.0) for n, p in zip(names, other, strict=True)}
    later = [parameter.detach().clone().requires_grad_() for parameter in other]
    carried = PerEntry(later, recipe)
    set_moments(carried, names, state)
    for a, b in zip(
        tensors_after(carried, later, gradients[20:]),
        tensors_after(reference, other, gradients[20:]),
        strict=True,
    ):
        assert torch.allclose(a, b, rtol=0, atol=2e-15)


def moves(age: float, gradients: Tensor) -> Tensor:
    """The steps that Adam makes of one weight that begins with empty moments at an age."""
    weight = torch.zeros(2, dtype=torch.float64).requires_grad_()
    optimizer = PerEntry([weight], Training(optimizer="adam", learning_rate=1.0))
    begun = {
        "step": {"w": torch.tensor(float(OLD))},
        "age": {"w": torch.tensor([age, OLD])},
        "exp_avg": {"w": torch.zeros(2, dtype=torch.float64)},
        "exp_avg_sq": {"w": torch.zeros(2, dtype=torch.float64)},
    }
    set_moments(optimizer, ["w"], begun)
    found, before = [], 0.0
    for gradient in gradients:
        weight.grad = gradient.expand(2).clone()
        optimizer.step()
        found.append(float(weight[0].detach()) - before)
        before = float(weight[0].detach())
    return torch.tensor(found).abs()


def test_new_entries_step_as_fresh_ones() -> None:
    """Under a steady gradient a fresh entry of Adam moves by the rate, lr * 1, at each step.

    With m = v = 0 and age k the mean is (1 - b1^k) g and the mean square (1 - b2^k) g^2, which the
    age takes out. A silent zero pad, the parent's count t + k in the corrections, leaves
    (1 - b1^k) / sqrt(1 - b2^k) * sqrt(1 - b2^(t+k)) / (1 - b1^(t+k)): 3.15 at once, 6.55 at step
    12, 4.96 at step 40.
    """
    steady = torch.full((60,), 0.3, dtype=torch.float64)
    aged, silent = moves(0, steady), moves(OLD, steady)
    assert float(aged.max()) < 1.05
    assert float(aged.min()) > 0.95
    assert float(silent[0]) == pytest.approx(3.15, abs=0.005)
    assert int(silent.argmax()) + 1 == 12
    assert float(silent[11]) == pytest.approx(6.55, abs=0.005)
    assert float(silent[39]) == pytest.approx(4.96, abs=0.005)
    noisy = drawn(4, 60)
    weight = torch.zeros(1, dtype=torch.float64).requires_grad_()
    fresh = Adam([weight], lr=1.0)
    before = 0.0
    for gradient, move in zip(noisy, moves(0, noisy), strict=True):
        weight.grad = gradient[None].clone()
        fresh.step()
        after = float(weight.detach())
        assert float(move) <= 1.05 * abs(after - before)
        before = after


def test_warm_up_rises_in_equal_parts() -> None:
    """New entries make 1/4, 2/4, 3/4 and then all of their step; the others all of it at once."""
    is_new = {"w": torch.tensor([True, False])}
    state = warm_up({}, is_new, 4)
    weight = torch.zeros(2).requires_grad_()
    recipe = Training(optimizer="sgd", momentum=0, learning_rate=1.0)
    optimizer = PerEntry([weight], recipe)
    set_moments(optimizer, ["w"], state)
    found = []
    for _ in range(6):
        before = weight.detach().clone()
        weight.grad = torch.tensor([-1.0, -1.0])
        optimizer.step()
        found.append((weight.detach() - before).tolist())
    assert found == [[k, 1.0] for k in (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)]
