"""Optimizers and learning-rate schedules by name, and their moments as named tensors."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from recursive_lth.config import Training, pick
from recursive_lth.errors import InputError

Schedule = Callable[[float], float]  # progress in [0, 1] -> factor of the learning rate
Build = Callable[[list[Tensor], Training], Optimizer]


def make_optimizer(parameters: list[Tensor], recipe: Training) -> Optimizer:
    """PyTorch's own optimizer, in its fused form, over leaf tensors."""
    return pick(OPTIMIZERS, recipe.optimizer, "optimizer")(parameters, recipe)


def bare(kind: type[Optimizer]) -> Any:
    """An optimizer without what PyTorch wraps around it: profiler, hooks, and its compiler.

    The same bits; a step of a small network takes a twentieth of its time less, and a process does
    not import the compiler, which takes a second, with its first optimizer.
    """
    step, add = inspect.unwrap(kind.step), inspect.unwrap(kind.add_param_group)

    def plain(self: Optimizer, closure: Any = None) -> Any:
        with torch.no_grad():
            return step(self, closure)

    plain.hooked = True  # type: ignore[attr-defined]  # what PyTorch looks for
    return type(kind.__name__, (kind,), {"step": plain, "add_param_group": add})


BARE_SGD, BARE_ADAM, BARE_ADAMW = bare(SGD), bare(Adam), bare(AdamW)


def _sgd(parameters: list[Tensor], recipe: Training) -> Optimizer:
    return BARE_SGD(  # type: ignore[no-any-return]
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _adam(parameters: list[Tensor], recipe: Training) -> Optimizer:
    return _adaptive(BARE_ADAM, parameters, recipe)


def _adamw(parameters: list[Tensor], recipe: Training) -> Optimizer:
    return _adaptive(BARE_ADAMW, parameters, recipe)


def _adaptive(kind: Any, parameters: list[Tensor], recipe: Training) -> Optimizer:
    return kind(  # type: ignore[no-any-return]
        parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )


def rate_factor(recipe: Training, step: int, steps: int) -> float:
    """The learning rate's factor at a step in [0, steps): linear warm-up, then the schedule."""
    progress = step / max(1, steps)
    if progress < recipe.warmup:
        return (step + 1) / (recipe.warmup * steps + 1)
    rest = (progress - recipe.warmup) / max(1e-12, 1 - recipe.warmup)
    return pick(SCHEDULES, recipe.schedule, "schedule")(rest)


def at_last_rate(recipe: Training, steps: int) -> Training:
    """The recipe at the constant rate of its last step, for fine-tuning (Renda et al. 2020).

    Raises `InputError` where the schedule ends at next to nothing, as `cosine` and `linear` do.
    """
    factor = rate_factor(recipe, steps - 1, steps)
    if recipe.schedule in {"cosine", "linear"}:
        raise InputError(
            f"fine-tuning goes on at the schedule's last rate, and {recipe.schedule!r} ends at 0: "
            "set training.schedule=steps or constant"
        )
    rate = recipe.learning_rate * factor
    return replace(recipe, learning_rate=rate, schedule="constant", warmup=0.0)


def constant(progress: float) -> float:
    """Always 1."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov & Hutter 2017, arXiv 1608.03983, without restarts)."""
    return (1 + math.cos(math.pi * progress)) / 2


def linear(progress: float) -> float:
    """Straight from 1 to 0."""
    return 1 - progress


def steps(progress: float) -> float:
    """A tenth after half the steps and a hundredth after three quarters (He et al. 2016)."""
    return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01


def moments(optimizer: Optimizer, names: list[str]) -> dict[str, dict[str, Tensor]]:
    """The optimizer's state as kind -> parameter name -> tensor, e.g. `exp_avg` -> `fc1.weight`."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, parameter in zip(names, optimizer.param_groups[0]["params"], strict=True):
        for kind, value in optimizer.state.get(parameter, {}).items():
            found.setdefault(kind, {})[name] = value
    return found


def set_moments(
    optimizer: Optimizer, names: list[str], state: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Give the optimizer copies of the state that `moments` returned."""
    for name, parameter in zip(names, optimizer.param_groups[0]["params"], strict=True):
        for kind, values in state.items():
            if name in values:
                is_count = kind == "step"
                value = values[name].to(
                    "cpu" if is_count and not parameter.is_cuda else parameter.device
                )
                optimizer.state[parameter][kind] = value.clone()


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"constant": constant, "cosine": cosine, "linear": linear, "steps": steps}
)
OPTIMIZERS: Mapping[str, Build] = MappingProxyType({"sgd": _sgd, "adam": _adam, "adamw": _adamw})
