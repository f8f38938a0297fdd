"""What a birth may draw on, and what comes of it: the two ends of every initialisation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from recursive_lth.architecture.network import Weights
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.ticket import Ticket


@dataclass(frozen=True)
class Batch:
    """Real inputs, (samples, ...) as the network reads them, and their labels, on the CPU."""

    images: Tensor
    labels: Tensor  # (samples,), integers from 0

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Soil:
    """The parent, fresh values for every tensor after the morph, and a batch for those that learn.

    `generator` is for all further draws, `ratio` what the growth was asked for. The batch is read
    by births that need activations or gradients; the others ignore it.
    """

    ticket: Ticket
    fresh: Weights
    generator: Generator
    batch: Batch
    ratio: float


@dataclass(frozen=True)
class Division:
    """How weights that leave split units are shared out, along the input axis of a tensor.

    `groups` gives each entry of the axis the number of its group of copies, `shares` its part of
    the weight, of which those of a group sum to 1.
    """

    groups: Tensor
    shares: Tensor

    def of(self, tensor: Tensor) -> Tensor:
        """The tensor (out, in, ...) whose copies along its input axis are shared out.

        Every part is rounded to the last place of the whole, and the first copy takes what is
        left: so the parts sum to the weight exactly, in the tensor's own precision.
        """
        whole, number = tensor.double(), torch.finfo(tensor.dtype)
        last_place = torch.full_like(whole, number.eps / 2)
        unit = torch.ldexp(last_place, whole.frexp().exponent)
        unit = unit.clamp(min=number.smallest_normal * number.eps)  # of denormal numbers
        shape = (1, -1, *[1] * (tensor.dim() - 2))
        parts = (whole * self.shares.view(shape) / unit).round() * unit
        count = int(self.groups.max()) + 1
        sums = parts.new_zeros(len(parts), count, *parts.shape[2:])
        sums = sums.index_add(1, self.groups, parts)
        first = [int((self.groups == group).nonzero()[0]) for group in range(count)]
        parts[:, first] += whole[:, first] - sums
        return parts.to(tensor.dtype)


@dataclass(frozen=True)
class Birth:
    """What a growth is born with.

    `values` for every tensor after the morph, of which only new entries are used; the `skeleton` of
    new weights without which the growth would not preserve the function, kept by every mask of new
    weights; `divided` for tensors whose inherited entries are shared out among copies; `scaled` the
    factor of each entry of tensors whose inherited entries change (1 where new); `revived` places
    that were pruned and return, and `dropped` ones that leave, for growth inside a layer;
    `multiply_adds` spent on gradients and activations.
    """

    values: Weights
    skeleton: Mapping[str, Tensor] = field(default_factory=dict)
    divided: Mapping[str, Division] = field(default_factory=dict)
    scaled: Mapping[str, Tensor] = field(default_factory=dict)
    revived: Mapping[str, Tensor] = field(default_factory=dict)
    dropped: Mapping[str, Tensor] = field(default_factory=dict)
    multiply_adds: int = 0


Initialise = Callable[[Morph, Soil], Birth]
