"""Objectives of a search: values in comparable units, and studies after several of them."""

from dataclasses import asdict, replace

import pytest
from search_runs import tried
from test_policy_replay import empty

from recursive_lth.config import Growth
from recursive_lth.errors import InputError
from recursive_lth.search.generation import Candidate
from recursive_lth.search.objectives import OBJECTIVES, merits, preferred
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


def sized(number: int, gain: float, multiply_adds: int, weights: int) -> Candidate:
    sizes = {"multiply_adds": multiply_adds, "weights": weights}
    return tried(number, "judged", gain, sizes=sizes)


def test_the_winner_is_of_the_front_and_gains_most_for_what_it_costs() -> None:
    """1 gains most for all it costs, 2 most for a multiply-add, 3 is dominated by 2."""
    rivals = [sized(0, 0.0, 10, 5), sized(1, 0.9, 60, 9), sized(2, 0.4, 20, 7)]
    rivals += [sized(3, 0.4, 20, 8), sized(4, 0.4, 20, 7), tried(5, "failed", None, sizes={})]
    assert preferred(rivals, ("gain",)).number == 1
    assert preferred(rivals, ("gain", "multiply_adds")).number == 2
    assert preferred(rivals, ALL).number == 2
    stopped = [replace(one, status="stopped") if one.number in {2, 4} else one for one in rivals]
    assert preferred(stopped, ALL).number == 3
    losing = [sized(0, 0.0, 10, 5), sized(1, -0.1, 10, 4), sized(2, -0.2, 99, 9)]
    assert preferred(losing, ALL).number == 0


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
