"""Births that are exact since what is new is read with 0, or adds 0, or hands on what it reads."""

import torch
from torch import Tensor

from recursive_lth.architecture.layer import WEIGHTED
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import inherited_along


def kaiming(morph: Morph, soil: Soil) -> Birth:
    """Everything new as at a first birth. Not preserving."""
    return Birth(soil.fresh)


def zero_out(morph: Morph, soil: Soil) -> Birth:
    """New units read as at a first birth and are read with weight 0: exact in both modes.

    Their incoming weights receive no gradient at the first step, their outgoing ones do. A kernel's
    new rim is 0 likewise.
    """
    values = dict(soil.fresh)
    for name in morph.after.prunable:
        if name not in morph.before.tensors:
            continue
        for dimension in range(1, len(morph.after.tensors[name])):
            is_new = ~inherited_along(morph, name, dimension)
            shape = [-1 if d == dimension else 1 for d in range(values[name].dim())]
            values[name] = values[name].masked_fill(is_new.view(shape), 0)  # never -0
    return Birth(values)


def identity(morph: Morph, soil: Soil) -> Birth:
    """New layers hand on what they read: an identity matrix or a dirac kernel, bias 0.

    Exact in both modes where the activation after it is idempotent, as ReLU is (Chen et al. 2016,
    arXiv 1511.05641). The ones are the skeleton.
    """
    values, skeleton = dict(soil.fresh), {}
    for layer in _new_weighted(morph):
        name = f"{layer}.weight"
        values[name] = _identity_weight(soil.fresh[name])
        skeleton[name] = values[name] != 0
    return Birth(values, skeleton)


def zero_gamma(morph: Morph, soil: Soil) -> Birth:
    """A path that adds 0: gamma of its last BatchNorm 0, or else its last weights.

    Exact in both modes where what it is added to passes the activation behind as it is (Goyal et
    al. 2017, arXiv 1706.02677, use it at the first birth).
    """
    values = dict(soil.fresh)
    for layer in _branch_ends(morph):
        for part in ("weight", "bias"):
            if (name := f"{layer}.{part}") in values:
                values[name] = torch.zeros_like(soil.fresh[name])
    return Birth(values)


def identity_paper(morph: Morph, soil: Soil) -> Birth:
    """Identity in both weight layers of a residual block, norms as born (arXiv 2109.03862).

    Not preserving, though the paper says so: the block gives twice its input in evaluation mode.
    """
    return identity(morph, soil)


def _new_weighted(morph: Morph) -> list[str]:
    return [n for n in morph.new_layers if morph.after.layers[n].operation in WEIGHTED]


def _branch_ends(morph: Morph) -> list[str]:
    """New layers with weights of their own that feed a new addition directly."""
    additions = [n for n in morph.new_layers if morph.after.layers[n].operation == "add"]
    return [
        source
        for name in additions
        for source in morph.after.layers[name].inputs
        if source in morph.new_layers and f"{source}.weight" in morph.after.tensors
    ]


def _identity_weight(weight: Tensor) -> Tensor:
    """An identity of the shape (out, in) or (out, in, k, k), one at the centre of the kernel."""
    result = torch.zeros_like(weight)
    square = result.flatten(2)[..., result[0, 0].numel() // 2] if result.dim() > 2 else result
    square.fill_diagonal_(1)
    return result
