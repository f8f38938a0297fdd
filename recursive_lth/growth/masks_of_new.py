"""Masks of new weights: which of the weights that a growth adds are there from the start."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from recursive_lth.architecture.erk import erk
from recursive_lth.errors import InputError
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.morph import NEW, Morph
from recursive_lth.ticket.transplant import inherited, transplant

# (morph, the parent's masks, skeleton of the birth, generator, density asked for) -> masks after
MaskOfNew = Callable[[Morph, Masks, Mapping[str, Tensor], Generator, float], Masks]


def dense(
    morph: Morph, masks: Masks, skeleton: Mapping[str, Tensor], generator: Generator, density: float
) -> Masks:
    """All new weights are there."""
    return transplant(masks, morph, masking.dense(morph.after))


def parent_density(
    morph: Morph, masks: Masks, skeleton: Mapping[str, Tensor], generator: Generator, density: float
) -> Masks:
    """New weights are as dense as the parent is, drawn at random."""
    total = sum(mask.numel() for mask in masks.values())
    share = masking.remaining(masks) / total
    return _drawn(morph, masks, skeleton, generator, dict.fromkeys(morph.after.prunable, share))


def random(
    morph: Morph, masks: Masks, skeleton: Mapping[str, Tensor], generator: Generator, density: float
) -> Masks:
    """New weights have the density that the growth step names, drawn at random."""
    return _drawn(morph, masks, skeleton, generator, dict.fromkeys(morph.after.prunable, density))


def erdos_renyi(
    morph: Morph, masks: Masks, skeleton: Mapping[str, Tensor], generator: Generator, density: float
) -> Masks:
    """New weights are as many as with `parent_density`, shared out among tensors as ERK does.

    Evci et al. (2020, arXiv 1911.11134), asked of the network after the growth and applied to what
    is new in each tensor; one that would be more than dense is dense, and the rest solved again.
    """
    new = {n: int((~t).sum()) for n, t in inherited(morph).items() if n in morph.after.prunable}
    total = sum(mask.numel() for mask in masks.values())
    wanted = sum(new.values()) * masking.remaining(masks) / total
    shares = _within_one(erk(morph.after), new, wanted)
    return _drawn(morph, masks, skeleton, generator, shares)


def copied(
    morph: Morph, masks: Masks, skeleton: Mapping[str, Tensor], generator: Generator, density: float
) -> Masks:
    """New layers that copy old ones have their masks (Chen et al. 2021); all else is dense."""
    new = masking.dense(morph.after)
    for layer, model in morph.models.items():
        if (name := f"{layer}.weight") in new:
            new[name] = masks[f"{model}.weight"].clone()
    return transplant(masks, morph, new)


def _drawn(
    morph: Morph,
    masks: Masks,
    skeleton: Mapping[str, Tensor],
    generator: Generator,
    densities: Mapping[str, float],
) -> Masks:
    """Masks whose new weights are drawn at random, at a density for each tensor.

    Each tensor gets exactly round(density * its new weights), but never less than its skeleton and
    one weight for each new unit that reads or is read there: a unit without one would be dead.
    """
    has_ancestor = inherited(morph)
    new: Masks = {}
    for name in morph.after.prunable:
        free = ~has_ancestor[name]
        draw = torch.rand(free.shape, generator=generator, dtype=torch.float64)
        bones = skeleton.get(name, torch.zeros_like(free)) | _lifelines(morph, name, draw * free)
        bones &= free
        count = max(round(densities[name] * int(free.sum())), int(bones.sum()))
        rank = torch.where(bones, 2.0, draw)  # bones outrank every draw
        new |= masking.drop_lowest({name: free}, {name: rank}, int(free.sum()) - count)
    return transplant(masks, morph, new)


def _within_one(
    relative: Mapping[str, float], sizes: Mapping[str, int], wanted: float
) -> dict[str, float]:
    """Densities in proportion to `relative`, none above 1, that make `wanted` weights in all."""
    found: dict[str, float] = {}
    open_ = dict(sizes)
    while open_:
        rest = wanted - sum(sizes[name] for name in found)
        scale = rest / max(1e-12, sum(relative[name] * n for name, n in open_.items()))
        full = [name for name in open_ if relative[name] * scale > 1]
        if not full:
            return found | {name: max(0.0, relative[name] * scale) for name in open_}
        for name in full:
            found[name] = 1.0
            del open_[name]
    return found


def _lifelines(morph: Morph, name: str, draw: Tensor) -> Tensor:
    """One weight for each new unit on the output and on the input axis: that of highest draw."""
    chosen = torch.zeros(draw.shape, dtype=torch.bool)
    for dimension, row in enumerate(morph.after.tensors[name][:2]):
        turned = draw.transpose(0, dimension)
        sizes = [morph.after.symbols[axis.symbol] * axis.repeat for axis in row]
        parts = []
        for axis, part in zip(row, turned.split(sizes), strict=True):
            units = torch.tensor(morph.origin[axis.symbol].units)
            by_unit = part.reshape(len(units), -1)
            best = torch.zeros(by_unit.shape, dtype=torch.bool)
            best[torch.arange(len(units)), by_unit.argmax(1)] = units == NEW
            parts.append(best.view(part.shape))
        chosen |= torch.cat(parts).transpose(0, dimension)
    return chosen


MASKS_OF_NEW: Mapping[str, MaskOfNew] = MappingProxyType(
    {
        "dense": dense,
        "parent_density": parent_density,
        "erk": erdos_renyi,
        "random": random,
        "copied": copied,
        "constant_budget": parent_density,
    }
)
BUDGETED = frozenset({"constant_budget"})


def pay(
    weights: Mapping[str, Tensor],
    masks: Masks,
    budget: int,
    *,
    is_new: Mapping[str, Tensor],
    last: Mapping[str, Tensor],
) -> Masks:
    """Masks cut back to `budget` weights in all, taken from the weakest inherited ones by |w|.

    This is how a growth of constant budget pays for its new weights: never with one that is new, a
    copy or revived, with those of `last` only when no other is left, and every tensor keeps at
    least one weight. Raises `InputError` where the inherited are too few.
    """
    old = {name: mask & ~is_new[name] for name, mask in masks.items()}
    sizes = {name: weights[name].abs().double() for name in masks}
    above = 1 + max(float(size.max()) for size in sizes.values() if size.numel())
    scores = {name: size + above * last[name] for name, size in sizes.items()}
    excess = max(0, masking.remaining(masks) - budget)
    if excess > sum(max(0, n - 1) for n in masking.counts(old).values()):
        raise InputError(
            f"a growth of {excess} new weights costs more than the ticket has: use mask "
            "parent_density or a smaller ratio"
        )
    kept = masking.drop_lowest(old, scores, excess, floor=1)
    return {name: kept[name] | (masks[name] & ~old[name]) for name in masks}
