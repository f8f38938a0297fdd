"""Policies by a fixed rule, which look at no more than what paid."""

from recursive_lth.config import GrowthStep, Space
from recursive_lth.search.generation import Candidate
from recursive_lth.search.policies.past import Past, Proposal, proposed

THIRDS = (1 / 6, 3 / 6, 5 / 6)  # the middles of input side, middle and output side
PAID = ("chosen", "judged", "repeated")


def never(past: Past) -> Proposal | None:
    """Never grows: what is left is iterative pruning."""
    return None


def fixed(past: Past) -> Proposal:
    """The experiment's schedule in turn, one growth a generation, unconditionally."""
    schedule = past.experiment.growth.schedule
    step = schedule[(past.generation - 2) % len(schedule)]
    return Proposal(step, is_final=True)


def round_robin(past: Past) -> Proposal:
    """The space's operators in turn, at places that spread evenly over its interval.

    The operators come once each at a place, then at the next one of van der Corput's sequence (0,
    1/2, 1/4, 3/4, ...), through all generations; by the middle ratio, the first initialisation and
    the first mask.
    """
    space, number = past.experiment.space, proposed(past)
    turn, which = divmod(number, len(space.operator))
    return Proposal(middling(space, space.operator[which], van_der_corput(turn)))


def patience(past: Past) -> Proposal | None:
    """Grows the same kind at the same place for as long as it pays, then the next.

    After AutoGrow (Wen et al. 2020, arXiv 1906.02909), which adds layers to one sub-network after
    another, takes from its list each whose last layer did not raise the accuracy, and ends when the
    list is empty. Here the list is the space's operators at the input side, in the middle and at
    the output side; a growth pays where its short training ends with a lower calibrated loss than
    not growing; and the first entry is kept until it stops paying, where AutoGrow goes round. The
    first that pays ends a generation's proposals; while one waits for its training the next is
    asked for.
    """
    space = past.experiment.space
    left = [middling(space, operator, third) for operator in space.operator for third in THIRDS]
    waiting = []
    for candidate in (c for generation in (*past.earlier, past.siblings) for c in generation):
        if candidate.asked is None:
            continue
        step = GrowthStep(**candidate.asked)
        if candidate.status == "waiting":
            waiting.append(step)
        elif not _has_paid(candidate) and step in left:
            left.remove(step)
    if any(_has_paid(candidate) for candidate in past.siblings):
        return None
    return next((Proposal(step) for step in left if step not in waiting), None)


def _has_paid(candidate: Candidate) -> bool:
    return candidate.status in PAID and (candidate.gain or 0.0) > 0


def middling(space: Space, operator: str, where: float) -> GrowthStep:
    """A growth at `where` in [0, 1] of the space's interval of places; all else is its middle."""
    low, high = space.place
    return GrowthStep(
        operator,
        min(high, low + where * (high - low)),
        middle(space.ratio),
        space.initialisation[0],
        space.mask[0],
        middle(space.density),
    )


def middle(bounds: tuple[float, float]) -> float:
    """Half way between two bounds, never beyond them.

    >>> middle((0.25, 0.75))
    0.5
    """
    return min(bounds[1], bounds[0] + (bounds[1] - bounds[0]) / 2)


def van_der_corput(number: int) -> float:
    """The number's binary digits mirrored at the point: evenly spread however many are taken.

    >>> [van_der_corput(n) for n in range(5)]
    [0.0, 0.5, 0.25, 0.75, 0.125]
    """
    digits = f"{number:b}"[::-1]
    return int(digits, 2) / (1 << len(digits))
