"""What a lineage line says of the ticket itself, and of the growth that led to it."""

from typing import Any

import torch

from recursive_lth.growth.grow import Sprout, describe
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import counts
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import transplant


def describe_ticket(ticket: Ticket) -> dict[str, Any]:
    """Digests, depth, widths, costs, and weights layer by layer."""
    architecture, cost = ticket.architecture, ticket.cost
    remaining = counts(ticket.masks)
    return {
        "digest": ticket.digest,
        "parent": ticket.parent,
        "depth": architecture.depth,
        "widths": {symbol: architecture.widths[symbol] for symbol in architecture.free_symbols},
        "parameters": cost.parameters,
        "remaining_parameters": cost.remaining_parameters,
        "weights": cost.weights,
        "remaining_weights": cost.remaining_weights,
        "density": cost.density,
        "multiply_adds": cost.multiply_adds,
        "remaining_multiply_adds": cost.remaining_multiply_adds,
        "layers": {
            name.removesuffix(".weight"): {
                "weights": ticket.masks[name].numel(),
                "remaining": remaining[name],
            }
            for name in architecture.prunable
        },
        "architecture": architecture.to_dict(),
        "survivors": count_survivors(ticket),
    }


def count_survivors(ticket: Ticket) -> dict[str, int]:
    """How many of a ticket's remaining weights were born in each generation, oldest first.

    Copies of a weight count as born with it. Generations of which nothing remains are left out; the
    numbers are texts, as keys of JSON are.
    """
    found: dict[int, int] = {}
    for name, mask in ticket.masks.items():
        births, numbers = torch.unique(ticket.births[name][mask], return_counts=True)
        for birth, number in zip(births.tolist(), numbers.tolist(), strict=True):
            found[birth] = found.get(birth, 0) + number
    return {str(birth): found[birth] for birth in sorted(found)}


def describe_growth(parent: Ticket, sprout: Sprout, generation: int) -> dict[str, Any]:
    """A growth with the weights that came by it, returned ones too, and that left to pay for it.

    `born_weights` and `left_weights` are counted before any training.
    """
    masks = sprout.ticket.masks
    inherited = transplant(parent.masks, sprout.morph, masking.none(masks))
    return describe(sprout.step, sprout.morph) | {
        "born_weights": count_survivors(sprout.ticket).get(str(generation), 0),
        "left_weights": sum(int((inherited[n] & ~mask).sum()) for n, mask in masks.items()),
    }
