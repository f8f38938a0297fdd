"""What an Optuna sampler is told of the candidates so far, and the search space in its terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from recursive_lth.config import Space
from recursive_lth.search.constraints import LIMITS
from recursive_lth.search.generation import Candidate
from recursive_lth.search.objectives import merits
from recursive_lth.search.policies.past import Past

STATES: Mapping[str, TrialState] = MappingProxyType(
    {
        "chosen": TrialState.COMPLETE,
        "judged": TrialState.COMPLETE,
        "repeated": TrialState.COMPLETE,
        "infeasible": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "failed": TrialState.FAIL,
        "waiting": TrialState.RUNNING,
    }
)


@dataclass(frozen=True)
class Told:
    """One candidate in Optuna's terms: `values` of its objectives, gains at its `rungs`.

    `values` is empty iff the state is FAIL or RUNNING. `violations` has an amount for each limit of
    the space, positive where it is broken.
    """

    state: TrialState
    parameters: Mapping[str, Any]
    values: tuple[float, ...]
    rungs: tuple[float, ...]
    violations: Mapping[str, float]

    @property
    def is_feasible(self) -> bool:
        """True iff no limit is broken."""
        return all(amount <= 0 for amount in self.violations.values())


def tell(past: Past, *, knows_stopped: bool) -> list[Told]:
    """Every growth that was proposed so far, from the first generation on.

    A stopped one is PRUNED for a sampler that knows what that means; for the others it is complete,
    with the gain at the last rung it reached: they would learn nothing of what is bad otherwise.
    """
    generations = (*past.earlier, past.siblings)
    told = [one for generation in generations for one in _tell(past, generation)]
    if knows_stopped:
        return told
    return [_completed(one) if one.state == TrialState.PRUNED else one for one in told]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The search space in Optuna's terms; flat, so that every trial has every parameter."""
    found: dict[str, BaseDistribution] = {
        "operator": CategoricalDistribution(space.operator),
        "place": FloatDistribution(*space.place),
        "ratio": FloatDistribution(*space.ratio),
        "initialisation": CategoricalDistribution(space.initialisation),
        "mask": CategoricalDistribution(space.mask),
    }
    if "random" in space.mask:  # nothing else reads it
        found["density"] = FloatDistribution(*space.density)
    return found


def _tell(past: Past, generation: Sequence[Candidate]) -> list[Told]:
    experiment = past.experiment
    names = distributions(experiment.space)
    limits = [name for name in LIMITS if getattr(experiment.space, name)]
    scored = zip(generation, merits(generation, experiment.growth.objectives), strict=True)
    return [
        Told(
            STATES[candidate.status],
            {name: candidate.asked[name] for name in names},
            values,
            rungs,
            {limit: candidate.constraints.get(limit, 0.0) for limit in limits},
        )
        for candidate, (values, rungs) in scored
        if candidate.asked is not None
    ]


def _completed(one: Told) -> Told:
    state = TrialState.COMPLETE if one.values else TrialState.FAIL
    return Told(state, one.parameters, one.values, (), one.violations)
