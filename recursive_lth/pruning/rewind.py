"""Rewinding: what a cut ticket's weights are set back to, and what stands where it was cut."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import reduce
from operator import and_

import torch
from torch import Tensor

from recursive_lth.architecture.layer import WEIGHTED
from recursive_lth.errors import InputError
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket


def rewind(
    ticket: Ticket,
    *,
    restore: str = "weights",
    pruned: str = "zero",
    trained: Mapping[str, Tensor] | None = None,
) -> Ticket:
    """The ticket with its remaining weights set back to their rewind values, statistics too.

    What those are was decided when they were kept: step 0 or step k of the first training, and for
    weights grown later the same step after their birth (Frankle et al. 2020, arXiv 1912.05671).
    `restore` "signs" gives each weight the sign of its rewind value and the deviation of its
    layer's (Zhou et al. 2019, arXiv 1905.01067); "learning_rate" leaves the weights alone (Renda et
    al. 2020, arXiv 2003.02389).

    `pruned` is Zhou's mask-0 action: "zero" (a ticket that is filled stays so), "initial" (pruned
    weights are frozen at their rewind value), or "initial_if_grown": frozen there unless training
    had moved them towards 0, and then 0, which becomes their rewind value. That one needs
    `trained`, the weights before the cut. Raises `InputError` where those lack or do not fit.
    """
    if restore == "signs":
        ticket = replace(ticket, weights=masking.apply(sign_weights(ticket), ticket.masks))
    elif restore == "weights":
        ticket = replace(ticket, weights=masking.apply(ticket.rewind, ticket.masks))
    if pruned == "zero":
        return ticket
    if pruned == "initial_if_grown":
        ticket = replace(ticket, rewind=_fillings(ticket, trained))
    return replace(ticket, is_filled=True)


def sign_weights(ticket: Ticket) -> dict[str, Tensor]:
    """The rewind values, each prunable one replaced by its sign times the layer's deviation.

    The deviation is the whole layer's, pruned weights and mean included, as in Zhou's code.
    """
    names = set(ticket.architecture.prunable)
    return {
        name: t.sign() * t.std(correction=0) if name in names else t
        for name, t in ticket.rewind.items()
    }


def _fillings(ticket: Ticket, trained: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Rewind values that are 0 where a weight just pruned had moved towards 0.

    A weight cut at an earlier level is 0 in `trained` and keeps what was decided then.
    """
    if trained is None:
        raise InputError("pruned=initial_if_grown needs the weights before the cut: give trained")
    values = dict(ticket.rewind)
    for name, mask in ticket.masks.items():
        if trained[name].shape != mask.shape:
            raise InputError(
                f"trained/{name} must have shape {tuple(mask.shape)}, "
                f"got {tuple(trained[name].shape)}: removed units leave no places to fill"
            )
        fell = ~mask & (trained[name] != 0) & (trained[name].abs() < values[name].abs())
        values[name] = values[name].masked_fill(fell, 0)
    return values


def rewind_newborn(
    ticket: Ticket,
    kept: Mapping[str, Tensor],
    generation: int,
    *,
    new_layers: Collection[str] = (),
) -> Ticket:
    """The ticket whose rewind values, of all that was born in a generation, are those `kept`.

    So a grown ticket rewinds each weight to the k-th step after its own birth. Births are those of
    weights; what else a unit has is as old as its incoming weights: new iff all of them are, its
    bias by its own layer's, its norm by those of every layer that feeds the norm. All of
    `new_layers` is new: a norm at the head of a new block reads old units. A weight that is pruned
    did not train and keeps the value of its birth, as does what an old norm has for an old stream
    that a growth has joined to its input.
    """
    newborn = _new_units(ticket, generation)
    values = {}
    for name, old in ticket.rewind.items():
        if name in ticket.births:
            is_new = (ticket.births[name] == generation) & ticket.masks[name]
        else:
            layer = name.rpartition(".")[0]
            is_new = newborn[layer] | (layer in new_layers)
        values[name] = torch.where(is_new, kept[name], old)
    return replace(ticket, rewind=values)


def _new_units(ticket: Ticket, generation: int) -> dict[str, Tensor]:
    """For each layer a bool tensor over the units that leave it: born in this generation?

    Not asked of width symbols: a new block on an old residual stream has units of the old symbol.
    """
    architecture = ticket.architecture
    found: dict[str, Tensor] = {}
    for name in architecture.order:
        layer = architecture.layers[name]
        if layer.operation in WEIGHTED:
            births = ticket.births[f"{name}.weight"]
            found[name] = (births == generation).flatten(1).all(1)
        elif layer.operation == "concat":
            found[name] = torch.cat([found[source] for source in layer.inputs])
        elif layer.inputs:
            units = reduce(and_, (found[source] for source in layer.inputs))
            found[name] = units.repeat_interleave(architecture.shapes[name][0] // len(units))
        else:
            found[name] = torch.zeros(architecture.widths[layer.width], dtype=torch.bool)
    return found
