"""Births that keep the variance of what follows: variance transfer."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from recursive_lth.architecture.graph import STATISTICS
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.growth.bottleneck_matrix import layer_of
from recursive_lth.growth.mirror import mirror
from recursive_lth.growth.new_units import new_units
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import inherited


def variance_transfer(morph: Morph, soil: Soil) -> Birth:
    """Mirrored pairs, and old weights that read the width scaled by sqrt(old / new fan-in).

    Yuan et al. (2023, arXiv 2306.12700), with the rule of hidden layers for every layer that reads,
    where they treat logits apart: so weights of variance c / fan-in before have it after.
    New weights have that variance already, by the scheme of the first birth. Where a BatchNorm
    alone reads a scaled layer, its running mean and variance (and the layer's bias) are scaled
    alike: then only epsilon tells the networks apart. Not preserving elsewhere, for what is read is
    scaled. Their learning rates by age are not the birth's to set.
    """
    scaled: dict[str, Tensor] = {}
    old = inherited(morph)
    for name in new_units(morph).outgoing:
        layer = layer_of(name)
        ratio = morph.before.shape(name)[1] / morph.after.shape(name)[1]
        scaled[name] = _factor(old[name], math.sqrt(ratio))
        norm = _norm_behind(morph, layer)
        if not norm:
            continue
        if morph.after.layers[layer].bias:
            scaled[f"{layer}.bias"] = _factor(old[f"{layer}.bias"], math.sqrt(ratio))
        for field, power in zip(STATISTICS, (1, 2), strict=True):
            part = f"{norm}.{field}"
            scaled[part] = _factor(old[part], math.sqrt(ratio) ** power)
    return replace(mirror(morph, soil), scaled=scaled)


def _factor(is_old: Tensor, factor: float) -> Tensor:
    return torch.where(is_old, factor, 1.0).double()


def _norm_behind(morph: Morph, layer: str) -> str:
    """The BatchNorm that alone reads a layer, or ""."""
    readers = list(morph.after.graph.successors(layer))
    is_norm = len(readers) == 1 and morph.after.layers[readers[0]].operation == "batchnorm"
    return readers[0] if is_norm else ""
