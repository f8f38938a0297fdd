"""One round of pruning: score, select exactly, cut; and rewinding of what remains."""

from collections.abc import Iterable
from dataclasses import replace

from recursive_lth.pruning.schedule import Group
from recursive_lth.pruning.scores import Score
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket


def prune(ticket: Ticket, score: Score, groups: Iterable[Group], *, floor: int = 1) -> Ticket:
    """The ticket with exactly `group.remove` fewer weights in each group, masks nested in the old.

    Raises `InputError` where a score is NaN or a group cannot lose so many and keep `floor` weights
    in every layer.
    """
    scores = score(ticket)
    masks = ticket.masks
    for group in groups:
        competing = {name: scores[name] for name in group.names}
        masks = masking.drop_lowest(masks, competing, group.remove, floor=floor)
    return replace(ticket, masks=masks, weights=masking.apply(ticket.weights, masks))


def rewind(ticket: Ticket) -> Ticket:
    """The ticket with its remaining weights set back to their rewind values, statistics too.

    What those are was decided when they were kept: step 0 or step k of the first training, and for
    weights grown later their birth (Frankle et al. 2020, arXiv 1912.05671).
    """
    return replace(ticket, weights=masking.apply(ticket.rewind, ticket.masks))
