"""Controls: networks that differ from a ticket in one respect, to show what that respect does.

A control is made from a ticket that is ready to train: its weights are its masked rewind values.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from recursive_lth.architecture.cost import cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.config import pick
from recursive_lth.errors import InputError
from recursive_lth.pruning.rewind import rewind
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.ticket import Ticket

Draw = Callable[[Architecture, Generator], Weights]  # fresh initial values of every tensor
Control = Callable[[Ticket, Draw, Generator], Ticket]


def reinit(ticket: Ticket, draw: Draw, generator: Generator) -> Ticket:
    """The same mask on fresh values of every tensor (Frankle & Carbin 2019, arXiv 1803.03635).

    Where pruned places are filled, those that the ticket fills with 0 stay 0.
    """
    values = draw(ticket.architecture, generator)
    if ticket.is_filled:
        empty = {n: ~mask & (ticket.rewind[n] == 0) for n, mask in ticket.masks.items()}
        values = {n: t.masked_fill(empty[n], 0) if n in empty else t for n, t in values.items()}
    return replace(ticket, weights=masking.apply(values, ticket.masks), rewind=values)


def shuffled_mask(ticket: Ticket, draw: Draw, generator: Generator) -> Ticket:
    """The same initial weights under a mask permuted within each layer; biases and norms as well.

    Of `pruned=initial_if_grown` it also uncovers the zeros that fill the ticket's pruned places.
    """
    masks = {name: _permuted(mask, generator) for name, mask in ticket.masks.items()}
    return replace(ticket, masks=masks, weights=masking.apply(ticket.rewind, masks))


def shuffled_weights(ticket: Ticket, draw: Draw, generator: Generator) -> Ticket:
    """The same mask, the remaining initial weights permuted among its places in each layer.

    Biases and norms are the ticket's (Zhou et al. 2019, arXiv 1905.01067, "random reshuffle").
    """
    values = dict(ticket.rewind)
    for name, mask in ticket.masks.items():
        values[name] = values[name].clone()
        values[name][mask] = _permuted(values[name][mask], generator)
    return replace(ticket, weights=masking.apply(values, ticket.masks), rewind=values)


def signs(ticket: Ticket, draw: Draw, generator: Generator) -> Ticket:
    """The same mask and signs, each weight as large as its layer's deviation (Zhou et al. 2019).

    Biases and norms are the ticket's; what fills pruned places is, too.
    """
    signed = rewind(ticket, restore="signs").weights
    values = {n: torch.where(mask, signed[n], ticket.rewind[n]) for n, mask in ticket.masks.items()}
    return replace(ticket, weights=signed, rewind={**ticket.rewind, **values})


def dense(ticket: Ticket, draw: Draw, generator: Generator) -> Ticket:
    """The whole network with the same initial weights: nothing is pruned."""
    whole = masking.dense(ticket.architecture)
    return replace(ticket, masks=whole, weights=dict(ticket.rewind), is_filled=False)


def small_dense(ticket: Ticket, draw: Draw, generator: Generator) -> Ticket:
    """A dense network of the same depth, narrower, that costs no more multiply-adds; fresh weights.

    Every free width is scaled by one factor, the largest that fits (Liu et al. 2019, arXiv
    1810.05270, ask whether the architecture is all that pruning finds).
    """
    small = scaled_to(ticket.architecture, ticket.cost.remaining_multiply_adds)
    values = draw(small, generator)
    births = {n: torch.zeros(small.shape(n), dtype=torch.int16) for n in small.prunable}
    whole = masking.dense(small)
    return replace(
        ticket,
        architecture=small,
        weights=values,
        rewind=values,
        masks=whole,
        births=births,
        skeleton={},
        is_filled=False,
    )


def scaled_to(architecture: Architecture, multiply_adds: int) -> Architecture:
    """The architecture with its free widths scaled by the largest factor of at most so much cost.

    Widths are rounded down and at least 1; where even those cost more, they stay 1.
    """
    free = {symbol: architecture.widths[symbol] for symbol in architecture.free_symbols}

    def at(factor: Fraction) -> Architecture:
        return architecture.edit(widths={s: max(1, int(n * factor)) for s, n in free.items()})

    grows = {Fraction(k, n) for n in free.values() for k in range(1, n + 1)}  # where a width does
    factors = sorted({Fraction(0), *grows})
    low, high = 0, len(factors) - 1
    while low < high:  # the last factor that fits: cost never falls as it grows
        middle = (low + high + 1) // 2
        fits = cost(at(factors[middle])).multiply_adds <= multiply_adds
        low, high = (middle, high) if fits else (low, middle - 1)
    return at(factors[low])


def steps_at_equal_cost(ticket: Ticket, rival: Ticket, steps: int) -> int:
    """The steps, at least 1, in which a rival costs as much as the ticket does in `steps`."""
    yours = max(1, rival.cost.remaining_multiply_adds)
    return max(1, round(steps * ticket.cost.remaining_multiply_adds / yours))


def control(name: str, ticket: Ticket, draw: Draw, generator: Generator) -> Ticket:
    """A control by name, made sure to be one: it differs from the ticket and keeps its counts.

    Its parent is the ticket. Raises `InputError` where the name is unknown or the ticket leaves
    nothing to differ in: a dense network has no other mask, equal weights no other order.
    """
    make = pick(CONTROLS, name, "control")
    found = make(ticket, draw, generator)
    if name not in RESHAPED:
        _check_masks(name, found.masks, ticket.masks)
    if found.architecture == ticket.architecture and _is_same(found, ticket):
        raise InputError(
            f"control {name} does not differ from the ticket, which can be changed in no such way: "
            "leave it out here"
        )
    return replace(found, parent=ticket.digest, provenance={"control": name})


def _check_masks(name: str, found: Masks, old: Masks) -> None:
    """Every layer keeps its count; and its mask, unless the control shuffles it and it can move."""
    for layer, mask in old.items():
        kept = int(mask.sum())
        if int(found[layer].sum()) != kept:
            raise InputError(f"control {name} must keep {kept} weights of {layer}")
        must_move = name in SHUFFLES_MASKS and 0 < kept < mask.numel()
        if torch.equal(found[layer], mask) == must_move:
            raise InputError(
                f"control {name} must {'' if must_move else 'not '}move {layer}'s mask"
            )


def _is_same(one: Ticket, other: Ticket) -> bool:
    """True iff masks are the same, and the weights that the networks run on."""
    names = one.architecture.prunable
    here, there = one.readable(), other.readable()
    return all(
        torch.equal(one.masks[n], other.masks[n]) and torch.equal(here[n], there[n]) for n in names
    )


def _permuted(tensor: Tensor, generator: Generator) -> Tensor:
    """The entries in another order: not the same tensor, wherever an order makes a difference."""
    flat = tensor.flatten()
    if len(flat) < 2 or bool((flat == flat[0]).all()):
        return tensor
    mixed = flat
    while torch.equal(mixed, flat):
        mixed = flat[torch.randperm(len(flat), generator=generator)]
    return mixed.view(tensor.shape)


SHUFFLES_MASKS = frozenset({"shuffled_mask"})
RESHAPED = frozenset({"dense", "small_dense"})
FRESH = frozenset({"reinit", "small_dense"})  # have no weights of the ticket's
CONTROLS: Mapping[str, Control] = MappingProxyType(
    {
        "reinit": reinit,
        "shuffled_mask": shuffled_mask,
        "shuffled_weights": shuffled_weights,
        "signs": signs,
        "dense": dense,
        "small_dense": small_dense,
    }
)
