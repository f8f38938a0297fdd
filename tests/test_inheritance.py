"""Inheritance: what a growth may and may not touch of what was there."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from changes import row_ancestors
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS, architectures
from test_grow import BIRTHS, CELLS, SMALL, can_pay, lived_in, places, sprout_of
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.masks_of_new import BUDGETED, MASKS_OF_NEW
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited, transplant

pytestmark = pytest.mark.usefixtures("few_ascents")


def moved(tensors: Mapping[str, Tensor], change: Morph, name: str) -> Tensor:
    """One tensor after a growth, where it is inherited, and 0 elsewhere."""
    nothing = torch.zeros(change.after.shape(name), dtype=tensors[name].dtype)
    return transplant(tensors, change, {name: nothing})[name]


def is_divided(change: Morph, name: str) -> bool:
    """True iff units that are read have several heirs."""
    sources = row_ancestors(change, name, 1)
    return len(set(sources)) < len(sources)


def together(tensor: Tensor, change: Morph, name: str) -> Tensor:
    """What the copies along the input axis send on together, for the first of each unit made.

    In float64, in which sums of float32 of one binade are exact.
    """
    sources = torch.tensor(row_ancestors(change, name, 1))
    shape = (tensor.shape[0], change.before.shape(name)[1], *tensor.shape[2:])
    summed = torch.zeros(shape, dtype=torch.float64).index_add(1, sources, tensor.double())
    return summed[: change.before.shape(name)[0]].to(tensor.dtype)


def variance_factor(change: Morph, name: str) -> float:
    """What variance transfer multiplies old entries with: sqrt(old / new fan-in) where they read.

    The same for the bias of such a layer and the running mean of a norm that alone reads it, and
    the square for the running variance.
    """
    layer, _, part = name.rpartition(".")
    reader = layer
    if change.after.layers[layer].operation == "batchnorm":
        if part in {"weight", "bias"}:
            return 1.0
        (reader,) = change.after.layers[layer].inputs
    elif part == "bias":
        readers = [n for n, other in change.after.layers.items() if layer in other.inputs]
        if [change.after.layers[n].operation for n in readers] != ["batchnorm"]:
            return 1.0
    weight = f"{reader}.weight"
    if weight not in change.after.prunable:
        return 1.0
    fan_ins = [architecture.shape(weight)[1] for architecture in (change.before, change.after)]
    return math.sqrt(fan_ins[0] / fan_ins[1]) ** (2 if part == "running_var" else 1)


def check_inheritance(ticket: Ticket, sprout: Sprout, mask: str) -> None:
    """All laws of what a growth may and may not touch: what was there is moved, and no more.

    Re-wiring alone revives and drops. Weights that leave split units are divided, and sum to what
    they were; variance transfer multiplies those that read the width.
    """
    grown, change = sprout.ticket, sprout.morph
    operator, birth_name = sprout.step.operator, sprout.step.initialisation
    heirs = inherited(change)
    for name in change.before.tensors:
        is_old = heirs[name]
        masks = moved(ticket.masks, change, name) if name in ticket.masks else is_old
        mask_after = grown.masks.get(name, torch.ones_like(is_old))
        revived, dropped = is_old & mask_after & ~masks, is_old & masks & ~mask_after
        assert operator == "rewire" or not bool(revived.any())
        assert mask in BUDGETED or birth_name in {"rigl", "set"} or not bool(dropped.any())
        stays = is_old & ~revived
        if name in ticket.births:
            births = moved(ticket.births, change, name)
            assert torch.equal(grown.births[name], torch.where(stays, births, 3))
        rewound, weights = (moved(group, change, name) for group in (ticket.rewind, ticket.weights))
        if operator == "split" and name in change.after.prunable and is_divided(change, name):
            assert torch.equal(together(grown.rewind[name], change, name), ticket.rewind[name])
            if mask not in BUDGETED:
                assert torch.equal(
                    together(grown.weights[name], change, name), ticket.weights[name]
                )
            continue
        if birth_name == "variance_transfer":
            factor = variance_factor(change, name)
            for found, old in ((grown.rewind, rewound), (grown.weights, weights * mask_after)):
                torch.testing.assert_close(found[name][stays], factor * old[stays])
            continue
        assert torch.equal(grown.rewind[name][stays], rewound[stays])
        assert torch.equal(grown.weights[name][stays], (weights * mask_after)[stays])
    for name in set(change.after.prunable) - set(ticket.masks):
        assert bool((grown.births[name] == 3).all())
    assert grown.parent == ticket.digest


@pytest.mark.parametrize(("operator", "initialisation", "mask"), CELLS)
@pytest.mark.parametrize("network", SMALL)
def test_inheritance(network: str, operator: str, initialisation: str, mask: str) -> None:
    """Old weights, rewind values, masks and births are as they were; new ones are born now."""
    ticket = lived_in(SMALL[network], 1)
    digest = ticket.digest
    for place in places(SMALL[network], operator)[::5]:
        step = GrowthStep(operator, place, 0.4, initialisation, mask)
        check_inheritance(ticket, sprout_of(ticket, step), mask)
    assert replace(ticket).digest == digest


@settings(max_examples=50)
@given(architectures(), st.sampled_from(BIRTHS), st.sampled_from(list(MASKS_OF_NEW)), SEEDS)
def test_inheritance_in_random_architectures(
    architecture: Architecture, born: tuple[str, str], mask: str, seed: int
) -> None:
    """The same, wherever the operator can act; a budget too small for the new is refused."""
    operator, initialisation = born
    ticket = lived_in(architecture, seed)
    for place in places(architecture, operator):
        step = GrowthStep(operator, place, 0.4, initialisation, mask)
        if can_pay(ticket, step):
            check_inheritance(ticket, sprout_of(ticket, step, seed), mask)
        else:
            with pytest.raises(InputError, match="costs more than the ticket has"):
                sprout_of(ticket, step, seed)
