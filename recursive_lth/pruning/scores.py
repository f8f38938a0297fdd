"""All scores by name: for every prunable weight a number; the lowest go first."""

from collections.abc import Mapping
from types import MappingProxyType

from recursive_lth.pruning import gradient, magnitude, normalised
from recursive_lth.pruning.evidence import Score
from recursive_lth.pruning.synflow import synflow

SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "magnitude": magnitude.magnitude,
        "magnitude_rms": normalised.magnitude_rms,
        "magnitude_small": magnitude.magnitude_small,
        "magnitude_initial": magnitude.magnitude_initial,
        "magnitude_initial_final": magnitude.magnitude_initial_final,
        "magnitude_increase": magnitude.magnitude_increase,
        "movement": magnitude.movement,
        "movement_gradient": magnitude.movement_gradient,
        "l1_norm": normalised.l1_norm,
        "l2_norm": normalised.l2_norm,
        "softmax": normalised.softmax,
        "min_max": normalised.min_max,
        "lamp": normalised.lamp,
        "snip": gradient.snip,
        "grasp": gradient.grasp,
        "taylor": gradient.taylor,
        "synflow": synflow,
        "random": magnitude.random,
    }
)
SCORE_ROUNDS: Mapping[str, int] = MappingProxyType({"synflow": 100})  # one round for the others
NEEDS_DATA = frozenset({"snip", "grasp", "taylor"})
NEEDS_TALLY = frozenset({"movement_gradient"})
