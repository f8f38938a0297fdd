"""Policies by a model of what was found: Parzen estimators and Gaussian processes, by Optuna.

The study is built anew in memory for each proposal, with a sampler seeded by (root seed,
generation, candidate): the same proposals come whether or not the run was stopped in between.
Candidates that wait for their training are running trials, which both samplers keep away from.
"""

from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from recursive_lth import seeds
from recursive_lth.config import GrowthStep
from recursive_lth.search.objectives import OBJECTIVES
from recursive_lth.search.policies.past import Past, Proposal
from recursive_lth.search.policies.told import Told, distributions, tell
from recursive_lth.training.device import pinned

optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own progress display speaks


def sampler_seed(past: Past) -> int:
    """The seed of the next proposal's sampler."""
    names = ("generation", past.generation, "propose", len(past.siblings))
    return seeds.derive(past.experiment.seed, *names) % 2**32


def new_study(past: Past, sampler: BaseSampler) -> optuna.Study:
    """An empty study after the experiment's objectives."""
    directions = [OBJECTIVES[name] for name in past.experiment.growth.objectives]
    return optuna.create_study(directions=directions, sampler=sampler)


def tpe(past: Past) -> Proposal | None:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), over all parameters together.

    With several objectives it splits by domination (Ozaki et al. 2022); broken limits put a trial
    among the bad ones.
    """
    first = past.experiment.growth.random_candidates
    is_single = len(past.experiment.growth.objectives) == 1  # Optuna prunes for one alone
    sampler = TPESampler(seed=sampler_seed(past), n_startup_trials=first, multivariate=True)
    return _asked(past, sampler, knows_stopped=is_single)


def gp(past: Past) -> Proposal | None:
    """Gaussian process with expected improvement, names compared as equal or not.

    It models each limit too, and weighs the improvement with the chance that all are kept. Computed
    by one thread, whatever the trainings use: from some two hundred candidates on, more threads
    would change last bits and with them the proposal.
    """
    first = past.experiment.growth.random_candidates
    sampler = GPSampler(
        seed=sampler_seed(past), n_startup_trials=first, warn_independent_sampling=False
    )
    with pinned(threads=1):
        return _asked(past, sampler, knows_stopped=False)


def _asked(past: Past, sampler: BaseSampler, *, knows_stopped: bool) -> Proposal:
    study, space = new_study(past, sampler), distributions(past.experiment.space)
    study.add_trials([_trial(one, space) for one in tell(past, knows_stopped=knows_stopped)])
    return Proposal(GrowthStep(**study.ask(space).params))


def _trial(one: Told, space: Mapping[str, BaseDistribution]) -> FrozenTrial:
    is_pruned = one.state == TrialState.PRUNED
    return create_trial(
        state=one.state,
        params=dict(one.parameters),
        distributions=dict(space),
        values=one.values if one.state == TrialState.COMPLETE else None,
        intermediate_values=dict(enumerate(one.rungs)) if is_pruned else {},
        constraints=dict(one.violations),
    )
