"""How much the mask that magnitude pruning would draw changes between two moments."""

from dataclasses import dataclass

import torch

from recursive_lth.architecture.cost import size
from recursive_lth.config import Pruning
from recursive_lth.pruning.early_bird import mask_distance
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.pruning.magnitude import magnitude
from recursive_lth.pruning.overlap import TOTAL, overlap
from recursive_lth.pruning.prune import prune
from recursive_lth.pruning.schedule import toward
from recursive_lth.ticket.masks import Masks, remaining
from recursive_lth.ticket.ticket import Ticket


@dataclass(frozen=True)
class Drift:
    """How two masks differ: `hamming` places over kept weights, in [0, 2], and their `jaccard`.

    `jaccard` is shared over united weights, in [0, 1].
    """

    hamming: float
    jaccard: float


def mask_drift(earlier: Ticket, later: Ticket, density: float) -> Drift | None:
    """How far apart the masks are that magnitude pruning would draw of one network at two moments.

    `density` is the share that remains of all of the architecture's weights; None where a ticket
    has no more than that, so that there is nothing to draw. The distance is `pruning.early_bird`'s,
    after You et al. (2020, arXiv 1909.11957), the overlap `pruning.overlap`'s. Costs a ranking of
    the weights. Raises `InputError` where the tickets have not one shape.
    """
    masks = [drawn(ticket, density) for ticket in (earlier, later)]
    if masks[0] is None or masks[1] is None:
        return None
    both = overlap([masks[0], masks[1]])[TOTAL]
    return Drift(mask_distance(masks[0], masks[1]), both.jaccard)


def drawn(ticket: Ticket, density: float) -> Masks | None:
    """The masks after one cut by magnitude, all layers competing, to round(density * weights).

    Nested in the ticket's own; None where it has no more weights than that.
    """
    architecture = ticket.architecture
    keep = round(density * sum(size(architecture, name) for name in architecture.prunable))
    if keep >= remaining(ticket.masks):
        return None
    pruning = Pruning(scope="global")
    evidence = Evidence(torch.Generator())  # magnitude draws nothing
    groups = toward(ticket, pruning, keep)
    return prune(ticket, magnitude, groups, evidence, floor=pruning.layer_floor).masks
