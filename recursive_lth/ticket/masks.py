"""Masks: for every prunable weight a bool tensor of its shape, true where the weight remains."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.cost import Cost, cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.errors import InputError
from recursive_lth.ticket.selection import clear_lowest, has_nan

Masks = dict[str, Tensor]


def dense(architecture: Architecture) -> Masks:
    """Masks that keep every weight."""
    return {n: torch.ones(architecture.shape(n), dtype=torch.bool) for n in architecture.prunable}


def none(masks: Mapping[str, Tensor]) -> Masks:
    """False everywhere, in the shapes of these masks."""
    return {name: torch.zeros_like(mask) for name, mask in masks.items()}


def counts(masks: Mapping[str, Tensor]) -> dict[str, int]:
    """How many weights remain in each tensor."""
    return {name: int(mask.count_nonzero()) for name, mask in masks.items()}


def remaining(masks: Mapping[str, Tensor]) -> int:
    """How many weights remain in all."""
    return sum(counts(masks).values())


def masked_cost(architecture: Architecture, masks: Mapping[str, Tensor]) -> Cost:
    """What the architecture costs, dense and under these masks."""
    return cost(architecture, counts(masks))


def apply(tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with 0 where a mask is false; tensors without a mask are handed on as they are.

    Never -0, which has other bytes and so another digest, and also where the tensor is not finite.
    """
    return {
        n: t.masked_fill(~masks[n].to(t.device), 0) if n in masks else t for n, t in tensors.items()
    }


def is_nested(inner: Mapping[str, Tensor], outer: Mapping[str, Tensor]) -> bool:
    """True iff every weight that remains in `inner` remains in `outer`, tensor by tensor."""
    return inner.keys() == outer.keys() and all(
        inner[n].shape == outer[n].shape and not bool((inner[n] & ~outer[n]).any()) for n in inner
    )


def check(architecture: Architecture, masks: Mapping[str, Tensor]) -> None:
    """Raise `InputError` unless `masks` are bool tensors for exactly the prunable weights."""
    if set(masks) != set(architecture.prunable):
        odd = sorted(set(masks) ^ set(architecture.prunable))
        raise InputError(f"masks must cover exactly the prunable weights; differ in {odd}")
    for name, mask in masks.items():
        if mask.dtype != torch.bool or tuple(mask.shape) != architecture.shape(name):
            raise InputError(
                f"mask {name} must be bool of shape {architecture.shape(name)}, "
                f"got {mask.dtype} of {tuple(mask.shape)}"
            )


def drop_lowest(
    masks: Mapping[str, Tensor], scores: Mapping[str, Tensor], count: int, *, floor: int = 0
) -> Masks:
    """Masks with exactly `count` fewer weights: those of lowest (score, tensor order, flat index).

    Tensors compete with one another in the order of `scores`; masks that `scores` do not name are
    handed on. Every tensor keeps at least its `floor` highest (or all, where it has fewer), so that
    no layer collapses. Ties are broken by place, never by removing more.

    Raises `InputError` where a score is NaN or of another shape than its mask, or fewer than
    `count` weights may go.
    """
    if count < 0:
        raise InputError(f"the number of weights to remove must be >= 0, got {count}")
    if not scores:
        raise InputError("no tensor has a score")
    for name, score in scores.items():
        if name not in masks or score.shape != masks[name].shape:
            raise InputError(f"scores of {name}, {tuple(score.shape)}, have no mask of this shape")
        if has_nan(score, masks[name]):
            raise InputError(f"scores of {name} hold NaN: the training before has diverged")
    free = [max(0, int(masks[name].count_nonzero()) - floor) for name in scores]
    if count > sum(free):
        raise InputError(
            f"cannot remove {count} weights: only {sum(free)} may go while every "
            f"layer keeps {floor}; lower the floor or raise the target"
        )
    cut = {n: masks[n].clone(memory_format=torch.contiguous_format) for n in scores}
    clear_lowest(list(cut.values()), list(scores.values()), free, count)
    return dict(masks) | cut
