"""Remakes: a ticket with what it inherited exchanged in one respect, its weights as they are now.

The controls of `pruning.controls` set a ticket back to its rewind values; a study asks of the
*inherited* weights what they are worth, so here the weights as they are take that place.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.config import pick
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.pruning.controls import CONTROLS, control
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket

Draw = Callable[[Architecture, Generator], Weights]
Remade = Callable[[Ticket, Weights, Generator], Ticket]  # (ticket, fresh values, draws) -> remade


def remake(kind: str, ticket: Ticket, generator: Generator, scheme: str) -> Ticket:
    """The ticket remade; its rewind values stay what they were.

    Raises `InputError` where the kind is unknown, or the ticket leaves nothing to exchange.
    """
    pick(dict.fromkeys(KINDS), kind, "remake")
    if kind not in REMAKES:
        return _as_control(kind, ticket, generator, scheme)
    values = fresh(ticket.architecture, generator, scheme)
    made = REMAKES[kind](ticket, values, generator)
    if all(torch.equal(made.weights[name], ticket.weights[name]) for name in made.weights):
        raise InputError(f"remake {kind} changes nothing here: leave it out, or do it elsewhere")
    return replace(made, parent=ticket.digest)


def _as_control(kind: str, ticket: Ticket, generator: Generator, scheme: str) -> Ticket:
    """A control of the ticket as if its weights now were those it is rewound to."""

    def draw(architecture: Architecture, generator: Generator) -> Weights:
        return fresh(architecture, generator, scheme)

    found = control(kind, replace(ticket, rewind=ticket.weights), draw, generator)
    is_reshaped = found.architecture != ticket.architecture
    rewind = found.rewind if is_reshaped else ticket.rewind
    return replace(found, rewind=rewind, parent=ticket.digest)


def shuffled_mask(ticket: Ticket, values: Weights, generator: Generator) -> Ticket:
    """The remaining weights at other places of their layer, drawn together with the mask.

    Under another mask alone most of what it uncovers would be zeros: pruned weights are gone.
    Biases and norms stay.
    """
    if all(bool(mask.all()) for mask in ticket.masks.values()):
        raise InputError("remake shuffled_mask needs a pruned ticket: prune it before")
    orders = {n: torch.randperm(m.numel(), generator=generator) for n, m in ticket.masks.items()}

    def moved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: tensor.flatten()[orders[name]].view(tensor.shape) if name in orders else tensor
            for name, tensor in tensors.items()
        }

    return replace(
        ticket,
        weights=moved(ticket.weights),
        masks=moved(ticket.masks),
        births=moved(ticket.births),
        skeleton=moved(ticket.skeleton),
    )


def signs(ticket: Ticket, values: Weights, generator: Generator) -> Ticket:
    """The signs of the remaining weights, all of a layer as large as their root mean square.

    So each layer stays as long as it was. Zhou et al. (2019, arXiv 1905.01067) take the deviation
    of the whole layer, in which the zeros of an inherited one would count.
    """
    weights = dict(ticket.weights)
    for name, mask in ticket.masks.items():
        size = weights[name].square().sum() / mask.sum().clamp(min=1)  # 0 where nothing remains
        weights[name] = weights[name].sign() * size.sqrt()
    return replace(ticket, weights=weights)


def rescaled(ticket: Ticket, values: Weights, generator: Generator) -> Ticket:
    """Inherited directions, each layer as long as a fresh one is under the same mask.

    Training makes weights grow, which slows learning by itself (Lyle et al. 2024, arXiv
    2402.18762); biases and norms stay.
    """
    weights = dict(ticket.weights)
    for name, mask in ticket.masks.items():
        wanted, now = (values[name] * mask).norm(), ticket.weights[name].norm()
        weights[name] = ticket.weights[name] * (wanted / now if now > 0 else 1.0)
    return replace(ticket, weights=weights)


def reinit_keep_skeleton(ticket: Ticket, values: Weights, generator: Generator) -> Ticket:
    """Fresh weights but for the identities that growth put in: the diagonal alone.

    If these learn as well as the whole ticket, it was not the inherited weights that did it.
    """
    weights = dict(values)
    for name, bones in _skeleton(ticket).items():
        weights[name] = torch.where(bones, ticket.weights[name], values[name])
    return replace(ticket, weights=masking.apply(weights, ticket.masks))


def noise_skeleton(ticket: Ticket, values: Weights, generator: Generator) -> Ticket:
    """Inherited weights, with fresh ones where growth had put identities."""
    weights = dict(ticket.weights)
    for name, bones in _skeleton(ticket).items():
        weights[name] = torch.where(bones, values[name], ticket.weights[name])
    return replace(ticket, weights=masking.apply(weights, ticket.masks))


def _skeleton(ticket: Ticket) -> Mapping[str, Tensor]:
    """Where growth put identities. Raises `InputError` where none of it remains."""
    if not any(bool((b & ticket.masks[name]).any()) for name, b in ticket.skeleton.items()):
        raise InputError(
            "the ticket has no skeleton: grow it before with initialisation=identity, or use "
            "remake reinit"
        )
    return ticket.skeleton


REMAKES: Mapping[str, Remade] = MappingProxyType(
    {
        "shuffled_mask": shuffled_mask,
        "signs": signs,
        "rescaled": rescaled,
        "reinit_keep_skeleton": reinit_keep_skeleton,
        "noise_skeleton": noise_skeleton,
    }
)
KINDS: tuple[str, ...] = tuple(dict.fromkeys((*CONTROLS, *REMAKES)))
