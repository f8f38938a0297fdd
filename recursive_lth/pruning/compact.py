"""Compaction: the same logits from fewer units, since PyTorch computes with the zeros of a mask."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import WEIGHTED
from recursive_lth.architecture.network import network
from recursive_lth.errors import InputError
from recursive_lth.pruning.paths import constants, contributions, needed, needed_units
from recursive_lth.pruning.units import LEAST, remove_units
from recursive_lth.ticket.masks import apply
from recursive_lth.ticket.ticket import Ticket

ROUNDING = 1e-10  # largest change of a logit that is rounding, in float64, to the largest logit
SAMPLES = 8  # random ones, where none are given
Side = tuple[Architecture, Mapping[str, Tensor]]


def compact(ticket: Ticket, inputs: Tensor | None = None) -> Ticket:
    """The ticket without what no path from the input to the logits uses.

    Weights that lead nowhere go, weights that read a constant give way to their reader's bias, and
    units that no layer needs any more are removed, a residual stream's only where none of its
    layers does; every width keeps one unit. A unit is constant where no remaining weight leads to
    it from the input. Its value goes through norms and activations in evaluation mode; a padded
    convolution sees another value beyond the rim and so keeps reading a constant that is not 0. A
    ticket of which all is used is handed back itself.

    Logits in evaluation mode are certified equal in float64 to 1e-10 of the largest, on `inputs` or
    8 normal samples; a float32 ticket's new biases are then rounded. Rewind values are moved as
    they are, and training mode is not preserved: BatchNorm then sees constants otherwise.

    Raises `InputError` where the ticket does not run on its weights as they stand, or the logits
    are not equal (weights that have diverged).
    """
    check_plain(ticket)
    architecture, masks = ticket.architecture, ticket.masks
    constant = constants(architecture, ticket.weights, masks)
    live, used = needed(architecture, masks, constant)
    kept = _kept_units(architecture, live)
    if not kept and all(torch.equal(mask, used[name]) for name, mask in masks.items()):
        return ticket
    smaller, _ = remove_units(_told(ticket, constant, live, used), kept)
    certify_equal((architecture, ticket.weights), (smaller.architecture, smaller.weights), inputs)
    return in_types_of(ticket, smaller)


def _kept_units(architecture: Architecture, live: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For each symbol that shrinks the units that stay, at least the first."""
    units = needed_units(architecture, live)
    found = {}
    for symbol in architecture.free_symbols:
        kept = units[symbol].nonzero().flatten()
        kept = kept if len(kept) >= LEAST else torch.arange(LEAST)
        if len(kept) < architecture.widths[symbol]:
            found[symbol] = kept
    return found


def _told(
    ticket: Ticket,
    constant: Mapping[str, Tensor],
    live: Mapping[str, Tensor],
    used: Mapping[str, Tensor],
) -> Ticket:
    """The ticket in float64 with its used weights alone; biases tell what the others told.

    A layer without a bias is given one where it needs it, whose rewind value is 0.
    """
    architecture = ticket.architecture
    weights = {name: tensor.double() for name, tensor in ticket.weights.items()}
    rewind, layers = dict(ticket.rewind), {}
    for name, layer in architecture.layers.items():
        if layer.operation not in WEIGHTED:
            continue
        weight, bias = f"{name}.weight", f"{name}.bias"
        folded = ticket.masks[weight] & ~used[weight]
        folded &= live[name].view(-1, *(1,) * (folded.dim() - 1))
        told = contributions(layer, constant[layer.inputs[0]], weights[weight], folded)
        if layer.bias:
            weights[bias] = weights[bias] + told
        elif bool(told.any()):
            layers[name] = replace(layer, bias=True)
            weights[bias], rewind[bias] = told, torch.zeros_like(told)
    return replace(
        ticket,
        architecture=architecture.edit(layers=layers),
        weights=apply(weights, used),
        rewind=rewind,
        masks=dict(used),
    )


def check_plain(ticket: Ticket) -> None:
    """Raise `InputError` where the ticket does not run on its weights as they stand."""
    if not ticket.is_plain:
        raise InputError(
            "the ticket's weights are coefficients, or pruned places hold values: it can be made "
            "no smaller"
        )


def in_types_of(ticket: Ticket, made: Ticket) -> Ticket:
    """What was made of a ticket in float64, with its types and named its child."""
    own = next(iter(ticket.weights.values())).dtype

    def cast(tensors: Mapping[str, Tensor], types: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {n: t.to(types[n].dtype if n in types else own) for n, t in tensors.items()}

    return replace(
        made,
        weights=cast(made.weights, ticket.weights),
        rewind=cast(made.rewind, ticket.rewind),
        parent=ticket.digest,
    )


def certify_equal(before: Side, after: Side, inputs: Tensor | None = None) -> float:
    """The largest difference of a logit, in evaluation mode and float64, over the largest logit.

    On `inputs` (samples, ...) or 8 normal samples. Raises `InputError` where it is above 1e-10.
    """
    if inputs is None:
        shape = (SAMPLES, *before[0].shapes[before[0].input])
        inputs = torch.randn(shape, generator=seeds.generator(0, "certify equal"))
    logits = []
    with torch.no_grad():
        for architecture, weights in (before, after):
            cast = {name: tensor.double() for name, tensor in weights.items()}
            logits.append(network(architecture)(cast, inputs.cpu().double())[0])
    largest, change = (float(t.abs().max()) for t in (logits[0], logits[0] - logits[1]))
    if not change <= ROUNDING * largest:  # NaN too
        raise InputError(
            f"logits of up to {largest:.3g} would change by {change:.3g}, more than rounding: "
            "have the weights diverged?"
        )
    return change / largest if largest else 0.0
