"""SGD, Adam and AdamW whose entries differ in age, rate and gain: for networks that have grown.

The formulas are PyTorch's, save that Adam's bias corrections 1 - beta^age are each entry's own, and
that the state may hold factors of each entry (`ticket/moments.py` says which, and derives them).
PyTorch's fused optimizers do the work wherever no entry differs.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from recursive_lth.config import Training, pick

BETAS, EPSILON = (0.9, 0.999), 1e-8  # PyTorch's, Kingma & Ba 2015 (arXiv 1412.6980)
Inside = dict[str, Tensor]  # the state of one tensor, by kind
Direction = Callable[[list[Tensor], list[Inside], Training], list[Tensor]]


class PerEntry(Optimizer):
    """An optimizer in PyTorch's frame, whose state has the kinds of `ticket/moments.py`.

    A tensor without `age` is of the age of its `step`; without a factor its factor is 1.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)  # the compiler stays unimported

    def __init__(self, parameters: list[Tensor], recipe: Training) -> None:
        self._recipe = recipe
        self._direction = pick(DIRECTIONS, recipe.optimizer, "optimizer")
        super().__init__(parameters, {"lr": recipe.learning_rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every tensor that has a gradient; `closure` is not supported."""
        recipe, group = self._recipe, self.param_groups[0]
        decay, is_decoupled = recipe.weight_decay, recipe.optimizer == "adamw"
        moved = [p for p in group["params"] if p.grad is not None]
        states: list[Inside] = [self.state[p] for p in moved]
        for parameter, inside in zip(moved, states, strict=True):
            for kind in inside.keys() & {"gain", "rate", "warm"}:
                inside[kind] = inside[kind].to(parameter)
        coupled = 0.0 if is_decoupled else decay
        seen = [_seen(p, inside, coupled) for p, inside in zip(moved, states, strict=True)]
        moves = self._direction(seen, states, recipe)
        for move, inside in zip(moves, states, strict=True):
            _slow(move, inside)
        if is_decoupled and decay:
            torch._foreach_mul_(moved, 1 - group["lr"] * decay)
        torch._foreach_add_(moved, moves, alpha=-group["lr"])


def _seen(parameter: Tensor, inside: Mapping[str, Tensor], decay: float) -> Tensor:
    """The gradient as the optimizer sees it: an entry that is a part of a weight, as that weight.

    With coupled decay that is gain * gradient + decay * weight / part.
    """
    gradient: Any = parameter.grad
    if "gain" in inside:
        gradient = gradient * inside["gain"]
    if decay:
        whole = parameter / inside["rate"] if "rate" in inside else parameter
        gradient = gradient.add(whole, alpha=decay)
    found: Tensor = gradient
    return found


def _slow(move: Tensor, inside: Inside) -> None:
    """Take of a move, in place, what the rates of its entries leave, and let them warm up."""
    if "rate" in inside:
        move.mul_(inside["rate"])
    if "warm" in inside:
        warm = inside["warm"].add_(inside["rise"].to(move)).clamp_(max=1)
        move.mul_(warm)


def _sgd(seen: list[Tensor], states: list[Inside], recipe: Training) -> list[Tensor]:
    """The buffers after momentum * buffer + gradient, copied; without momentum the gradients."""
    if not recipe.momentum:
        return [gradient.clone() for gradient in seen]
    for gradient, inside in zip(seen, states, strict=True):
        inside.setdefault("momentum_buffer", torch.zeros_like(gradient))
    buffers = [inside["momentum_buffer"] for inside in states]
    torch._foreach_mul_(buffers, recipe.momentum)
    torch._foreach_add_(buffers, seen)
    return [buffer.clone() for buffer in buffers]


def _adam(seen: list[Tensor], states: list[Inside], recipe: Training) -> list[Tensor]:
    """Mean over root mean square, each over its bias correction at the entry's own age."""
    for gradient, inside in zip(seen, states, strict=True):
        for kind in ("exp_avg", "exp_avg_sq"):
            inside.setdefault(kind, torch.zeros_like(gradient))
        inside.setdefault("step", torch.tensor(0.0))
    first, second = BETAS
    means, squares = ([inside[k] for inside in states] for k in ("exp_avg", "exp_avg_sq"))
    torch._foreach_add_([inside["step"] for inside in states], 1)
    if aged := [inside["age"] for inside in states if "age" in inside]:
        torch._foreach_add_(aged, 1)
    torch._foreach_lerp_(means, seen, 1 - first)
    torch._foreach_mul_(squares, second)
    torch._foreach_addcmul_(squares, seen, seen, 1 - second)
    below = list(torch._foreach_sqrt(squares))
    ages = [
        inside.get("age", inside["step"]).to(root)
        for inside, root in zip(states, below, strict=True)
    ]
    for root, age in zip(below, ages, strict=True):
        root.div_(_correction(second, age).sqrt_())
    torch._foreach_add_(below, EPSILON)
    moves = list(torch._foreach_div(means, below))
    for move, age in zip(moves, ages, strict=True):
        move.div_(_correction(first, age))
    return moves


def _correction(beta: float, age: Tensor) -> Tensor:
    """1 - beta^age, exact to the last places even at age 1, where the difference would not be."""
    return (age * math.log(beta)).expm1_().neg_()


DIRECTIONS: Mapping[str, Direction] = MappingProxyType({"sgd": _sgd, "adam": _adam, "adamw": _adam})
