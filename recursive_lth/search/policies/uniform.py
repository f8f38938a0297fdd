"""Policies that learn nothing: independent draws, and points that fill the space evenly."""

from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler
from scipy.stats.qmc import Sobol

from recursive_lth import seeds
from recursive_lth.config import GrowthStep
from recursive_lth.search.policies.models import new_study, sampler_seed
from recursive_lth.search.policies.past import Past, Proposal, proposed
from recursive_lth.search.policies.told import distributions


def random(past: Past) -> Proposal | None:
    """Uniform draws: the baseline every other policy must beat."""
    study = new_study(past, RandomSampler(seed=sampler_seed(past)))
    return Proposal(GrowthStep(**study.ask(distributions(past.experiment.space)).params))


def qmc(past: Past) -> Proposal | None:
    """The next point of a run's one scrambled Sobol' sequence (Bergstra & Bengio 2012).

    One seed serves the whole run, and the place in the sequence is the number of growths proposed
    so far, so that it goes on through all generations; a name takes an equal part of a coordinate.
    The points are those of Optuna's QMCSampler, which would keep its place in a study.
    """
    names = dict(sorted(distributions(past.experiment.space).items()))
    sequence = Sobol(len(names), seed=seeds.derive(past.experiment.seed, "propose") % 2**32)
    if number := proposed(past):  # scipy goes no zero steps
        sequence.fast_forward(number)
    parameters: dict[str, Any] = {}
    for (name, values), u in zip(names.items(), sequence.random(1)[0], strict=True):
        if isinstance(values, CategoricalDistribution):
            parameters[name] = values.choices[int(u * len(values.choices))]
        else:
            low, high = getattr(past.experiment.space, name)
            parameters[name] = min(high, low + float(u) * (high - low))
    return Proposal(GrowthStep(**parameters))
