"""Objectives of a search: values in comparable units, and studies after several of them."""

from dataclasses import asdict, replace

import pytest
from search_runs import tried
from test_policy_replay import empty

from recursive_lth.config import Growth
from recursive_lth.errors import InputError
from recursive_lth.search.objectives import OBJECTIVES, merits
from recursive_lth.search.policies.catalogue import POLICIES, SEVERAL_OBJECTIVES
from recursive_lth.search.policies.past import Past

ALL = ("gain", "multiply_adds", "weights")


def test_values_are_relative_to_the_generation_and_its_parent() -> None:
    """Gains to the largest of the generation in size, costs to the parent's, number 0."""
    generation = [
        tried(0, sizes={"multiply_adds": 200, "weights": 50}),
        tried(1, "judged", -0.5, sizes={"multiply_adds": 300, "weights": 40}),
        tried(2, "stopped", 0.25, rungs=(0.25,), sizes={"multiply_adds": 200, "weights": 50}),
        tried(3, "failed", None, sizes={}),
        tried(4, "infeasible", None, sizes={"multiply_adds": 800, "weights": 75}),
        tried(5, "waiting", None, sizes={}),
    ]
    assert merits(generation, ALL) == [
        ((0.0, 1.0, 1.0), (0.0, 0.0)),
        ((-1.0, 1.5, 0.8), (-0.5, -1.0)),
        ((0.5, 1.0, 1.0), (0.5,)),
        ((), ()),
        ((0.0, 4.0, 1.5), ()),
        ((), ()),
    ]
    assert merits(generation, ("gain",))[1][0] == (-1.0,)
    assert set(OBJECTIVES) == set(ALL)


def test_objectives_are_known_and_hold_the_gain() -> None:
    for wrong in (("weights",), (), ("gain", "gain"), ("gain", "depth")):
        with pytest.raises(InputError, match=r"growth\.objectives must"):
            Growth(objectives=wrong)


def judged(policy: str, seed: int, objectives: tuple[str, ...]) -> Past:
    """24 candidates that gain alike, of which only `deepen` adds no weights."""
    past = empty(policy, seed)
    growth = replace(past.experiment.growth, objectives=objectives)
    past = replace(past, experiment=replace(past.experiment, growth=growth))
    for number in range(1, 25):
        proposal = POLICIES["random"](past)
        assert proposal is not None
        weights = 100 if proposal.step.operator == "deepen" else 150
        known = {"asked": asdict(proposal.step), "sizes": {"weights": weights}}
        one = tried(number, "judged" if number % 3 else "stopped", 0.1, **known)
        past = replace(past, siblings=[*past.siblings, one])
    return past


@pytest.mark.parametrize("policy", SEVERAL_OBJECTIVES)
def test_the_second_objective_is_learnt_too(policy: str) -> None:
    """At random a third of 24 proposals are `deepen`, 8 +- 2.3."""
    found = []
    for seed in range(24):
        past = judged(policy, seed, ("gain", "weights"))
        proposal = POLICIES[policy](past)
        assert proposal is not None
        found.append(proposal.step.operator == "deepen")
    learns = policy not in {"random", "qmc"}
    assert sum(found) > 15 if learns else sum(found) < 15
