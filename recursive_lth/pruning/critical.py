"""Critical compression: how far a score can prune before a layer is emptied."""

import math
from dataclasses import dataclass

from recursive_lth.pruning.evidence import Evidence, Score
from recursive_lth.pruning.prune import prune
from recursive_lth.pruning.schedule import Group
from recursive_lth.ticket.masks import counts
from recursive_lth.ticket.ticket import Ticket


@dataclass(frozen=True)
class Critical:
    """The fewest weights with which every layer still has one, under the global scope.

    `compression` is all weights over those; `maximal_compression` all weights over the number of
    layers, which an ideal score would reach (Tanaka et al. 2020, arXiv 2006.05467, section 3).
    """

    remaining: int
    density: float
    compression: float
    maximal_compression: float


def critical_compression(
    ticket: Ticket, score: Score, evidence: Evidence, *, rounds: int = 1
) -> Critical:
    """Bisects the number of weights to keep; the density is found to about one part in a thousand.

    Exact to the weight with `rounds=1` and a score that draws nothing at random, whose cuts at
    different counts are nested: then more weights never empty a layer that fewer leave alive. With
    more rounds that is so in all but rare cases.
    """
    names = tuple(ticket.architecture.prunable)
    whole = sum(counts(ticket.masks).values())
    frozen = score(ticket, evidence)
    draws_once = rounds == 1

    def survives(keep: int) -> bool:
        using: Score = (lambda t, e: frozen) if draws_once else score
        group = Group(names, whole - keep)
        cut = prune(ticket, using, [group], evidence, floor=0, rounds=rounds)
        return min(counts(cut.masks).values()) > 0

    low, high = len(names) - 1, whole  # low never survives, high does
    while high - low > (1 if draws_once else math.ceil(high / 1000)):
        middle = round(math.sqrt(max(1, low) * high)) if high > 2 * low else (low + high) // 2
        middle = min(max(middle, low + 1), high - 1)
        low, high = (low, middle) if survives(middle) else (middle, high)
    return Critical(high, high / whole, whole / high, whole / len(names))
