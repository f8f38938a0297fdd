"""SynFlow: how much flow from input to logits a weight carries, without any data."""

import torch

from recursive_lth.architecture.network import network
from recursive_lth.pruning.evidence import Evidence, Scores
from recursive_lth.ticket.ticket import Ticket


def synflow(ticket: Ticket, evidence: Evidence) -> Scores:
    """|dR/dw * w| with R the sum of the logits (Tanaka et al. 2020, arXiv 2006.05467, equation 2).

    The network runs in float64 on one input of ones, in evaluation mode, with every tensor replaced
    by its absolute value. In float32 R overflows in deep networks and underflows after pruning.
    Scores of a layer sum up to R where nothing is added on the way, so that no layer can be emptied
    before the others (their theorem 1): prune in many rounds, 100 as they do. In a basis it is the
    coefficients whose absolute values are read.
    """
    architecture = ticket.architecture
    live = {n: t.double().abs() for n, t in ticket.weights.items()}
    names = list(architecture.prunable)
    leaves = [live[name].requires_grad_() for name in names]
    ones = torch.ones(1, *architecture.shapes[architecture.input], dtype=torch.float64)
    logits, _ = network(architecture)(ticket.reading()(live), ones)
    flows = torch.autograd.grad(logits.sum(), leaves)
    return {
        n: (flow * leaf.detach()).abs() for n, flow, leaf in zip(names, flows, leaves, strict=True)
    }
