"""Limits of a space: sizes against slow twins, and what breaks one is told but not trained."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from judged import first_ticket
from search_runs import bench_of, invented, small, tried, whole
from strategies import SEEDS, architectures, normal_weights, random_batch
from test_policy import LEARNING
from test_policy_replay import empty

from recursive_lth.architecture.cost import training_memory
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.architecture.network import network
from recursive_lth.config import Space
from recursive_lth.errors import InputError
from recursive_lth.search.constraints import LIMITS, MOMENTS, sizes, violations, why_infeasible
from recursive_lth.search.generation import Generation
from recursive_lth.search.policies.catalogue import POLICIES
from recursive_lth.search.policies.past import Past
from recursive_lth.training.optimizer import OPTIMIZERS

TIGHT = "space.max_parameters=100"  # the first winning ticket has 178 weights left


@given(architectures(), SEEDS)
def test_memory_is_what_torch_holds(architecture: Architecture, seed: int) -> None:
    """Twin: parameters, gradients, two moments, buffers and every output, by their own sizes."""
    weights, images = normal_weights(architecture, seed), random_batch(architecture, 3, seed)
    built = module(architecture, weights)
    held = 4 * sum(p.numel() * 4 for p in built.parameters())
    held += sum(b.numel() * 4 for b in built.buffers() if b.is_floating_point())
    outputs = [images]

    def watch(name: str, output: torch.Tensor) -> torch.Tensor:
        outputs.append(output)
        return output

    network(architecture)(weights, images, training=True, watch=watch)
    held += sum(output.numel() * 4 for output in outputs)
    assert training_memory(architecture, batch=3, moments=2) == held


def test_every_optimizer_says_what_it_keeps() -> None:
    assert set(MOMENTS) == set(OPTIMIZERS)


def test_amounts_are_shares_of_the_limit_and_zero_is_no_limit() -> None:
    found = {"parameters": 30, "multiply_adds": 10, "depth": 4, "memory": 900}
    space = Space(max_parameters=20, max_depth=4, max_memory=1000)
    assert violations(Space(), found) == {}
    assert violations(space, found) == pytest.approx(
        {"max_parameters": 0.5, "max_depth": 0.0, "max_memory": -0.1}
    )
    assert why_infeasible(space, found) == "30 parameters, space.max_parameters is 20"
    assert why_infeasible(replace(space, max_parameters=30), found) == ""
    with pytest.raises(InputError, match=r"space\.max_depth must be"):
        Space(max_depth=-1)


@pytest.mark.parametrize("policy", ["random", "fixed"])
def test_what_breaks_a_limit_is_not_trained(policy: str, tmp_path: Path) -> None:
    """Every growth of a network that is too large already: the parent goes on, at births' cost."""
    schedule = ['growth.schedule=[{operator="widen"}]'] if policy == "fixed" else []
    experiment = small(f"growth.policy={policy}", TIGHT, "budget.generations=2", *schedule)
    turns = [turn for turn, _ in whole(bench_of(experiment, tmp_path))]
    grown = [c for c in turns[2].candidates if c.asked]
    assert grown
    assert {c.status for c in grown} == {"infeasible"}
    for candidate in grown:
        assert candidate.training_steps == 0
        assert candidate.gain is None
        assert candidate.constraints["max_parameters"] > 0.78
        assert re.match(r"\d+ parameters, space.max_parameters is 100|the same", candidate.reason)
        assert candidate.sizes["parameters"] > 178
    assert turns[2].growth is None
    assert turns[2].operator == "none"
    again = Generation.from_dict(turns[2].to_dict())
    assert again == turns[2]


def test_a_limit_that_all_keep_changes_nothing_but_the_amounts(tmp_path: Path) -> None:
    free = whole(bench_of(small(), tmp_path / "free"))
    bound = whole(bench_of(small("space.max_depth=99"), tmp_path / "bound"))
    for (one, _), (other, _) in zip(free, bound, strict=True):
        assert one.val_loss == other.val_loss
        for a, b in zip(one.candidates, other.candidates, strict=True):
            assert replace(a, constraints={}) == replace(b, constraints={})
            assert set(b.constraints) == ({"max_depth"} if b.sizes else set())


def test_older_lines_have_no_sizes() -> None:
    """They were written before limits were known."""
    row = invented(2, candidates=(tried(0),)).to_dict()
    for name in ("sizes", "constraints"):
        del row["candidates"][0][name]
    turn = Generation.from_dict(row)
    assert turn.candidates[0].sizes == turn.candidates[0].constraints == {}


def bounded(policy: str, seed: int) -> Past:
    """24 candidates of which those in the upper half of the network broke a limit."""
    past = empty(policy, seed, "growth.random_candidates=6")
    space = replace(past.experiment.space, max_parameters=100)
    past = replace(past, experiment=replace(past.experiment, space=space))
    for number in range(1, 25):
        proposal = POLICIES["random"](past)
        assert proposal is not None
        over = proposal.step.place - 0.5
        known = {"asked": asdict(proposal.step), "constraints": {"max_parameters": over}}
        one = (
            tried(number, "infeasible", None, training_steps=0, **known)
            if over > 0
            else tried(number, "judged", 0.1, **known)
        )
        past = replace(past, siblings=[*past.siblings, one])
    return past


@pytest.mark.parametrize("policy", LEARNING)
def test_what_is_learnt_keeps_the_limits(policy: str) -> None:
    """At random half of 24 proposals would break it, 12 +- 2.4."""
    places = []
    for seed in range(24):
        proposal = POLICIES[policy](bounded(policy, seed))
        assert proposal is not None
        places.append(proposal.step.place)
    assert sum(place > 0.5 for place in places) < 7, places


def test_sizes_are_those_that_remain() -> None:
    """The first winning ticket keeps 178 of 444 weights, with 16 biases and depth 2."""
    found = sizes(first_ticket(), small().training)
    assert (found["weights"], found["parameters"], found["depth"]) == (178, 194, 2)
    assert found["multiply_adds"] == 178
    assert set(LIMITS) <= set(asdict(Space()))
    assert set(LIMITS.values()) <= set(found)
