"""Births from the bottleneck matrix that move at once, and so are not exact: TINY and NeST."""

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.cost import cost
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import Weights, network
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.growth.bottleneck_matrix import (
    Signals,
    bottleneck_matrix,
    double,
    layer_of,
    observe,
)
from recursive_lth.growth.gradmax import rank
from recursive_lth.growth.new_units import NewUnits, Places, gather, new_units, quiet, scatter
from recursive_lth.growth.zeros import zero_out
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import transplant

AMPLITUDES = tuple(4.0**-i for i in range(10))  # of new units, tried in turn
ROUNDING = 1e-9  # of a gradient, what a regression that explains all of it leaves
BRIDGED = 0.1  # the share of pairs (input, output) that a new unit joins


def tiny(morph: Morph, soil: Soil) -> Birth:
    """New units that lower the loss most in function space, at the best amplitude. Not preserving.

    Verbockhaven et al. (2024, arXiv 2405.19816): with S = E[x x^T] of what is read, N =
    E[x v^T] and v what the loss wants of the next layer beyond what its own weights can give,
    S^(-1/2) N = U Sigma V^T; incoming weights sqrt(sigma) S^(-1/2) u, outgoing sqrt(sigma) v. Both
    are multiplied by the square root of the amplitude, out of powers of 1/4, that gives the least
    loss on the batch, with all new weights there; where none lowers it, the birth is `zero_out`. N
    is measured as minus the bottleneck matrix, so that pools, norms and strides count. Where we
    differ: biases stay 0; several layers that make the units have an S each; what weights can give
    is taken away only where the batch has more places than they have inputs, else nothing would be
    left. Behind a BatchNorm N tells of silent units alone. Units beyond the rank of N are born by
    `zero_out`.
    """
    units = new_units(morph)
    signals = observe(soil, units)
    wanted = {name: _beyond(morph, signals, name) for name in signals.deltas}
    matrix, spent = bottleneck_matrix(soil, units, wanted, is_open=True)
    whitening = _whitening(morph, signals, units)
    left, sizes, right = torch.linalg.svd(-(whitening @ matrix), full_matrices=False)
    reached = min(units.count, rank(sizes, matrix.shape))
    size = sizes[:reached, None].sqrt()
    incoming = size * (whitening @ left[:, :reached]).T
    outgoing = size * right[:reached]
    unheard = zero_out(morph, soil).values
    values = quiet(unheard, units, reached)
    born = [unheard] + [
        _joined(values, units, incoming * amplitude**0.5, outgoing * amplitude**0.5)
        for amplitude in AMPLITUDES
    ]
    losses = [_loss(morph, soil, candidate) for candidate in born]
    searched = len(born) * len(soil.batch) * cost(morph.after).multiply_adds
    best = born[losses.index(min(losses))]
    return Birth(best, multiply_adds=signals.multiply_adds + spent + searched)


def bridging(morph: Morph, soil: Soil) -> Birth:
    """New units that join the inputs and outputs whose bridging gradient is largest.

    NeST's growth of neurons (Dai et al. 2017, arXiv 1711.02017, algorithm 2): of all pairs the
    tenth with the largest |G|, G = E[dL/du_{l+1} x_{l-1}], adds +-sqrt|G| to the incoming and the
    same, with the sign that lowers the loss, to the outgoing weight, signs drawn for each unit and
    pair; then each tensor's new weights get the mean size of its remaining old ones. G is the
    bottleneck matrix; the share is ours. Not preserving.
    """
    units = new_units(morph)
    signals = observe(soil, units)
    matrix, spent = bottleneck_matrix(soil, units, signals.deltas, is_open=True)
    spent += signals.multiply_adds
    values = zero_out(morph, soil).values
    if not matrix.any():
        return Birth(values, multiply_adds=spent)
    size = matrix.abs()
    count = max(1, round(BRIDGED * matrix.numel()))
    least = size.flatten().topk(count).values[-1]
    root = torch.where(size >= least, size.sqrt(), 0)
    drawn = torch.rand(units.count, *matrix.shape, generator=soil.generator, dtype=torch.float64)
    signs = torch.where(drawn < 0.5, -1.0, 1.0)
    outgoing = (signs * root).sum(1)
    incoming = (signs * root * -matrix.sign()).sum(2)
    values = _joined(quiet(values, units, units.count), units, incoming, outgoing)
    for places in (units.incoming, units.outgoing):
        values = _as_large(values, places, soil)
    return Birth(values, multiply_adds=spent)


def _joined(values: Weights, units: NewUnits, incoming: Tensor, outgoing: Tensor) -> Weights:
    """The values with the rows of both matrices as weights of the first units."""
    return scatter(scatter(values, units.incoming, incoming), units.outgoing, outgoing)


def _as_large(values: Weights, places: Places, soil: Soil) -> Weights:
    """The values with each tensor's new weights scaled to the mean size of the remaining old."""
    for name, where in places.items():
        old = soil.ticket.weights[name][soil.ticket.masks[name]].abs()
        new = gather(values, {name: where})
        if old.numel() and new.any():
            values = scatter(values, {name: where}, new * (old.mean() / new.abs().mean()))
    return values


def _loss(morph: Morph, soil: Soil, values: Weights) -> float:
    """The loss of the grown ticket on the batch, in training mode."""
    grown = transplant(double(soil.ticket.weights), morph, double(values))
    with torch.no_grad():
        logits, _ = network(morph.after)(grown, soil.batch.images.double(), training=True)
        return float(F.cross_entropy(logits, soil.batch.labels))


def _beyond(morph: Morph, signals: Signals, name: str) -> Tensor:
    """The gradient at a reader's output, less what a change of its own weights can bring about."""
    delta = signals.deltas[name]
    reads = patches(morph.before.layers[name], signals.reads[name])
    if len(reads) <= reads.shape[1]:
        return delta
    aims = delta.movedim(1, -1).flatten(0, -2)  # (places, outputs)
    reachable = reads @ torch.linalg.lstsq(reads, aims, driver="gelsd").solution
    if float((aims - reachable).norm()) <= ROUNDING * float(aims.norm()):
        return torch.zeros_like(delta)
    left: Tensor = (aims - reachable).view(delta.movedim(1, -1).shape)
    return left.movedim(-1, 1)


def _whitening(morph: Morph, signals: Signals, units: NewUnits) -> Tensor:
    """S^(-1/2) over the incoming weights of a unit, a block for each layer that makes units."""
    blocks: list[Tensor] = []
    for name in units.incoming:
        layer = morph.before.layers[layer_of(name)]
        reads = patches(layer, signals.reads[layer_of(name)])
        samples = len(signals.reads[layer_of(name)])
        values, vectors = torch.linalg.eigh(reads.T @ reads / samples)
        small = values <= values[-1] * len(values) * torch.finfo(values.dtype).eps
        root = torch.where(small, 0, values.clamp(min=1e-300).rsqrt())
        blocks += [vectors @ torch.diag(root) @ vectors.T] * layer.multiple
    whole: Tensor = torch.block_diag(*blocks)
    return whole


def patches(layer: Layer, reads: Tensor) -> Tensor:
    """What a linear layer or convolution multiplies its weights with: (places, inputs)."""
    if layer.operation == "linear":
        return reads
    windows = F.unfold(reads, layer.kernel, padding=layer.padding, stride=layer.stride)
    return windows.transpose(1, 2).flatten(0, 1)
