"""The greedy policy: where the loss's gradient gains most for a multiply-add, without training."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import zip_longest

from recursive_lth.config import GrowthStep, Space
from recursive_lth.errors import InputError
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.certificate import BrokenPromiseError
from recursive_lth.growth.gradient_gain import GradientGain, gradient_gain
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.operators import COMPOUNDS, PLACES
from recursive_lth.search.policies.past import Ground, Past, Proposal
from recursive_lth.search.policies.rules import middling
from recursive_lth.ticket.ticket import Ticket

Scored = tuple[GrowthStep, GradientGain]


def ground_of(parent: Ticket, grow: Callable[[GrowthStep], Sprout], batch: Batch) -> Ground:
    """The ground of a parent, on which the same growth is weighed once."""

    @cache
    def weigh(step: GrowthStep) -> GradientGain:
        return gradient_gain(parent, grow(step), batch)

    return Ground(parent.architecture, weigh)


def greedy(past: Past) -> Proposal | None:
    """Growths in the order of the gradient that they gain for each multiply-add that they add.

    The gain is `growth.gradient_gain` of the parent on one batch, for each operator at each of its
    places in the space's interval, by the middle ratio, the first mask, and `gradmax` where the
    space has it, else the first initialisation. New units are weighed as `gradmax` bears them in
    any case: that is the most they can gain (Evci et al. 2022, arXiv 2201.05125, who grow all
    layers alike and name this measure as a way to choose). Gains of unlike operators are not in one
    unit (a BatchNorm behind silent units makes theirs some 300 times as large), so the best place
    of each operator comes first, then the second best of each. Growths that cannot be made are left
    out; where none is left there is nothing to propose. What the weighing costs is charged to a
    generation's first proposal.
    """
    if past.ground is None:
        raise ValueError("greedy weighs growths of a parent, and this past has no ground")
    ranked = _ranked(past.experiment.space, past.ground)
    number = sum(candidate.asked is not None for candidate in past.siblings)
    if number >= len(ranked):
        return None
    spent = sum(gain.spent for _, gain in ranked) if number == 0 else 0
    return Proposal(ranked[number][0], multiply_adds=spent)


def _ranked(space: Space, ground: Ground) -> list[Scored]:
    """All growths, the best of each operator first; operators among themselves by their best."""
    columns = [
        sorted(_weighed(space, operator, ground), key=lambda s: -s[1].per_multiply_add)
        for operator in space.operator
    ]
    columns.sort(key=lambda column: -column[0][1].per_multiply_add if column else 0.0)
    return [scored for row in zip_longest(*columns) for scored in row if scored]


def _weighed(space: Space, operator: str, ground: Ground) -> Iterator[Scored]:
    """Each growth of one operator that can be made, with its gain."""
    first = COMPOUNDS.get(operator, (operator,))[0]
    for step in _steps(space, operator, len(PLACES[first](ground.architecture))):
        best = replace(step, initialisation="gradmax") if operator == "widen" else step
        try:
            yield step, ground.weigh(best)
        except BrokenPromiseError:
            raise
        except InputError:  # no such place in this network
            continue


def _steps(space: Space, operator: str, count: int) -> Iterator[GrowthStep]:
    """One growth for each of an operator's places that the space's interval points to."""
    low, high = (min(int(bound * count), count - 1) for bound in space.place)
    births = ["gradmax"] if operator == "widen" and "gradmax" in space.initialisation else []
    step = middling(space, operator, 0.0)
    for index in range(low, high + 1 if count else low):
        place = min(max((index + 0.5) / count, space.place[0]), space.place[1])
        yield replace(step, place=place, initialisation=[*births, step.initialisation][0])
