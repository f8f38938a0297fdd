"""The protocol of all policies: what one may know, and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Experiment, GrowthStep
from recursive_lth.growth.gradient_gain import GradientGain
from recursive_lth.search.generation import Candidate


@dataclass(frozen=True)
class Ground:
    """What the next growth starts from: the parent's architecture, and a way to weigh a growth.

    `weigh` raises `InputError` where the growth cannot be made.
    """

    architecture: Architecture
    weigh: Callable[[GrowthStep], GradientGain]


@dataclass(frozen=True)
class Past:
    """What a policy may know: the experiment, where it stands, and every candidate so far.

    `earlier` holds the candidates of each finished generation, `siblings` those of this one,
    number 0 (not growing) first. Siblings that wait for their training have status "waiting" and no
    gain yet: so several can be asked for, one after the other, before any of them is trained.
    """

    experiment: Experiment
    generation: int
    earlier: Sequence[Sequence[Candidate]]
    siblings: Sequence[Candidate]
    ground: Ground | None = None


@dataclass(frozen=True)
class Proposal:
    """A growth to try. With `is_final` it is taken without judging.

    `multiply_adds` is what finding it has cost in gradients of candidates.
    """

    step: GrowthStep
    is_final: bool = False
    multiply_adds: int = 0


Policy = Callable[[Past], Proposal | None]  # None: nothing more to propose


def proposed(past: Past) -> int:
    """How many growths were proposed so far, in all generations."""
    generations = (*past.earlier, past.siblings)
    return sum(c.asked is not None for candidates in generations for c in candidates)
