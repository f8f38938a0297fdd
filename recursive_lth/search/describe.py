"""What a lineage line says of the ticket itself."""

from typing import Any

from recursive_lth.ticket.masks import counts
from recursive_lth.ticket.ticket import Ticket


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
    }
