"""All scores by name, a number for every prunable weight of which the lowest go, and their cost."""

from collections.abc import Mapping
from types import MappingProxyType

from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Pruning
from recursive_lth.pruning import gradient, magnitude, normalised
from recursive_lth.pruning.evidence import Evidence, Score
from recursive_lth.pruning.synflow import synflow
from recursive_lth.ticket.ticket import Ticket


def scoring_cost(ticket: Ticket, pruning: Pruning, evidence: Evidence) -> int:
    """The multiply-adds of scoring a ticket for one cut; 0 of scores that run no network.

    GraSP differentiates a gradient, which takes three passes forward and back; SynFlow runs on one
    input. Scores that are taken anew on the way down count as if nothing had been cut on it yet.
    """
    samples = 1 if evidence.images is None else len(evidence.images)
    passes = PASSES.get(pruning.score, 0) * rounds_of(pruning)
    return passes * training_cost(ticket.cost.remaining_multiply_adds, samples)


def rounds_of(pruning: Pruning) -> int:
    """How often a ticket is scored on the way down."""
    return pruning.score_rounds or SCORE_ROUNDS.get(pruning.score, 1)


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
PASSES: Mapping[str, int] = MappingProxyType(  # as in training; the others read weights alone
    {"snip": 1, "taylor": 1, "grasp": 3, "synflow": 1}
)
NEEDS_DATA = frozenset({"snip", "grasp", "taylor"})
NEEDS_TALLY = frozenset({"movement_gradient"})
