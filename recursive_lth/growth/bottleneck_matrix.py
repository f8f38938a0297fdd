"""The bottleneck matrix: how the loss answers to a weight into and one out of a new unit.

M[i, j] is the derivative of the loss in incoming weight i of a silent new unit whose outgoing
weight j is 1, so d2L / dw_i dv_j at w = v = 0. Between two linear layers it is
E[h_{l-1} delta_{l+1}^T] (Evci et al. 2022, arXiv 2201.05125); between convolutions the gradient of
a zero kernel from l-1 to l+1 of size k1 + s1 (k2 - 1) and stride s1 s2, unfolded (exact where the
second layer has no padding, for that kernel also reads through hidden pixels beyond the border).
Here it is measured on units that are really put in, one for each outgoing weight: so it holds
through padding, pools, flattens, norms, joined streams and whole residual streams, with all layers
that make or read the units stacked.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights, network
from recursive_lth.growth.birth import Batch, Soil
from recursive_lth.growth.new_units import (
    QUIET,
    NewUnits,
    gather,
    new_units,
    only_quiet,
    probing,
    scatter,
)
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import transplant

PROBES = 256  # units that are put in at a time


@dataclass(frozen=True)
class Signals:
    """What one pass over a batch shows: what each watched layer reads, and the loss's gradient.

    `reads` (samples, ...) of producers and readers, `deltas` the gradient of the mean loss in the
    output of each reader, both float64; `multiply_adds` is what it has cost.
    """

    reads: Mapping[str, Tensor]
    deltas: Mapping[str, Tensor]
    multiply_adds: int


def layer_of(tensor: str) -> str:
    """The layer that a tensor belongs to."""
    return tensor.rpartition(".")[0]


def double(weights: Mapping[str, Tensor]) -> Weights:
    """The weights in float64."""
    return {name: tensor.double() for name, tensor in weights.items()}


def observe(soil: Soil, units: NewUnits) -> Signals:
    """What flows past the new units before they are there, in training mode and float64."""
    ticket, batch = soil.ticket, soil.batch
    architecture = ticket.architecture
    outputs: Weights = {architecture.input: batch.images.double()}
    bumps: Weights = {}
    readers = [layer_of(name) for name in units.outgoing]

    def watch(name: str, output: Tensor) -> Tensor:
        if name in readers:
            bumps[name] = torch.zeros_like(output).requires_grad_()
            output = output + bumps[name]
        outputs[name] = output
        return output

    logits, _ = network(architecture)(
        double(ticket.weights), outputs[architecture.input], training=True, watch=watch
    )
    found = torch.autograd.grad(F.cross_entropy(logits, batch.labels), list(bumps.values()))
    watched = {layer_of(name) for name in (*units.incoming, *units.outgoing)}
    return Signals(
        {name: outputs[architecture.layers[name].inputs[0]].detach() for name in watched},
        dict(zip(bumps, found, strict=True)),
        training_cost(ticket.cost.multiply_adds, len(batch)),
    )


def bottleneck_matrix(
    soil: Soil, units: NewUnits, deltas: Mapping[str, Tensor], *, is_open: bool = False
) -> tuple[Tensor, int]:
    """The matrix (incoming weights, outgoing weights) of one new unit, and its cost.

    `deltas` stand for the gradient of the loss at the output of each layer that reads the units.
    With `is_open` the outputs of layers without a bias are lifted by `QUIET`, so that a ReLU behind
    them has a slope in the matrix, though new units without incoming weights would have none.
    """
    ticket, width = soil.ticket, sum(where.shape[1] for where in units.outgoing.values())
    parts, multiply_adds = [], 0
    for start in range(0, width, PROBES):
        directions = torch.eye(width, dtype=torch.float64)[start : start + PROBES]
        change = probing(ticket.architecture, units.symbol, len(directions))
        probes = new_units(change)
        values = scatter(only_quiet(change, probes), probes.outgoing, directions)
        values = transplant(double(ticket.weights), change, values)
        parts.append(_pulled(change.after, values, probes, soil.batch, deltas, lift=is_open))
        multiply_adds += training_cost(cost(change.after).multiply_adds, len(soil.batch))
    return torch.cat(parts).T, multiply_adds


def _pulled(
    architecture: Architecture,
    values: Weights,
    probes: NewUnits,
    batch: Batch,
    deltas: Mapping[str, Tensor],
    *,
    lift: bool,
) -> Tensor:
    """The deltas pulled back to the incoming weights of each probe (probes, incoming weights)."""
    live = {name: values[name].requires_grad_() for name in probes.incoming}
    pulls = []

    def watch(name: str, output: Tensor) -> Tensor:
        if lift and f"{name}.weight" in live:
            output = output + QUIET
        if name in deltas:
            known = deltas[name].shape[1]
            old, new = output[:, :known], output[:, known:]  # new, where it makes probes as well
            pulls.append((old * deltas[name]).sum())
            return torch.cat([old.detach(), new], 1)  # the delta holds all that follows
        return output

    network(architecture)(values, batch.images.double(), training=True, watch=watch)
    found = torch.autograd.grad(sum(pulls[1:], start=pulls[0]), list(live.values()))
    return gather(dict(zip(live, found, strict=True)), probes.incoming)


def gradient_at_birth(change: Morph, soil: Soil, values: Weights) -> tuple[Tensor, Tensor]:
    """The loss's gradient in new units' incoming and outgoing weights, one row a unit.

    Of the grown ticket with `values` for all that is new, in float64 and training mode.
    """
    units, found, _ = _backward(change, soil, values, is_graph=False)
    return gather(found, units.incoming), gather(found, units.outgoing)


def gradient_ascent(change: Morph, soil: Soil, values: Weights) -> Tensor:
    """The gradient of half the squared norm of the incoming gradient, in the outgoing weights."""
    units, found, live = _backward(change, soil, values, is_graph=True)
    half_square = (gather(found, units.incoming) ** 2).sum() / 2
    second = torch.autograd.grad(half_square, list(live.values()), materialize_grads=True)
    return gather(dict(zip(live, second, strict=True)), units.outgoing)


def _backward(
    change: Morph, soil: Soil, values: Weights, *, is_graph: bool
) -> tuple[NewUnits, Weights, Weights]:
    """The new units, the gradient in the tensors that hold their weights, and these tensors."""
    units = new_units(change)
    grown = transplant(double(soil.ticket.weights), change, double(values))
    names = dict.fromkeys((*units.incoming, *units.outgoing))
    live = {name: grown[name].requires_grad_() for name in names}
    logits, _ = network(change.after)(grown, soil.batch.images.double(), training=True)
    loss = F.cross_entropy(logits, soil.batch.labels)
    found = torch.autograd.grad(loss, list(live.values()), create_graph=is_graph)
    return units, dict(zip(live, found, strict=True)), live
