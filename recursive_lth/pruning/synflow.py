"""SynFlow: how much flow from input to logits a weight carries, without any data."""

from dataclasses import replace

import torch

from recursive_lth.architecture.network import network
from recursive_lth.pruning.evidence import Evidence, Scores
from recursive_lth.ticket.reading import Read
from recursive_lth.ticket.ticket import Ticket


def synflow(ticket: Ticket, evidence: Evidence) -> Scores:
    """|dR/dw * w| with R the sum of the logits (Tanaka et al. 2020, arXiv 2006.05467).

    The network runs in float64 on one input of ones, in evaluation mode, with every tensor replaced
    by its absolute value, also what fills pruned places. Their code runs in float32, in which R
    overflows in deep networks and underflows after pruning. Scores of a layer sum up to R where
    nothing is added on the way, so pruned in many rounds (100, as they do) no layer is emptied long
    before the others. In a basis it is the coefficients that are made positive; the weights read
    from them need not be, and the sums of layers may differ.
    """
    architecture = ticket.architecture
    live = {n: t.double().abs() for n, t in ticket.weights.items()}
    names = list(architecture.prunable)
    leaves = [live[name].requires_grad_() for name in names]
    ones = torch.ones(1, *architecture.shapes[architecture.input], dtype=torch.float64)
    logits, _ = network(architecture)(_positive_reading(ticket)(live), ones)
    flows = torch.autograd.grad(logits.sum(), leaves)
    return {
        n: (flow * leaf.detach()).abs() for n, flow, leaf in zip(names, flows, leaves, strict=True)
    }


def _positive_reading(ticket: Ticket) -> Read:
    """The ticket's reading with what fills pruned places made positive."""
    if not ticket.is_filled:
        return ticket.reading()
    return replace(ticket, rewind={n: t.abs() for n, t in ticket.rewind.items()}).reading()
