"""Remakes: a ticket with what it inherited exchanged in one respect, its weights as they are now.

The controls of `pruning.controls` set a ticket back to its rewind values; a study asks of the
*inherited* weights what they are worth, so here the weights as they are take that place.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Generator

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.config import pick
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.pruning.controls import CONTROLS, control
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket

Draw = Callable[[Architecture, Generator], Weights]
Remade = Callable[[Ticket, Weights, Generator], Weights]  # (ticket, fresh values, draws) -> weights


def remake(kind: str, ticket: Ticket, generator: Generator, scheme: str) -> Ticket:
    """The ticket remade; its rewind values stay what they were.

    Raises `InputError` where the kind is unknown, or the ticket leaves nothing to exchange.
    """
    if kind in CONTROLS:
        return _as_control(kind, ticket, generator, scheme)
    make = pick(REMAKES, kind, "remake")
    values = fresh(ticket.architecture, generator, scheme)
    weights = masking.apply(make(ticket, values, generator), ticket.masks)
    if all(torch.equal(weights[name], ticket.weights[name]) for name in weights):
        raise InputError(f"remake {kind} changes nothing here: leave it out, or do it elsewhere")
    return replace(ticket, weights=weights, parent=ticket.digest)


def _as_control(kind: str, ticket: Ticket, generator: Generator, scheme: str) -> Ticket:
    """A control of the ticket as if its weights now were those it is rewound to."""

    def draw(architecture: Architecture, generator: Generator) -> Weights:
        return fresh(architecture, generator, scheme)

    found = control(kind, replace(ticket, rewind=ticket.weights), draw, generator)
    return found if found.architecture != ticket.architecture else replace(
        found, rewind=ticket.rewind
    )  # fmt: skip


def rescaled(ticket: Ticket, values: Weights, generator: Generator) -> Weights:
    """Inherited directions, each layer as long as a fresh one is under the same mask.

    Training makes weights grow, which slows learning by itself (Lyle et al. 2024, arXiv
    2402.18762); biases and norms stay.
    """
    weights = dict(ticket.weights)
    for name, mask in ticket.masks.items():
        wanted, now = (values[name] * mask).norm(), ticket.weights[name].norm()
        weights[name] = ticket.weights[name] * (wanted / now if now > 0 else 1.0)
    return weights


def reinit_keep_skeleton(ticket: Ticket, values: Weights, generator: Generator) -> Weights:
    """Fresh weights but for the identities that growth put in: the diagonal alone.

    If these learn as well as the whole ticket, it was not the inherited weights that did it.
    """
    weights = dict(values)
    for name, bones in ticket.skeleton.items():
        weights[name] = torch.where(bones, ticket.weights[name], values[name])
    return weights


def noise_skeleton(ticket: Ticket, values: Weights, generator: Generator) -> Weights:
    """Inherited weights, with fresh ones where growth had put identities."""
    weights = dict(ticket.weights)
    for name, bones in ticket.skeleton.items():
        weights[name] = torch.where(bones, values[name], ticket.weights[name])
    return weights


REMAKES: Mapping[str, Remade] = MappingProxyType(
    {
        "rescaled": rescaled,
        "reinit_keep_skeleton": reinit_keep_skeleton,
        "noise_skeleton": noise_skeleton,
    }
)
KINDS: tuple[str, ...] = (*CONTROLS, *REMAKES)
