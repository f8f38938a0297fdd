"""Masks of new weights: which of the weights that a growth adds are there from the start."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import inherited, transplant

# (morph, the parent's masks, skeleton of the birth, generator) -> masks after
MaskOfNew = Callable[[Morph, Masks, Mapping[str, Tensor], Generator], Masks]


def dense(
    morph: Morph, masks: Masks, skeleton: Mapping[str, Tensor], generator: Generator
) -> Masks:
    """All new weights are there."""
    return transplant(masks, morph, masking.dense(morph.after))


def parent_density(
    morph: Morph, masks: Masks, skeleton: Mapping[str, Tensor], generator: Generator
) -> Masks:
    """New weights are as dense as the parent is, drawn at random; the skeleton always.

    Each tensor gets exactly round(density * its new weights), at least its skeleton and one.
    """
    total = sum(mask.numel() for mask in masks.values())
    density = masking.remaining(masks) / total
    has_ancestor = inherited(morph)
    new = {}
    for name in morph.after.prunable:
        free = ~has_ancestor[name]
        bones = skeleton.get(name, torch.zeros_like(free)) & free
        count = max(round(density * int(free.sum())), int(bones.sum()), int(bool(free.any())))
        draw = torch.rand(free.shape, generator=generator, dtype=torch.float64)
        rank = torch.where(bones, 2.0, draw)  # the skeleton outranks every draw
        drop = {name: int(free.sum()) - count}
        new[name] = masking.drop_lowest({name: free}, {name: rank}, drop[name])[name]
    return transplant(masks, morph, new)


MASKS_OF_NEW: Mapping[str, MaskOfNew] = MappingProxyType(
    {"dense": dense, "parent_density": parent_density, "constant_budget": parent_density}
)
BUDGETED = frozenset({"constant_budget"})


def pay(morph: Morph, weights: Mapping[str, Tensor], masks: Masks, budget: int) -> Masks:
    """Masks cut back to `budget` weights in all, taken from the weakest inherited ones by |w|.

    This is how a growth of constant budget pays for its new weights: never with a new one, and
    every tensor keeps at least one weight.
    """
    has_ancestor = inherited(morph)
    old = {name: masks[name] & has_ancestor[name] for name in masks}
    scores = {name: weights[name].abs() for name in masks}
    excess = max(0, masking.remaining(masks) - budget)
    kept = masking.drop_lowest(old, scores, excess, floor=1)
    return {name: kept[name] | (masks[name] & ~has_ancestor[name]) for name in masks}
