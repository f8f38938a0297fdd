"""Early-bird tickets: how far apart two drawn masks are, and when they have settled."""

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.errors import InputError
from recursive_lth.ticket.ticket import Ticket


def mask_distance(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """In how many places two masks differ, over how many are kept (the larger of both).

    You et al. (2020, arXiv 1909.11957) divide by the number of channels, of which about half are
    kept. Of weights only few are: divided by all of them, any two sparse masks would seem alike.
    """
    differing = sum(int((first[n] != second[n]).sum()) for n in first)
    kept = max(sum(int(m.sum()) for m in masks.values()) for masks in (first, second))
    return differing / max(1, kept)


class EarlyBird:
    """Remembers the last masks drawn, and tells when the newest is like all of the others.

    You et al. (2020, arXiv 1909.11957) hold a queue of 5 and a threshold of 0.1, looking once an
    epoch; their code, which we follow, compares the newest mask with each of the other four.
    """

    def __init__(self, queue: int, threshold: float) -> None:
        if queue < 2:
            raise InputError(f"an early bird's queue must be >= 2, got {queue}")
        self._threshold = threshold
        self._before: deque[Mapping[str, Tensor]] = deque(maxlen=queue - 1)

    def add(self, masks: Mapping[str, Tensor]) -> bool:
        """Take in the newest masks; true iff the queue is full and no distance is too large."""
        is_full = len(self._before) == self._before.maxlen
        is_settled = is_full and all(
            mask_distance(masks, other) <= self._threshold for other in self._before
        )
        self._before.append({name: mask.clone() for name, mask in masks.items()})
        return is_settled


def channels(architecture: Architecture) -> int:
    """How many channels all BatchNorms of a network have together."""
    layers = architecture.layers.items()
    return sum(architecture.shapes[n][0] for n, y in layers if y.operation == "batchnorm")


def channel_masks(ticket: Ticket, density: float) -> dict[str, Tensor]:
    """For each BatchNorm which channels have the largest |scale|, ranked over the whole network.

    Exactly round(density * channels) are true, ties going to the earlier ones; as in You et al., a
    layer may lose all of its channels. Raises `InputError`
    where the network has no BatchNorm.
    """
    names = [
        f"{name}.weight"
        for name in ticket.architecture.order
        if ticket.architecture.layers[name].operation == "batchnorm"
    ]
    if not names:
        raise InputError(
            "early-bird tickets of units are drawn by BatchNorm's scales, and this network has "
            "none: prune weights instead, or set tickets.early_bird=0"
        )
    scales = [ticket.weights[name].abs() for name in names]
    order = torch.cat(scales).argsort(descending=True, stable=True)
    kept = torch.zeros(len(order), dtype=torch.bool)
    kept[order[: round(density * len(order))]] = True
    return dict(zip(names, kept.split([len(s) for s in scales]), strict=True))
