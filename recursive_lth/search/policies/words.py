"""The policies in words: for `list`, which imports neither torch nor optuna.

The registry is in `catalogue`; a test holds these words to it.
"""

from collections.abc import Mapping
from types import MappingProxyType

POLICY_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tpe": "tree-structured Parzen estimator over the lineage's candidates",
        "gp": "Gaussian process with expected improvement",
        "cmaes": "covariance matrix adaptation; one objective, needs the extra [cmaes]",
        "nsga2": "nondominated sorting genetic algorithm, for several objectives",
        "random": "uniform draws: the baseline of every other",
        "qmc": "points of a Sobol' sequence, which fill the space evenly",
        "greedy": "the largest gain of the loss's gradient for a multiply-add (GradMax's measure)",
        "round_robin": "the space's operators in turn, at places that spread evenly",
        "patience": "the same growth until it stops paying, then the next (AutoGrow)",
        "fixed": "the steps of growth.schedule in turn, without judging (the paper's way)",
        "never": "no growth: iterative pruning",
    }
)
