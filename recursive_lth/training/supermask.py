"""Supermasks: masks that are trained while every weight stays as it was born.

What is trained are scores, one for each prunable weight, under the weights' own names. A `Lens`
turns them into masked weights for the forward; biases and norms stay as they are.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from recursive_lth import seeds
from recursive_lth.config import Supermask, pick
from recursive_lth.errors import InputError
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks, drop_lowest
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.lens import Lens

Make = Callable[[Ticket, Mapping[str, int], int, torch.device], Lens]
SPREAD = 0.01  # deviation of a Bernoulli mask's first scores: all kept with probability near 1/2


def frozen(ticket: Ticket, settings: Supermask) -> Ticket:
    """The ticket whose weights will not move: as born, or signed constants.

    Constants are sign(w) times the deviation that the layer was drawn with (the "signed constant"
    of Zhou et al. 2019, arXiv 1905.01067; Ramanujan et al. 2020, arXiv 1911.13299).
    """
    if settings.weights == "as_born":
        return ticket
    names = set(ticket.architecture.prunable)
    values = {
        name: t.sign() * t.std(correction=0) if name in names else t
        for name, t in ticket.rewind.items()
    }
    return replace(ticket, weights=masking.apply(values, ticket.masks), rewind=values)


def first_scores(ticket: Ticket, settings: Supermask, generator: Generator) -> Ticket:
    """A ticket that holds scores in the place of its prunable weights, ready to be trained.

    For edge-popup uniform in +-1 / sqrt(fan_in), as its authors' code; else about 0, where a weight
    is kept with probability 1/2.
    """
    values = dict(ticket.weights)
    for name in ticket.architecture.prunable:
        empty = torch.empty(ticket.architecture.shape(name))
        bound = 1 / math.sqrt(empty[0].numel())
        if settings.method == "edge_popup":
            values[name] = empty.uniform_(-bound, bound, generator=generator)
        else:
            values[name] = empty.normal_(0, SPREAD, generator=generator)
    return replace(ticket, weights=masking.apply(values, ticket.masks))


def supermask_lens(
    ticket: Ticket, settings: Supermask, keep: Mapping[str, int], seed: int, device: torch.device
) -> Lens:
    """How the forward reads scores as masked weights of the (frozen) ticket.

    `keep` says how many weights of each tensor edge-popup keeps. `seed` decides what masks are
    drawn at which step. Raises `InputError` where the method is unknown, or `keep` lacks a prunable
    tensor or asks for more weights than remain.
    """
    for name, left in masking.counts(ticket.masks).items():
        if not 0 <= keep.get(name, -1) <= left:
            raise InputError(
                f"a supermask keeps 0 to {left} weights of {name}, got {keep.get(name)}"
            )
    return pick(METHODS, settings.method, "supermask method")(ticket, keep, seed, device)


def top_masks(ticket: Ticket, scores: Mapping[str, Tensor], keep: Mapping[str, int]) -> Masks:
    """The ticket's masks with exactly `keep` weights of each tensor: the top, of equals last."""
    masks = ticket.masks
    for name, count in keep.items():
        score = scores[name].detach().cpu()
        masks = drop_lowest(masks, {name: score}, int(masks[name].sum()) - count)
    return masks


def likely_masks(ticket: Ticket, scores: Mapping[str, Tensor]) -> Masks:
    """The weights that a Bernoulli mask keeps with a probability above 1/2."""
    return {name: mask & (scores[name].detach().cpu() > 0) for name, mask in ticket.masks.items()}


def _edge_popup(ticket: Ticket, keep: Mapping[str, int], seed: int, device: torch.device) -> Lens:
    """Keep the highest |score| of each layer; the gradient goes straight through to the scores.

    Ramanujan et al. (2020, arXiv 1911.13299): |score| gets the gradient of the effective weight
    times the weight, whether it is kept or not.
    """
    values, allowed = _there(ticket.weights, device), _there(ticket.masks, device)

    def read(live: Mapping[str, Tensor], step: int | None) -> Mapping[str, Tensor]:
        found = dict(live)
        for name, count in keep.items():
            size = live[name].abs()
            kept = _largest(size.detach(), allowed[name], count)
            found[name] = values[name] * straight_through(size, kept)
        return found

    return Lens(ticket.architecture.prunable, read)


def _bernoulli(ticket: Ticket, keep: Mapping[str, int], seed: int, device: torch.device) -> Lens:
    """Keep each weight with probability sigmoid(score), drawn anew at every step; straight through.

    Zhou et al. (2019, arXiv 1905.01067), who draw when they evaluate too; here the likelier mask is
    read then, so that what is evaluated is one mask. It is worth what drawn masks are only where
    scores have grown large: on MNIST, after five epochs, 60 against 66 % at Adam's rate .003, 85
    against 97 % at .1, both 96 % at .3.
    """
    values, allowed = _there(ticket.weights, device), _there(ticket.masks, device)

    def read(live: Mapping[str, Tensor], step: int | None) -> Mapping[str, Tensor]:
        found = dict(live)
        for name, kept in _drawn(live, allowed, seed, step).items():
            found[name] = values[name] * straight_through(live[name].sigmoid(), kept)
        return found

    return Lens(ticket.architecture.prunable, read)


def _reinforce(ticket: Ticket, keep: Mapping[str, int], seed: int, device: torch.device) -> Lens:
    """Masks drawn as for `bernoulli`, learnt by the score function (Williams 1992).

    A score's gradient is (loss - baseline) * d log p(mask) / d score: that of the expected loss, as
    the mask is drawn. The baseline is the loss of a guess, log(classes): a constant leaves the
    gradient unbiased and a resumed run the same.
    """
    values, allowed = _there(ticket.weights, device), _there(ticket.masks, device)
    baseline = math.log(ticket.architecture.classes)

    def read(live: Mapping[str, Tensor], step: int | None) -> Mapping[str, Tensor]:
        drawn = _drawn(live, allowed, seed, step)
        return dict(live) | {name: values[name] * kept for name, kept in drawn.items()}

    def price(loss: Tensor, live: Mapping[str, Tensor], step: int) -> Tensor:
        surprise = [
            F.binary_cross_entropy_with_logits(
                live[name], kept.to(live[name]), allowed[name].to(live[name]), reduction="sum"
            )
            for name, kept in _drawn(live, allowed, seed, step).items()
        ]
        return (baseline - loss.detach()) * torch.stack(surprise).sum()

    return Lens(ticket.architecture.prunable, read, price)


def straight_through(soft: Tensor, hard: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft` (Bengio et al. 2013, arXiv 1308.3432)."""
    return hard.to(soft.dtype) + (soft - soft.detach())


def _there(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _drawn(
    live: Mapping[str, Tensor], allowed: Mapping[str, Tensor], seed: int, step: int | None
) -> dict[str, Tensor]:
    """The masks of a step, which depend on seed and step alone; without one the likelier ones."""
    if step is None:
        return {name: (live[name] > 0) & mask for name, mask in allowed.items()}
    draw = seeds.generator(seed, "mask", step)
    found = {}
    for name, mask in allowed.items():
        chance = live[name].detach().sigmoid()
        found[name] = (torch.rand(mask.shape, generator=draw).to(chance) < chance) & mask
    return found


def _largest(size: Tensor, allowed: Tensor, count: int) -> Tensor:
    """A mask of exactly the `count` largest allowed entries; of equals the last, as `drop_lowest`.

    `topk` alone would choose among equals as it likes: another mask than the one that is found.
    """
    flat = size.masked_fill(~allowed, -1).flatten()
    if not count:
        return torch.zeros_like(allowed)
    least = flat.topk(count, sorted=False).values.min()
    kept = flat > least
    equal = (flat == least).nonzero().flatten()
    kept[equal[len(equal) - count + int(kept.sum()) :]] = True
    return kept.view(size.shape)


METHODS: Mapping[str, Make] = MappingProxyType(
    {"edge_popup": _edge_popup, "bernoulli": _bernoulli, "reinforce": _reinforce}
)
