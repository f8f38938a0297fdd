"""Cutting single weights: score, select exactly, cut, in one step or in many small ones."""

from collections.abc import Iterable
from dataclasses import replace

from recursive_lth.pruning.evidence import Evidence, Score
from recursive_lth.pruning.schedule import Group
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import counts
from recursive_lth.ticket.ticket import Ticket


def prune(
    ticket: Ticket,
    score: Score,
    groups: Iterable[Group],
    evidence: Evidence,
    *,
    floor: int = 1,
    rounds: int = 1,
) -> Ticket:
    """The ticket with exactly `group.remove` fewer weights in each group, masks nested in the old.

    With `rounds` above 1 the ticket is scored anew on the way down, each group's remaining weights
    falling by a constant factor (Tanaka et al. 2020, arXiv 2006.05467, algorithm 1). Raises
    `InputError` where a score is NaN or a group cannot lose so many and keep `floor` weights in
    every layer.
    """
    groups = list(groups)
    kept = counts(ticket.masks)
    before = [sum(kept[name] for name in group.names) for group in groups]
    gone = [0] * len(groups)
    for number in range(1, rounds + 1):
        after = [
            round(n * ((n - group.remove) / n) ** (number / rounds)) if number < rounds else
            n - group.remove
            for n, group in zip(before, groups, strict=True)
        ]  # fmt: skip
        step = [n - left - lost for n, left, lost in zip(before, after, gone, strict=True)]
        if any(step):
            ticket = _cut(ticket, score, groups, step, evidence, floor)
            gone = [lost + more for lost, more in zip(gone, step, strict=True)]
    return ticket


def _cut(
    ticket: Ticket,
    score: Score,
    groups: list[Group],
    removals: list[int],
    evidence: Evidence,
    floor: int,
) -> Ticket:
    scores = score(ticket, evidence)
    masks = ticket.masks
    for group, remove in zip(groups, removals, strict=True):
        competing = {name: scores[name] for name in group.names}
        masks = masking.drop_lowest(masks, competing, remove, floor=floor)
    return replace(ticket, masks=masks, weights=masking.apply(ticket.weights, masks))
