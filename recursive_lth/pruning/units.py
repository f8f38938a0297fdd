"""Whole units: neurons, channels and residual streams, scored, selected and really removed."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Row
from recursive_lth.errors import InputError
from recursive_lth.pruning.evidence import Scores
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.morph import Ancestry, Morph, morph
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import transplant

LEAST = 1  # units that every symbol keeps


def unit_scores(architecture: Architecture, masks: Masks, scores: Scores) -> dict[str, Tensor]:
    """For each free width symbol one score for each unit, float64.

    It is the mean score of all remaining weights that vanish with the unit, in every tensor that
    runs over its symbol: incoming and outgoing ones, along the whole residual stream (after Li et
    al. 2017, arXiv 1608.08710, and Fang et al. 2023, arXiv 2301.12900). A unit without a remaining
    weight scores -inf. Molchanov et al. (2019) square a unit's sum; here weights are summed as
    their score has them.
    """
    sums = {s: torch.zeros(architecture.widths[s]).double() for s in architecture.free_symbols}
    weights = {s: torch.zeros(architecture.widths[s]).double() for s in architecture.free_symbols}
    for name in architecture.prunable:
        value = scores[name].double().masked_fill(~masks[name], 0)
        for dimension, row in enumerate(architecture.tensors[name]):
            values = _by_segment(value, dimension, row, architecture)
            counts = _by_segment(masks[name].double(), dimension, row, architecture)
            for axis, one, many in zip(row, values, counts, strict=True):
                if axis.symbol in sums:
                    sums[axis.symbol] += one
                    weights[axis.symbol] += many
    return {
        s: torch.where(weights[s] > 0, sums[s] / weights[s].clamp(min=1), -torch.inf) for s in sums
    }


def _by_segment(
    tensor: Tensor, dimension: int, row: Row, architecture: Architecture
) -> list[Tensor]:
    """For each segment of an axis the sum of all entries that belong to each of its units."""
    flat = tensor.movedim(dimension, 0).flatten(1).sum(1)
    sizes = [architecture.symbols[axis.symbol] * axis.repeat for axis in row]
    return [
        part.view(-1, axis.repeat).sum(1) for part, axis in zip(flat.split(sizes), row, strict=True)
    ]


def lowest_units(
    scores: Mapping[str, Tensor], remove: int | Mapping[str, int]
) -> dict[str, Tensor]:
    """For each symbol the units that stay, in order: all but those of lowest (score, place).

    `remove` is a number over all symbols, which then compete, or one for each. Every symbol keeps
    its best unit. Raises `InputError` where a score is NaN or so many cannot go.
    """
    for symbol, score in scores.items():
        if bool(score.isnan().any()):
            raise InputError(f"scores of {symbol} hold NaN: the training before has diverged")
    kept: dict[str, Tensor] = {}
    if isinstance(remove, Mapping):
        for symbol, score in scores.items():
            kept |= lowest_units({symbol: score}, remove[symbol])
        return kept
    free = {s: score.argsort(stable=True)[:-LEAST].sort().values for s, score in scores.items()}
    if not 0 <= remove <= sum(map(len, free.values())):
        raise InputError(
            f"cannot remove {remove} units: only {sum(map(len, free.values()))} may go while every "
            "width keeps one; raise the target"
        )
    values = torch.cat([scores[s][place] for s, place in free.items()])
    chosen = torch.zeros(len(values), dtype=torch.bool)
    chosen[values.argsort(stable=True)[:remove]] = True
    for (symbol, place), gone in zip(
        free.items(), chosen.split([len(p) for p in free.values()]), strict=True
    ):
        stays = torch.ones(len(scores[symbol]), dtype=torch.bool)
        stays[place[gone]] = False
        kept[symbol] = stays.nonzero().flatten()
    return kept


def remove_units(ticket: Ticket, kept: Mapping[str, Tensor]) -> tuple[Ticket, Morph]:
    """The ticket without the units that `kept` does not name, and the morph that it shrank by."""
    before = ticket.architecture
    origin = {s: Ancestry(s, tuple(int(u) for u in units)) for s, units in kept.items()}
    after = before.edit(widths={s: len(units) for s, units in kept.items()})
    change = morph(before, after, origin)
    return shrunk(ticket, change), change


def shrunk(ticket: Ticket, change: Morph) -> Ticket:
    """All that the ticket holds, moved through a morph that only removes."""
    return Ticket(
        change.after,
        weights=moved(ticket.weights, change),
        rewind=moved(ticket.rewind, change),
        masks=moved(ticket.masks, change),
        births=moved(ticket.births, change),
        parent=ticket.digest,
        skeleton=moved(ticket.skeleton, change),
        basis=ticket.basis,
        is_filled=ticket.is_filled,
    )


def moved(tensors: Mapping[str, Tensor], change: Morph) -> dict[str, Tensor]:
    """Tensors of any kind through a morph that only removes units."""
    new = {n: torch.empty(change.after.shape(n), dtype=t.dtype) for n, t in tensors.items()}
    return transplant(tensors, change, new)
