"""One growth of a ticket: morph, birth, transplant of all it holds, and the certificate."""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from recursive_lth.architecture.network import Weights
from recursive_lth.config import GrowthStep, pick
from recursive_lth.growth.certificate import Certificate, enforce, largest_change
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.initialise import is_preserving, resolve
from recursive_lth.growth.masks_of_new import BUDGETED, MASKS_OF_NEW, pay
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import NEW, Morph
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import transplant


@dataclass(frozen=True)
class Sprout:
    """A grown ticket, not yet trained, with the morph that led to it and its certificate."""

    ticket: Ticket
    morph: Morph
    step: GrowthStep  # with the initialisation's own name
    certificate: Certificate


def seed_ticket(morph: Morph, generator: Generator, scheme: str) -> Ticket:
    """The first ticket of an architecture: everything new, dense, born in generation 0."""
    architecture = morph.after
    values = transplant({}, morph, fresh(architecture, generator, scheme))
    return Ticket(
        architecture,
        weights=values,
        rewind=values,
        masks=transplant({}, morph, masking.dense(architecture)),
        births=transplant({}, morph, _born_in(morph, 0)),
    )


def grow(
    ticket: Ticket,
    step: GrowthStep,
    inputs: Tensor,
    *,
    generation: int,
    generator: Generator,
    scheme: str = "kaiming_normal",
) -> Sprout:
    """The ticket grown by one step, everything it holds transplanted, new layers `g<generation>`.

    `inputs` are real samples for the certificate. Raises `InputError` where a name is unknown, the
    network has no such place, or a growth that claims to preserve the function does not.
    """
    operator = pick(OPERATORS, step.operator, "operator")
    mask_of_new = pick(MASKS_OF_NEW, step.mask, "mask of new weights")
    name, initialise = resolve(step.operator, step.initialisation)
    change = operator(
        ticket.architecture, place=step.place, ratio=step.ratio, label=f"g{generation}"
    )
    born = initialise(change, fresh(change.after, generator, scheme))
    masks = mask_of_new(change, ticket.masks, born.skeleton, generator)
    values = transplant(ticket.weights, change, born.values)
    weights = masking.apply(values, masks)
    paid = (
        pay(change, weights, masks, masking.remaining(ticket.masks))
        if step.mask in BUDGETED
        else None
    )
    kept = masks if paid is None else paid
    grown = Ticket(
        change.after,
        weights=masking.apply(weights, kept),
        rewind=transplant(ticket.rewind, change, born.values),
        masks=kept,
        births=transplant(ticket.births, change, _born_in(change, generation)),
        parent=ticket.digest,
    )
    named = replace(step, initialisation=name)
    payment = None if paid is None else grown.weights
    return Sprout(grown, change, named, _certify(ticket, change, named, inputs, weights, payment))


def _certify(
    ticket: Ticket,
    change: Morph,
    step: GrowthStep,
    inputs: Tensor,
    weights: Weights,
    payment: Weights | None,
) -> Certificate:
    """The certificate of a growth, held to its claim; `payment` are the weights after paying."""

    def largest(grown: Weights, *, training: bool = False) -> float:
        before = (ticket.architecture, ticket.weights)
        return largest_change(before, (change.after, grown), inputs, training=training)

    certificate = Certificate(
        operator=step.operator,
        initialisation=step.initialisation,
        claims_exact=is_preserving(step.operator, step.initialisation),
        eval=largest(weights),
        train=largest(weights, training=True),
        after_budget=None if payment is None else largest(payment),
        samples=len(inputs),
    )
    enforce(certificate)
    return certificate


def describe(step: GrowthStep, morph: Morph) -> dict[str, object]:
    """A growth as the lineage records it: the step, new layers, and new units of each symbol."""
    new_units = {
        symbol: ancestry.units.count(NEW)
        for symbol, ancestry in morph.origin.items()
        if symbol in morph.after.widths and NEW in ancestry.units
    }
    changed = [layer for layer in morph.new_layers if f"{layer}.weight" in morph.after.tensors]
    return {
        "operator": step.operator,
        "place": step.place,
        "ratio": step.ratio,
        "initialisation": step.initialisation,
        "mask": step.mask,
        "where": next(iter(new_units), "") or (changed[0] if changed else ""),
        "new_layers": list(morph.new_layers),
        "new_units": new_units,
    }


def _born_in(morph: Morph, generation: int) -> dict[str, Tensor]:
    return {
        name: torch.full(morph.after.shape(name), generation, dtype=torch.int16)
        for name in morph.after.prunable
    }
