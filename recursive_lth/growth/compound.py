"""Compound growths: several operators one after the other, certified as one."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Generator, Tensor

from recursive_lth.config import GrowthStep
from recursive_lth.growth.birth import Batch, Birth
from recursive_lth.growth.certificate import Stand, certify, stand_of
from recursive_lth.growth.grow import Sprout, grow, new_places
from recursive_lth.growth.masks_of_new import BUDGETED
from recursive_lth.growth.operators import COMPOUNDS
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import compose
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited, transplant


def grow_any(
    ticket: Ticket,
    step: GrowthStep,
    batch: Batch,
    *,
    generation: int,
    generator: Generator,
    scheme: str = "kaiming_normal",
    spared: Mapping[str, Tensor] | None = None,
    stand: Stand | None = None,
) -> Sprout:
    """What `grow` does, of one operator or of a compound of several.

    The parts of a compound grow one after the other at the same place and ratio, depth before
    width, each with its initialisation of the step's name or else its preserving one (Tan & Le
    2019, arXiv 1905.11946, scale depth and width together). It is one growth: one morph, one
    certificate from beginning to end, which claims to be exact where every part does.
    """
    grown, parts, last = ticket, list[Sprout](), dict(spared or masking.none(ticket.masks))
    begun = stand or stand_of(ticket, batch)
    for operator in COMPOUNDS.get(step.operator, (step.operator,)):
        part = grow(
            grown,
            replace(step, operator=operator),
            batch,
            generation=generation,
            generator=generator,
            scheme=scheme,
            spared=last,
            stand=None if parts else begun,
        )
        grown = part.ticket
        last = transplant(last, part.morph, masking.none(grown.masks))
        parts.append(part)
    return parts[0] if len(parts) == 1 else _joined(ticket, begun, step, batch, parts)


def _joined(
    ticket: Ticket, begun: Stand, step: GrowthStep, batch: Batch, parts: list[Sprout]
) -> Sprout:
    """Several growths as one."""
    change = parts[0].morph
    for part in parts[1:]:
        change = compose(change, part.morph)
    grown = replace(parts[-1].ticket, parent=ticket.digest)
    doubts = [part.certificate.reason for part in parts]
    if step.mask in BUDGETED:
        doubts.append("its parts pay for their new weights on the way")
    certificate = certify(
        begun,
        grown,
        batch,
        operator=step.operator,
        initialisation=step.initialisation,
        why_inexact="; ".join(dict.fromkeys(filter(None, doubts))),
        is_new=new_places(change, Birth({})),
    )
    spent = sum(part.multiply_adds for part in parts)
    is_old = inherited(change)  # by all parts; widening alone scales, and comes last
    scaled = {n: by.where(is_old[n], 1.0) for n, by in parts[-1].scaled.items()}
    return Sprout(grown, change, step, certificate, spent, scaled=scaled)
