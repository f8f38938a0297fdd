"""Policies: what has been tried -> what to try next. Pure functions, one signature, one dict.

An Optuna policy rebuilds its study in memory from the lineage for each proposal, with a sampler
seeded by (root seed, generation, candidate): the same proposals come whether or not the run was
stopped in between.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from recursive_lth import seeds
from recursive_lth.config import Experiment, GrowthStep, Space
from recursive_lth.search.generation import Candidate

optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own progress display speaks

STATES = {
    "chosen": TrialState.COMPLETE,
    "judged": TrialState.COMPLETE,
    "repeated": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Past:
    """What a policy may know: the experiment, where it stands, and every candidate so far.

    `earlier` holds the candidates of each finished generation, `siblings` those of this one,
    number 0 (not growing) first.
    """

    experiment: Experiment
    generation: int
    earlier: Sequence[Sequence[Candidate]]
    siblings: Sequence[Candidate]


@dataclass(frozen=True)
class Proposal:
    """A growth to try. With `is_final` it is taken without judging.

    `is_hopeless` tells from the gains at the rungs so far whether to stop its short training.
    """

    step: GrowthStep
    is_final: bool
    is_hopeless: Callable[[Sequence[float]], bool]


Policy = Callable[[Past], Proposal | None]  # None: nothing more to propose


def never(past: Past) -> Proposal | None:
    """Never grows: what is left is iterative pruning."""
    return None


def fixed(past: Past) -> Proposal:
    """The experiment's schedule in turn, one growth a generation, unconditionally."""
    schedule = past.experiment.growth.schedule
    step = schedule[(past.generation - 2) % len(schedule)]
    return Proposal(step, is_final=True, is_hopeless=lambda gains: False)


def _optuna(make_sampler: Callable[[int, int], BaseSampler]) -> Policy:
    def ask(past: Past) -> Proposal | None:
        number = len(past.siblings)
        seed = seeds.derive(past.experiment.seed, "generation", past.generation, "propose", number)
        sampler = make_sampler(seed % 2**32, past.experiment.growth.random_candidates)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        space = distributions(past.experiment.space)
        for generation in (*past.earlier, past.siblings):
            study.add_trials(_as_trials(generation, space))
        step = GrowthStep(**study.ask(space).params)
        return Proposal(step, is_final=False, is_hopeless=lambda g: is_behind(g, past.siblings))

    return ask


def is_behind(gains: Sequence[float], siblings: Sequence[Candidate]) -> bool:
    """True iff the last gain is below the median of the siblings' at the same rung.

    Not growing is one of them, with gain 0; alone it is no crowd, and repeated ones do not count.
    """
    rung = len(gains) - 1
    rivals = [c.rungs[rung] for c in siblings if len(c.rungs) > rung and c.training_steps]
    return len(rivals) > 1 and gains[-1] < median(rivals)


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


def _as_trials(
    generation: Sequence[Candidate], space: Mapping[str, BaseDistribution]
) -> list[FrozenTrial]:
    """A generation's candidates as finished Optuna trials.

    A trial's value is its gain over not growing, in units of the generation's largest: gains
    shrink as a lineage goes on, and early generations would outweigh all later ones.
    """
    tried = [c for c in generation if c.asked is not None]
    unit = max((abs(c.gain) for c in tried if c.gain is not None), default=0.0) or 1.0

    def as_trial(candidate: Candidate) -> FrozenTrial:
        state = STATES[candidate.status]
        is_complete = state == TrialState.COMPLETE and candidate.gain is not None
        return create_trial(
            state=state,
            params={name: (candidate.asked or {})[name] for name in space},
            distributions=dict(space),
            value=(candidate.gain or 0.0) / unit if is_complete else None,
            intermediate_values={i: gain / unit for i, gain in enumerate(candidate.rungs)},
        )

    return [as_trial(candidate) for candidate in tried]


def _tpe(seed: int, random_candidates: int) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), over all parameters together."""
    return TPESampler(seed=seed, n_startup_trials=random_candidates, multivariate=True)


def _random(seed: int, random_candidates: int) -> BaseSampler:
    """Uniform draws: the baseline every other policy must beat."""
    return RandomSampler(seed=seed)


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {"tpe": _optuna(_tpe), "random": _optuna(_random), "fixed": fixed, "never": never}
)
