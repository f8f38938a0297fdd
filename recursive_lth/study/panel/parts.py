"""Which entries of a network are counted: all that remain, a layer's, or a generation's.

Masks name entries, and every measure of weights takes masks. So a layer or a birth generation is
measured as the whole is: `{name: norm(weights, part) for name, part in by_layer(masks).items()}`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.ticket.masks import Masks


def learning(architecture: Architecture, masks: Mapping[str, Tensor]) -> Masks:
    """Masks of all that a training moves: the remaining weights, every bias and every norm's scale.

    In the order of `architecture.trainable`; BatchNorm's running statistics are not among them.
    """
    return {
        name: masks[name]
        if name in masks
        else torch.ones(architecture.shape(name), dtype=torch.bool)
        for name in architecture.trainable
    }


def by_layer(masks: Mapping[str, Tensor]) -> dict[str, Masks]:
    """For each layer the masks of its own tensors; layers without an entry are left out."""
    found: dict[str, Masks] = {}
    for name, mask in masks.items():
        if bool(mask.any()):
            found.setdefault(name.rpartition(".")[0], {})[name] = mask
    return found


def by_birth(masks: Mapping[str, Tensor], births: Mapping[str, Tensor]) -> dict[str, Masks]:
    """For each generation, by its number, the masks of the weights that remain and were born in it.

    `births` are a ticket's: an integer for every prunable weight; other tensors have no birth.
    """
    remaining = [births[name][masks[name].to(births[name].device)] for name in births]
    generations = torch.cat(remaining).unique().tolist() if remaining else []
    return {
        str(generation): {
            name: masks[name] & (births[name] == generation).to(masks[name].device)
            for name in births
        }
        for generation in generations
    }


def entries(tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
    """The entries that masks name as one float64 vector on the CPU, tensor after tensor."""
    found = [tensors[n].detach()[m.to(tensors[n].device)].cpu().double() for n, m in masks.items()]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


def norm(tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> float:
    """The Euclidean norm of the entries that masks name; 0 where they name none."""
    return float(entries(tensors, masks).norm())
