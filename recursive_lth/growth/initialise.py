"""Initialisations: (morph, fresh values) -> values of what is new, and its skeleton.

The skeleton marks the new weights without which the growth would not preserve the function; the
masks of new weights keep them. The first initialisation of each operator is its function-preserving
one, which the name "preserving" stands for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from recursive_lth.architecture.layer import WEIGHTED
from recursive_lth.architecture.network import Weights
from recursive_lth.config import pick
from recursive_lth.ticket.morph import NEW, Morph

PRESERVING = "preserving"


@dataclass(frozen=True)
class Birth:
    """Values for every tensor after the morph (only new entries are used), and the skeleton."""

    values: Weights
    skeleton: dict[str, Tensor]


Initialise = Callable[[Morph, Weights], Birth]


def kaiming(morph: Morph, fresh: Weights) -> Birth:
    """Everything new as at a first birth. Not preserving."""
    return Birth(fresh, {})


def zero_out(morph: Morph, fresh: Weights) -> Birth:
    """New units read as at a first birth and are read with weight 0: exact in both modes.

    Their incoming weights receive no gradient at the first step, their outgoing ones do.
    """
    values = dict(fresh)
    for name in morph.after.prunable:
        source = morph.after.tensors[name][1]
        units = torch.tensor(morph.origin[source.symbol].units)
        if name in morph.before.tensors:
            is_new = (units == NEW).repeat_interleave(source.repeat)
            keep = (~is_new).to(values[name]).view(1, -1, *[1] * (values[name].dim() - 2))
            values[name] = values[name] * keep
    return Birth(values, {})


def identity(morph: Morph, fresh: Weights) -> Birth:
    """New layers hand on what they read: an identity matrix or a dirac kernel, bias 0.

    Exact in both modes where the activation after it is idempotent, as ReLU is (Chen et al. 2016,
    arXiv 1511.05641). The ones are the skeleton.
    """
    values, skeleton = dict(fresh), {}
    for layer in _new_weighted(morph):
        name = f"{layer}.weight"
        values[name] = _identity_weight(fresh[name])
        skeleton[name] = values[name] != 0
    return Birth(values, skeleton)


def zero_gamma(morph: Morph, fresh: Weights) -> Birth:
    """A residual branch that adds 0: gamma of its last BatchNorm 0, or else its last weights.

    Exact in both modes where what it is added to is not negative (Goyal et al. 2017, arXiv
    1706.02677, use it at the first birth).
    """
    values = dict(fresh)
    for layer in _branch_ends(morph):
        values[f"{layer}.weight"] = torch.zeros_like(fresh[f"{layer}.weight"])
    return Birth(values, {})


def identity_paper(morph: Morph, fresh: Weights) -> Birth:
    """Identity in both weight layers of a residual block, norms as born (arXiv 2109.03862).

    Not preserving, though the paper says so: the block gives twice its input in evaluation mode.
    """
    return identity(morph, fresh)


def resolve(operator: str, initialisation: str) -> tuple[str, Initialise]:
    """Name and function of an operator's initialisation; one it lacks becomes its preserving one.

    A search draws operator and initialisation independently, so an initialisation that belongs to
    another operator is ignored rather than refused.
    """
    choices = pick(INITIALISATIONS, operator, "operator")
    name = initialisation if initialisation in choices else next(iter(choices))
    return name, choices[name]


def is_preserving(operator: str, initialisation: str) -> bool:
    """True iff the growth claims to leave the function as it is, in both modes."""
    name, _ = resolve(operator, initialisation)
    return name == next(iter(INITIALISATIONS[operator]))


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


INITIALISATIONS: Mapping[str, Mapping[str, Initialise]] = MappingProxyType(
    {
        "widen": {"zero_out": zero_out, "kaiming": kaiming},
        "deepen": {"identity": identity, "kaiming": kaiming},
        "residual": {
            "zero_gamma": zero_gamma,
            "identity_paper": identity_paper,
            "kaiming": kaiming,
        },
    }
)
