"""One growth of a ticket: morph, birth, transplant of all it holds, and the certificate."""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Generator, Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.config import GrowthStep, pick
from recursive_lth.growth.birth import Batch, Birth, Division, Soil
from recursive_lth.growth.certificate import Certificate, Stand, certify, stand_of
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.initialise import resolve, why_inexact
from recursive_lth.growth.masks_of_new import BUDGETED, MASKS_OF_NEW, pay
from recursive_lth.growth.operators import COMPOUNDS, OPERATORS, PLACES
from recursive_lth.growth.sites import at
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.morph import NEW, Morph
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited, transplant


@dataclass(frozen=True)
class Sprout:
    """A grown ticket, not yet trained, with the morph that led to it and its certificate.

    `multiply_adds` is what its birth has cost in activations and gradients; `divided`, `scaled` and
    `revived` are the birth's, for the optimizer's state and for other weights of the parent.
    """

    ticket: Ticket
    morph: Morph
    step: GrowthStep  # with the initialisation's own name
    certificate: Certificate
    multiply_adds: int = 0
    divided: Mapping[str, Division] = field(default_factory=dict)
    scaled: Mapping[str, Tensor] = field(default_factory=dict)
    revived: Mapping[str, Tensor] = field(default_factory=dict)


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
    batch: Batch,
    *,
    generation: int,
    generator: Generator,
    scheme: str = "kaiming_normal",
    spared: Mapping[str, Tensor] | None = None,
    stand: Stand | None = None,
) -> Sprout:
    """The ticket grown by one step, everything it holds transplanted, new layers `g<generation>`.

    `batch` holds real samples, for the certificate and for births that look at gradients. `spared`
    marks weights of the ticket with which a growth of constant budget pays last; `stand` is how the
    ticket does on the batch, for whoever grows it more than once. Raises `InputError` where a name
    is unknown, the network has no such place, or a growth that claims to preserve the function does
    not.
    """
    operator = pick(OPERATORS, step.operator, "operator")
    name, initialise = resolve(step.operator, step.initialisation)
    named = replace(step, initialisation=name)
    before = ticket.architecture
    change = operator(before, place=step.place, ratio=step.ratio, label=_label(before, generation))
    values = _like(ticket, fresh(change.after, generator, scheme))
    born = initialise(change, Soil(ticket, values, generator, batch, step.ratio))
    born = replace(born, values=_like(ticket, born.values))
    masks = _masks(ticket, change, born, named, generator)
    weights = masking.apply(
        _shared_out(transplant(ticket.weights, change, born.values), born), masks
    )
    kept = masks
    if step.mask in BUDGETED:
        budget = masking.remaining(ticket.masks)
        last = transplant(spared or masking.none(ticket.masks), change, masking.none(masks))
        kept = pay(weights, masks, budget, is_new=new_places(change, born), last=last)
    grown = Ticket(
        change.after,
        weights=masking.apply(weights, kept),
        rewind=_rewound(ticket, change, born),
        masks=kept,
        births=_births(ticket, change, born, generation),
        skeleton=_skeleton(ticket, change, born),
        parent=ticket.digest,
    )
    certificate = certify(
        stand or stand_of(ticket, batch),
        replace(grown, weights=weights, masks=masks),
        batch,
        operator=step.operator,
        initialisation=name,
        why_inexact=why_inexact(change, step.operator, name),
        paid=grown.weights if step.mask in BUDGETED else None,
        is_new=new_places(change, born),
    )
    return Sprout(
        grown,
        change,
        named,
        certificate,
        born.multiply_adds,
        born.divided,
        born.scaled,
        born.revived,
    )


def _like(ticket: Ticket, values: Mapping[str, Tensor]) -> Weights:
    """The values in the precision of the ticket's weights, which nothing inherited shall lose."""
    dtype = next(iter(ticket.weights.values())).dtype
    return {name: tensor.to(dtype) for name, tensor in values.items()}


def _label(architecture: Architecture, generation: int) -> str:
    """`g<generation>`, or with a number more where an earlier growth has taken that."""
    taken = {name.split("_")[0] for name in architecture.layers}
    more = (f"g{generation}v{turn}" for turn in itertools.count(2))
    return next(label for label in itertools.chain([f"g{generation}"], more) if label not in taken)


def new_places(change: Morph, born: Birth) -> dict[str, Tensor]:
    """For each tensor after a growth a bool tensor: is the entry new, a copy, or unpruned?"""
    found = {n: ~t | _copies(change, n) for n, t in inherited(change).items()}
    return {n: t | born.revived.get(n, torch.zeros_like(t)) for n, t in found.items()}


def _copies(change: Morph, name: str) -> Tensor:
    """Entries of units whose ancestor has an earlier heir on the same axis, as after a split."""
    result = torch.zeros(change.after.shape(name), dtype=torch.bool)
    for dimension, row in enumerate(change.after.tensors[name]):
        flags = []
        for axis in row:
            units = change.origin[axis.symbol].units
            is_copy = [u != NEW and u in units[:i] for i, u in enumerate(units)]
            flags.append(torch.tensor(is_copy).repeat_interleave(axis.repeat))
        shape = [-1 if d == dimension else 1 for d in range(result.dim())]
        result |= torch.cat(flags).view(shape)
    return result


def _masks(
    ticket: Ticket, change: Morph, born: Birth, step: GrowthStep, generator: Generator
) -> Masks:
    rule = pick(MASKS_OF_NEW, step.mask, "mask of new weights")
    masks = rule(change, ticket.masks, born.skeleton, generator, step.density)
    nothing = masking.none(masks)
    dropped, revived = {**nothing, **born.dropped}, {**nothing, **born.revived}
    return {name: (mask & ~dropped[name]) | revived[name] for name, mask in masks.items()}


def _shared_out(tensors: Mapping[str, Tensor], born: Birth) -> Weights:
    """The tensors with the weights that leave split units divided, scaled, and revived ones set."""
    found = {n: born.divided[n].of(t) if n in born.divided else t for n, t in tensors.items()}
    found |= {name: found[name] * factor.to(found[name]) for name, factor in born.scaled.items()}
    return found | {
        name: torch.where(place, born.values[name].to(found[name]), found[name])
        for name, place in born.revived.items()
    }


def _rewound(ticket: Ticket, change: Morph, born: Birth) -> Weights:
    return _shared_out(transplant(ticket.rewind, change, born.values), born)


def _births(ticket: Ticket, change: Morph, born: Birth, generation: int) -> dict[str, Tensor]:
    """Inherited weights keep the generation of their birth; revived ones are born again."""
    births = transplant(ticket.births, change, _born_in(change, generation))
    return births | {n: births[n].masked_fill(t, generation) for n, t in born.revived.items()}


def _skeleton(ticket: Ticket, change: Morph, born: Birth) -> dict[str, Tensor]:
    """The identities of all growths so far, as bool tensors where there are any."""
    bones = {n: t for n, t in born.skeleton.items() if bool(t.any())}
    names = {*ticket.skeleton, *bones}
    nothing = {n: torch.zeros(change.after.shape(n), dtype=torch.bool) for n in names}
    old = {n: ticket.skeleton.get(n, torch.zeros_like(ticket.masks[n])) for n in names
           if n in ticket.masks}  # fmt: skip
    return transplant(old, change, nothing | bones)


def describe(step: GrowthStep, morph: Morph) -> dict[str, object]:
    """A growth as the lineage records it: the step, new layers, and new units of each symbol.

    Copies of a unit are new units. `where` is the symbol that has them, else the first new layer
    with weights, else the place itself.
    """
    came = {s: _newcomers(morph.origin[s].units) for s in morph.origin if s in morph.after.widths}
    new_units = {symbol: number for symbol, number in came.items() if number}
    changed = [layer for layer in morph.new_layers if f"{layer}.weight" in morph.after.tensors]
    first = COMPOUNDS.get(step.operator, (step.operator,))[0]
    place = at(PLACES[first](morph.before), step.place, "place")
    return asdict(step) | {
        "where": next(iter([*new_units, *changed]), place),
        "new_layers": list(morph.new_layers),
        "new_units": new_units,
    }


def _newcomers(units: tuple[int, ...]) -> int:
    """How many units have no ancestor, or one that has an earlier heir."""
    return len(units) - len({unit for unit in units if unit != NEW})


def _born_in(morph: Morph, generation: int) -> dict[str, Tensor]:
    return {
        name: torch.full(morph.after.shape(name), generation, dtype=torch.int16)
        for name in morph.after.prunable
    }
