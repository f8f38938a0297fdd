"""All policies by name, and the door for a user's own."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from recursive_lth.config import Experiment, pick
from recursive_lth.config.ignored import OWN
from recursive_lth.errors import InputError
from recursive_lth.search.policies.evolution import check_cmaes, cmaes, nsga2
from recursive_lth.search.policies.gradient import greedy
from recursive_lth.search.policies.models import gp, tpe
from recursive_lth.search.policies.past import Policy
from recursive_lth.search.policies.rules import fixed, never, patience, round_robin
from recursive_lth.search.policies.uniform import qmc, random

SEVERAL_OBJECTIVES = ("tpe", "gp", "nsga2", "random", "qmc")


def named(policy: Policy) -> str:
    """The name under which a run records a user's own policy: `python:` and its function's name.

    Raises `InputError` where it has none, as a lambda, since no run could be told from another.
    """
    name = getattr(policy, "__name__", type(policy).__name__)
    if not name.isidentifier():
        raise InputError(f"a policy of your own needs a name, got {name}: write it with def")
    return f"{OWN}{name}"


def policy_of(experiment: Experiment, own: Policy | None = None) -> Policy:
    """The policy that an experiment names; `own` where it names a user's own.

    Raises `InputError` where there is none of that name.
    """
    name = experiment.growth.policy
    if not name.startswith(OWN):
        return pick(POLICIES, name, "growth.policy")
    if own is None or named(own) != name:
        raise InputError(
            f"growth.policy {name} is a function of your own: give it again from Python, as "
            f"grow(experiment, policy={name.removeprefix(OWN)})"
        )
    return own


def with_policy(experiment: Experiment, own: Policy | None) -> Experiment:
    """The experiment that names a user's own policy, or as it is where there is none."""
    if own is None:
        return experiment
    growth = replace(experiment.growth, policy=named(own), schedule=())
    return replace(experiment, growth=growth)


def check_policy(experiment: Experiment) -> None:
    """Raise `InputError` where a policy lacks its package, or cannot do what is asked of it."""
    growth = experiment.growth
    if growth.policy == "cmaes":
        check_cmaes()
    is_own = growth.policy.startswith(OWN)
    if growth.objectives != ("gain",) and growth.policy not in SEVERAL_OBJECTIVES and not is_own:
        raise InputError(
            f"growth.policy {growth.policy} is after gain alone, got growth.objectives="
            f"{list(growth.objectives)}: choose from {', '.join(SEVERAL_OBJECTIVES)}"
        )


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "tpe": tpe,
        "gp": gp,
        "cmaes": cmaes,
        "nsga2": nsga2,
        "random": random,
        "qmc": qmc,
        "greedy": greedy,
        "round_robin": round_robin,
        "patience": patience,
        "fixed": fixed,
        "never": never,
    }
)
