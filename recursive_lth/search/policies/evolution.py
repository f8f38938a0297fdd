"""Policies that evolve: CMA-ES and NSGA-II, by Optuna.

Both keep a state in their trials, so that a study built from finished trials is not the same study.
Here every proposal replays the whole past, in order: each candidate is asked for and told, and the
sampler's own answers are put aside. The state is then a function of what was told, and the proposal
comes from a fresh sampler seeded by (root seed, generation, candidate), as in one study that was
never taken apart. Candidates that wait for their training are asked for and not told.
"""

from collections.abc import Callable
from importlib.util import find_spec

from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState

from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.search.policies.models import new_study, sampler_seed
from recursive_lth.search.policies.past import Past, Proposal
from recursive_lth.search.policies.told import Told, distributions, tell


def nsga2(past: Past) -> Proposal | None:
    """Nondominated sorting genetic algorithm (Deb et al. 2002), for one objective or several.

    A population is as large as `growth.random_candidates`, since fifty, Optuna's default, is more
    than most runs try. A network that breaks a limit is dominated by all that keep them.
    """
    seed, size = sampler_seed(past), max(2, past.experiment.growth.random_candidates)

    def make() -> BaseSampler:
        return NSGAIISampler(seed=seed, population_size=size)

    return _replayed(past, make, tell(past, knows_stopped=False))


def cmaes(past: Past) -> Proposal | None:
    """Covariance matrix adaptation (Hansen 2016, arXiv 1604.00772), for the numbers.

    It knows no names: the operator, initialisation and mask are drawn by Parzen estimators, each by
    itself, so that how they go with a place is not learnt. Nor does it know limits: a growth that
    breaks one counts as worse than all that keep them, by how much it breaks them (only ranks
    enter). Takes one objective; raises `InputError` where the package is missing.
    """
    check_cmaes()
    seed, first = sampler_seed(past), past.experiment.growth.random_candidates

    def make() -> BaseSampler:
        return CmaEsSampler(
            seed=seed,
            n_startup_trials=first,
            independent_sampler=TPESampler(seed=seed, n_startup_trials=first),
            warn_independent_sampling=False,
        )

    return _replayed(past, make, _penalised(tell(past, knows_stopped=False)))


def check_cmaes() -> None:
    """Raise `InputError` where the package that CMA-ES needs is not installed."""
    if find_spec("cmaes") is None:
        raise InputError(
            "growth.policy=cmaes needs the package cmaes: pip install 'recursive-lth[cmaes]'"
        )


def _penalised(past: list[Told]) -> list[Told]:
    """The past without limits: what breaks one has a value below all that break none."""
    worst = min((one.values[0] for one in past if one.values and one.is_feasible), default=0.0)

    def penalised(one: Told) -> Told:
        broken = sum(amount for amount in one.violations.values() if amount > 0)
        values = (worst - broken,) if one.values and broken else one.values
        return Told(one.state, one.parameters, values, (), {})

    return [penalised(one) for one in past]


def _replayed(past: Past, make: Callable[[], BaseSampler], told: list[Told]) -> Proposal:
    study, space = new_study(past, make()), distributions(past.experiment.space)
    for one in told:
        study.enqueue_trial(dict(one.parameters))
        trial = study.ask(space)
        trial.relative_params  # noqa: B018  # what the sampler would say: it takes note of asking
        for limit, amount in one.violations.items():
            trial.set_constraint(limit, amount)
        if one.state == TrialState.FAIL:
            study.tell(trial, state=TrialState.FAIL)
        elif one.state == TrialState.COMPLETE:
            study.tell(trial, list(one.values))
    study.sampler = make()  # its draws do not depend on those that were put aside
    return Proposal(GrowthStep(**study.ask(space).params))
