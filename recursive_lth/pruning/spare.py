"""Sparing: weights that are pruned only once no other is left."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.config import Pruning
from recursive_lth.pruning.evidence import Evidence, Score, Scores
from recursive_lth.ticket.ticket import Ticket


def spared(ticket: Ticket, pruning: Pruning, generation: int) -> dict[str, Tensor]:
    """For each prunable weight a bool tensor: is it spared in this generation?

    Under `pruning.quarantine` n those born in the last n generations, this one included, save the
    start network's; under `spare_skeleton` those that make a grown layer the identity.
    """
    found = {}
    for name, born in ticket.births.items():
        is_young = (born > generation - pruning.quarantine) & (born > 0)
        bones = ticket.skeleton.get(name, torch.zeros_like(is_young))
        found[name] = is_young | bones if pruning.spare_skeleton else is_young
    return found


def sparing(score: Score, places: Mapping[str, Tensor]) -> Score:
    """The score's ranks, 0 for the lowest, with all spared places ranked above all others.

    Ranks are over all tensors together, ties by place, so that those that compete keep their order.
    """
    if not any(bool(place.any()) for place in places.values()):
        return score

    def ranked(ticket: Ticket, evidence: Evidence) -> Scores:
        found = score(ticket, evidence)
        names = list(found)
        flat = torch.cat([found[name].flatten() for name in names])
        ranks = torch.empty(len(flat), dtype=torch.float64)
        ranks[flat.argsort(stable=True)] = torch.arange(len(flat), dtype=torch.float64)
        ranks[flat.isnan().cpu()] = torch.nan
        parts = ranks.split([found[name].numel() for name in names])
        return {
            name: part.view(found[name].shape) + len(flat) * places[name].double()
            for name, part in zip(names, parts, strict=True)
        }

    return ranked
