"""The training loop with and without entries that differ in age: masks, clipping, bits."""

from dataclasses import replace

import pytest
import torch
from test_aged_adam import RECIPES
from test_grow import NETWORKS, lived_in
from test_loop import batches_for, doubled, run
from torch import Tensor
from torch.optim import SGD, Adam, AdamW

from recursive_lth.config import Training
from recursive_lth.ticket.moments import State, warm_up
from recursive_lth.training.descent import Descent
from recursive_lth.training.loop import training


@pytest.mark.parametrize("name", RECIPES)
def test_without_differences_pytorch_moves_the_weights(name: str) -> None:
    """The hot path: no age, no factor, no optimizer of ours."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    *_, last = run(ticket, RECIPES[name])
    for state in ({}, last.state()):
        live = doubled(ticket)
        descent = Descent(
            live, list(ticket.architecture.trainable), ticket.masks, RECIPES[name], state, {}
        )
        assert type(descent.optimizer).__base__ in {SGD, Adam, AdamW}
        assert descent.optimizer.defaults["fused"]


def aged_state(optimizer: str) -> tuple[State, Training]:
    """The state of a network of which some entries are younger, and the recipe."""
    recipe = replace(RECIPES[optimizer], batch_size=8, clip_norm=0.5, schedule="cosine", warmup=0.1)
    ticket = lived_in(NETWORKS["mlp"], 0)
    *_, last = run(ticket, recipe)
    state = last.state()
    young = {n: torch.rand(t.shape) < 0.5 for n, t in state["exp_avg"].items()}
    for kind in ("exp_avg", "exp_avg_sq"):
        state[kind] = {n: t.masked_fill(young[n], 0) for n, t in state[kind].items()}
    counts = {n: torch.full(t.shape, 12.0) for n, t in state["exp_avg"].items()}
    state["age"] = {n: t.masked_fill(young[n], 0) for n, t in counts.items()}
    return warm_up(state, young, 10), recipe


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_masks_clipping_and_schedule_stay(optimizer: str) -> None:
    """Pruned weights and their moments stay 0 while ages move.

    An aged run of equal ages, with clipping, warm-up, cosine and masks, is PyTorch's run.
    """
    ticket = lived_in(NETWORKS["mlp"], 0)
    state, recipe = aged_state(optimizer)
    *_, last = run(ticket, recipe, state=state, steps=15)
    after = last.state()
    for name, mask in ticket.masks.items():
        assert not bool(last.weights[name][~mask].any())
        assert not bool(after["exp_avg"][name][~mask].any())
        assert not bool(after["exp_avg_sq"][name][~mask].any())
        assert torch.equal(after["age"][name], state["age"][name] + 15)
    *_, plain = run(ticket, recipe, steps=15)
    equal: State = {"age": {n: torch.zeros_like(t) for n, t in state["age"].items()}}
    equal["step"] = {n: torch.tensor(0.0) for n in state["age"]}
    for kind in ("exp_avg", "exp_avg_sq"):
        equal[kind] = {n: torch.zeros_like(t) for n, t in state[kind].items()}
    *_, aged = run(ticket, recipe, steps=15, state=equal)
    for name, tensor in plain.weights.items():
        assert torch.allclose(tensor, aged.weights[name], rtol=1e-11, atol=1e-14)


def test_aged_trainings_go_on_with_the_same_bits() -> None:
    """Left at an epoch's end and taken up with the state saved there, in float32 as in a run."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    state, recipe = aged_state("adamw")
    state = {kind: {n: t.float() for n, t in tensors.items()} for kind, tensors in state.items()}
    weights = {n: t.clone() for n, t in ticket.weights.items()}
    batches = batches_for(ticket.architecture, recipe, torch.float32)
    per_epoch = len(batches) // recipe.batch_size

    def steps(begun: State, values: dict[str, Tensor], start: int) -> list[dict[str, Tensor]]:
        loop = training(
            ticket.architecture,
            values,
            ticket.masks,
            batches,
            recipe,
            steps=3 * per_epoch,
            seed=1,
            start=start,
            state=begun,
        )
        found = []
        for step in loop:
            if step.number in {per_epoch, 3 * per_epoch}:
                found.append(step.snapshot())
                saved.append(step.state())
        return found

    saved: list[State] = []
    first, whole = steps(state, weights, 0)
    (resumed,) = steps(saved[0], first, per_epoch)
    assert all(torch.equal(whole[n], resumed[n]) for n in whole)
    for kind, tensors in saved[1].items():
        assert all(torch.equal(t, saved[2][kind][n]) for n, t in tensors.items()), kind
