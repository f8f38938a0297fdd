"""Several lineages alive: the front of accuracy and size, from which parents come in turn.

As in an evolutionary search (regularised by no age, but by turns): those that no other winning
ticket beats in validation accuracy and remaining weights are alive, at most so many, the most
crowded leave first, and the one with the fewest children has the next. All of it is read off the
lineage, so that a run that goes on chooses as it would have.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from recursive_lth.config import Acceptance
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import next_parent, tickets, undominated


def parent_of(rule: Acceptance, lineage: Sequence[Generation]) -> Generation:
    """The ticket that the next generation grows from, or the network that is still growing."""
    if lineage[-1].grows_on:
        return lineage[-1]
    if rule.population > 1:
        return parent_in_turn(lineage, rule.population)
    return next_parent(lineage, rule.backtrack)


def still_wanted(lineage: Sequence[Generation], rule: Acceptance) -> set[str]:
    """The digests of tickets that a later generation may grow from."""
    may_go_back = rule.backtrack or rule.population > 1
    winners = {turn.digest for turn in tickets(lineage)} if may_go_back else set()
    back = next_parent(lineage, rule.backtrack)  # where what grows on will have led nowhere
    return {parent_of(rule, lineage).digest, back.digest} | winners


def alive(lineage: Sequence[Generation], most: int) -> list[Generation]:
    """The winning tickets that have children to come, from the most accurate to the smallest.

    Of tickets that are equal in both the earliest stays.
    """
    found: dict[tuple[float, int], Generation] = {}
    for turn in tickets(lineage):
        found.setdefault((turn.val_accuracy, -turn.remaining_weights), turn)
    front = [list(found.values())[i] for i in undominated(list(found))]
    front.sort(key=lambda turn: -turn.val_accuracy)
    while len(front) > most:
        front.remove(_most_crowded(front))
    return front


def parent_in_turn(lineage: Sequence[Generation], most: int) -> Generation:
    """The living ticket with the fewest children, the latest of several; the start before any."""
    children = Counter(turn.parent for turn in lineage)
    return min(
        alive(lineage, most), key=lambda t: (children[t.digest], -t.generation), default=lineage[0]
    )


def is_on_front(lineage: Sequence[Generation], accuracy: float, weights: int) -> bool:
    """True iff no winning ticket so far is as good in both and better in one."""
    merits = [(turn.val_accuracy, -turn.remaining_weights) for turn in tickets(lineage)]
    return len(merits) in undominated([*merits, (accuracy, -weights)])


def _most_crowded(front: Sequence[Generation]) -> Generation:
    """The one whose neighbours are nearest, as in Deb et al. (2002); the ends stay if they can.

    Distances are in shares of the front's extent, of accuracy and of weights.
    """
    if len(front) < 3:
        return front[-1]
    spans = [
        max(values) - min(values) or 1.0
        for values in ([t.val_accuracy for t in front], [t.remaining_weights for t in front])
    ]

    def room(i: int) -> float:
        before, after = front[i - 1], front[i + 1]
        wide = (before.val_accuracy - after.val_accuracy) / spans[0]
        return wide + (before.remaining_weights - after.remaining_weights) / spans[1]

    return front[min(range(1, len(front) - 1), key=room)]


def hypervolume(lineage: Sequence[Generation], reference: tuple[float, float]) -> float:
    """The area that the winning tickets' front covers above a least accuracy and below a size.

    `reference` is (accuracy, weights); see `hypervolume_of`.
    """
    points = [(turn.val_accuracy, turn.remaining_weights) for turn in tickets(lineage)]
    return hypervolume_of(points, reference)


def hypervolume_of(points: Iterable[tuple[float, int]], reference: tuple[float, float]) -> float:
    """The area that points of accuracy and weights cover above and below the reference.

    Sizes count by their logarithm to the base of ten, so that a tenth of the weights is worth as
    much anywhere.
    """
    floor, ceiling = reference
    saving = [
        (accuracy, math.log10(ceiling / weights))
        for accuracy, weights in points
        if accuracy > floor and weights < ceiling
    ]
    area, reached = 0.0, floor
    for accuracy, saved in sorted(saving, key=lambda point: -point[1]):
        if accuracy > reached:
            area += (accuracy - reached) * saved
            reached = accuracy
    return area
