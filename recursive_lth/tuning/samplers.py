"""Samplers: a seed and a number of random trials -> who proposes the next trial."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

MakeSampler = Callable[[int, int], BaseSampler]


def _tpe(seed: int, random_trials: int) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), over all parameters together.

    Trials that others are running count as bad ones (constant liar), so that workers spread out.
    """
    return TPESampler(
        seed=seed, n_startup_trials=random_trials, multivariate=True, constant_liar=True
    )


def _gp(seed: int, random_trials: int) -> BaseSampler:
    """Gaussian process with expected improvement, or hypervolume improvement of several."""
    return GPSampler(seed=seed, n_startup_trials=random_trials, deterministic_objective=False)


def _nsga2(seed: int, random_trials: int) -> BaseSampler:
    """Evolution by non-dominated sorting (Deb et al. 2002); the first population is random."""
    return NSGAIISampler(seed=seed, population_size=random_trials)


def _random(seed: int, random_trials: int) -> BaseSampler:
    """Uniform draws: the baseline of all others."""
    return RandomSampler(seed=seed)


SAMPLERS: Mapping[str, MakeSampler] = MappingProxyType(
    {"tpe": _tpe, "random": _random, "nsga2": _nsga2, "gp": _gp}
)
