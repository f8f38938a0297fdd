"""Descent: an optimizer over the tensors that a training moves."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from recursive_lth.config import Training
from recursive_lth.ticket.moments import PER_ENTRY, POWERS, State
from recursive_lth.training.optimizer import make_optimizer, moments, set_moments
from recursive_lth.training.per_entry import PerEntry

Clip = Callable[[list[Tensor], float], Any]  # scales the gradients to a norm, in place


class Descent:
    """An optimizer over live tensors that never moves what is masked, nor its moments.

    Where its updates are to be recorded its rate is a tensor, which a recording reads anew.
    """

    def __init__(
        self,
        live: Mapping[str, Tensor],
        names: list[str],
        masks: Mapping[str, Tensor],
        recipe: Training,
        state: State,
        tally: Mapping[str, Tensor],
        clip: Clip = torch.nn.utils.clip_grad_norm_,
        *,
        is_recorded: bool = False,
    ) -> None:
        self.recipe, self.names = recipe, names
        self.parameters = [live[name].requires_grad_() for name in names]
        has_unlike = bool(state.keys() & PER_ENTRY)
        self.optimizer = (PerEntry if has_unlike else make_optimizer)(self.parameters, recipe)
        set_moments(self.optimizer, names, state)
        sparse = [name for name in masks if name in names and not bool(masks[name].all())]
        self.covered = [live[name] for name in sparse]
        self.cover = [masks[name].to(live[name]) for name in sparse]
        self.clip = clip
        self._rate: Tensor | None = None
        self._now = recipe.learning_rate
        if is_recorded:
            lead = self.parameters[0]
            self._rate = torch.tensor(recipe.learning_rate, dtype=torch.float32, device=lead.device)
            self.optimizer.param_groups[0]["lr"] = self._rate
        self.tallied = [(live[name], total) for name, total in tally.items()]
        self._mask(self.covered)
        for kind in state.keys() & POWERS.keys():
            self._mask([self.optimizer.state[tensor][kind] for tensor in self.covered])

    def at(self, rate: float) -> None:
        """Let the steps to come go at `rate` times the learning rate."""
        now = self.recipe.learning_rate * rate
        if self._rate is None:
            self.optimizer.param_groups[0]["lr"] = now
        elif now != self._now:
            self._rate.fill_(now)
        self._now = now

    def follow(self, loss: Tensor) -> None:
        """One update: the gradients of a loss, and the move they ask for."""
        self.clear()
        loss.backward()  # into .grad, which lies in memory as its parameter does
        self.move()

    def move(self) -> None:
        """The move that the present gradients ask for, once masked and clipped.

        With a gradient and moments of 0 every optimizer leaves a weight of 0 as it is.
        """
        self._mask([tensor.grad for tensor in self.covered if tensor.grad is not None])
        for tensor, total in self.tallied:
            if tensor.grad is not None:
                total.addcmul_(tensor.detach(), tensor.grad, value=-1)
        if self.recipe.clip_norm:
            self.clip(self.parameters, self.recipe.clip_norm)
        self.optimizer.step()

    def clear(self) -> None:
        """Let go of the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def moved(self) -> list[Tensor]:
        """All that an update changes: the live tensors themselves and what the optimizer holds."""
        held = (self.optimizer.state.get(parameter, {}) for parameter in self.parameters)
        return [*self.parameters, *(t for inside in held for t in inside.values() if t is not None)]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Let PyTorch know that an update is recorded: its Adam asks for that in words."""
        group = self.optimizer.param_groups[0]
        before = group.get("capturable")
        if before is not None:
            group["capturable"] = True
        try:
            yield
        finally:
            if before is not None:
                group["capturable"] = before

    def state(self) -> State:
        """A copy of the optimizer's state."""
        live = moments(self.optimizer, self.names)
        return {kind: {n: t.clone() for n, t in values.items()} for kind, values in live.items()}

    def _mask(self, tensors: list[Tensor]) -> None:
        """Multiply by the masks, in place, in one call."""
        if tensors:
            with torch.no_grad():
                torch._foreach_mul_(tensors, self.cover)
