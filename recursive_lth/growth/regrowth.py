"""Births inside a layer: weights that were pruned return, others leave."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.cost import training_cost
from recursive_lth.architecture.network import network
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import Morph


def regrow(morph: Morph, soil: Soil) -> Birth:
    """The pruned weights of largest |gradient| return as 0: exact (Dai et al. 2017, 1711.02017).

    NeST's growth of connections: in each layer `ratio` of what remains.
    """
    masks = soil.ticket.masks
    gradient, cost = gradients(soil)
    revived = {n: _top(gradient[n].abs(), ~masks[n], count) for n, count in _counts(soil).items()}
    return Birth(_zero(soil), revived=revived, multiply_adds=cost)


def rigl(morph: Morph, soil: Soil) -> Birth:
    """The weakest `ratio` of each layer leaves, as many of largest |gradient| return as 0 (RigL).

    Evci et al. (2020, arXiv 1911.11134), without their schedule: one exchange a growth. Not
    preserving.
    """
    gradient, cost = gradients(soil)
    dropped, revived = _exchange(soil, {n: gradient[n].abs() for n in soil.ticket.masks})
    return Birth(_zero(soil), revived=revived, dropped=dropped, multiply_adds=cost)


def set_random(morph: Morph, soil: Soil) -> Birth:
    """The weakest `ratio` of each layer leaves, as many random ones return, drawn anew (SET).

    Mocanu et al. (2018, arXiv 1707.04780) drop the smallest positive and the largest negative; here
    the smallest in size, as later work does. Not preserving.
    """
    draws = {
        n: torch.rand(m.shape, generator=soil.generator, dtype=torch.float64)
        for n, m in soil.ticket.masks.items()
    }
    dropped, revived = _exchange(soil, draws)
    return Birth(dict(soil.fresh), revived=revived, dropped=dropped)


def gradients(soil: Soil) -> tuple[dict[str, Tensor], int]:
    """The gradient of the loss in every weight, pruned ones too, in training mode and float64.

    And its cost in multiply-adds: dense, since pruned weights have gradients too.
    """
    ticket, batch = soil.ticket, soil.batch
    values = {name: tensor.double() for name, tensor in ticket.weights.items()}
    live = {name: values[name].requires_grad_() for name in ticket.architecture.prunable}
    logits, _ = network(ticket.architecture)(values, batch.images.double(), training=True)
    found = torch.autograd.grad(F.cross_entropy(logits, batch.labels), list(live.values()))
    cost = training_cost(ticket.cost.multiply_adds, len(batch))
    return dict(zip(live, found, strict=True)), cost


def _exchange(
    soil: Soil, wanted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """In each layer the weakest leave and those most wanted return, as many of one as of the other.

    What leaves does not return at once.
    """
    masks, weights = soil.ticket.masks, soil.ticket.weights
    dropped, revived = {}, {}
    for name, count in _counts(soil).items():
        dropped[name] = _top(-weights[name].abs().double(), masks[name], count)
        revived[name] = _top(wanted[name], ~masks[name], count)
    return dropped, revived


def _counts(soil: Soil) -> dict[str, int]:
    """How many weights of each layer return: `ratio` of those that remain, as far as there are."""
    masks, remaining = soil.ticket.masks, masking.counts(soil.ticket.masks)
    return {n: min(round(soil.ratio * k), masks[n].numel() - k) for n, k in remaining.items()}


def _top(score: Tensor, allowed: Tensor, count: int) -> Tensor:
    """The `count` allowed places of highest score; ties go to the later place."""
    all_but = int(allowed.count_nonzero()) - count
    return masking.drop_lowest({"one": allowed}, {"one": score}, all_but)["one"]


def _zero(soil: Soil) -> dict[str, Tensor]:
    return {name: torch.zeros_like(t) for name, t in soil.fresh.items()}
