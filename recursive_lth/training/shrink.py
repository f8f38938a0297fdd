"""Shrink and perturb: keep a network young by moving it towards a fresh one."""

from dataclasses import replace

from torch import Generator

from recursive_lth.architecture.layer import WEIGHTED
from recursive_lth.growth.fresh import fresh
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket


def shrink_perturb(
    ticket: Ticket, shrink: float, perturb: float, generator: Generator, scheme: str
) -> Ticket:
    """The ticket with weights `shrink * w + perturb * fresh` in its linear and convolution layers.

    Ash & Adams (2020, arXiv 1910.08475, equation 1) add Gaussian noise; here the noise is a fresh
    initialisation, so that its scale fits each layer. Norms are left alone and masks hold.
    """
    if shrink == 1 and perturb == 0:
        return ticket
    noise = fresh(ticket.architecture, generator, scheme)
    layers = ticket.architecture.layers
    moved = {
        name: shrink * tensor + perturb * noise[name]
        if layers[name.rpartition(".")[0]].operation in WEIGHTED
        else tensor
        for name, tensor in ticket.weights.items()
    }
    return replace(ticket, weights=masking.apply(moved, ticket.masks))
