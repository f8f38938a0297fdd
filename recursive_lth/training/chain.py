"""Chains: perceptrons with sparse layers, whose gradients are computed without PyTorch's tape.

A step with few remaining weights is over before a tape has been written and read. Here the same
sums are done by hand, in the layout that sparse products want: (features, samples) from the first
layer to the last. Many networks joined are a chain as well, with their features one below the
other. Batches are filled up so that every row begins where a line of the processor's memory does:
with 64 samples in place of 60 products take four fifths of the time.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.sparse import Pattern, gradient, product, product_turned
from recursive_lth.training import onednn

LINE = 16  # samples that a line holds, in float32


@dataclass(frozen=True)
class Link:
    """A linear layer: its tensors, the pattern where it is sparse, and whether a ReLU follows.

    A dense matrix is (out, in), or (members, out, in) of networks that are joined. oneDNN may do
    the products of one that stands alone.
    """

    weight: str
    bias: str
    pattern: Pattern | None = None
    is_by_onednn: bool = False
    is_rectified: bool = False

    def forward(self, live: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """What it gives for x (in, samples): (out, samples)."""
        weight, bias = live[self.weight], live.get(self.bias)
        out = product(self.pattern, weight, x) if self.pattern else self._times(weight, x)
        if bias is not None:
            out += bias.view(-1, 1)
        return out.relu_() if self.is_rectified else out

    def backward(
        self, live: Mapping[str, Tensor], x: Tensor, out: Tensor, above: Tensor, *, is_first: bool
    ) -> Tensor:
        """Put down the gradients of its tensors; that of x, `above` being that of what it gave.

        The first layer reads the images, which need none. `above` is used up.
        """
        weight, bias, pattern = live[self.weight], live.get(self.bias), self.pattern
        if self.is_rectified:
            torch.ops.aten.threshold_backward.grad_input(above, out, 0, grad_input=above)
        if bias is not None:
            bias.grad = above.sum(1).view_as(bias)
        if pattern:
            weight.grad = gradient(pattern, above, x)
        else:
            found = self._outer(weight, above, x)  # to lie in memory as its parameter does
            weight.grad = found if weight.is_contiguous() else torch.empty_like(weight).copy_(found)
        if is_first:
            return above
        return product_turned(pattern, weight, above) if pattern else self._times(weight.mT, above)

    def _times(self, matrix: Tensor, x: Tensor) -> Tensor:
        """One matrix (out, in) times x (in, samples), or each of many times its own rows of x."""
        if self.is_by_onednn:
            return onednn.product(matrix, x.t())
        if matrix.dim() == 2:
            return matrix @ x
        return torch.bmm(matrix, x.view(len(matrix), matrix.shape[2], -1)).flatten(0, 1)

    def _outer(self, matrix: Tensor, above: Tensor, x: Tensor) -> Tensor:
        """The gradient of such a matrix."""
        if self.is_by_onednn:
            return onednn.product(above, x)
        if matrix.dim() == 2:
            return above @ x.t()
        count, out, width = matrix.shape
        return torch.bmm(above.view(count, out, -1), x.view(count, width, -1).mT)


@dataclass(frozen=True)
class Chain:
    """Linear layers in a row, and the cross-entropy at their end."""

    links: tuple[Link, ...]

    @torch.no_grad()
    def learn(
        self, live: Mapping[str, Tensor], x: Tensor, labels: Tensor, label_smoothing: float
    ) -> Tensor:
        """The losses (members,) for x (features, filled up) and labels (members, samples).

        The gradient of their sum is put down with every tensor of the links. What x is filled up
        with has no part in it.
        """
        seen = [x]
        for link in self.links:
            seen.append(link.forward(live, seen[-1]))
        logits = seen[-1].view(len(labels), -1, x.shape[1])
        losses, gradients = cross_entropy(logits, labels, label_smoothing)
        above = gradients.flatten(0, 1)
        for number in reversed(range(len(self.links))):
            read, given = seen[number], seen.pop()
            link = self.links[number]
            above = link.backward(live, read, given, above, is_first=not number)
        return losses


def chain_of(
    architecture: Architecture, patterns: Mapping[str, Pattern], by_onednn: Collection[str] = ()
) -> Chain | None:
    """The chain that an architecture is whose weights of these `patterns` are sparse.

    Of the others oneDNN does the layers named. None where no weight is sparse, or anything but
    ReLUs lies between linear layers.
    """
    layers, links = architecture.layers, list[Link]()
    for name in architecture.order[1:] if is_chain(architecture) else ():
        weight = f"{name}.weight"
        if layers[name].operation == "linear":
            pattern, by = patterns.get(weight), name in by_onednn
            links.append(Link(weight, f"{name}.bias", pattern, is_by_onednn=by))
        elif layers[name].operation == "relu":
            links[-1] = replace(links[-1], is_rectified=True)
    return Chain(tuple(links)) if any(link.pattern for link in links) else None


def is_chain(architecture: Architecture) -> bool:
    """True iff the layers are linear ones in a row, with or without a ReLU after each."""
    layers, order = architecture.layers, architecture.order
    if any(layers[name].inputs != (before,) for before, name in pairwise(order)):
        return False
    kinds = [layers[name].operation for name in order]
    while kinds[1] == "flatten":
        del kinds[1]
    return all(
        kind == "linear" or (kind == "relu" and before == "linear")
        for before, kind in pairwise(kinds)
    )


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """Mean losses (members,) of logits (members, classes, samples), and the gradient of their sum.

    As PyTorch's, also with its label smoothing (Szegedy et al. 2016). Logits beyond the labels
    (members, samples) are no samples: their gradient is 0.
    """
    classes, samples = logits.shape[1], labels.shape[1]
    logs, own = logits[..., :samples].log_softmax(1), labels[:, None]
    right = logs.gather(1, own)
    losses = right.mean((1, 2)) * (label_smoothing - 1)
    if label_smoothing:
        losses -= logs.mean((1, 2)) * label_smoothing
    found = logs.exp_().scatter_add_(1, own, torch.full_like(right, label_smoothing - 1))
    if label_smoothing:
        found -= label_smoothing / classes
    return losses, F.pad(found.div_(samples), (0, logits.shape[2] - samples))


def filled_up(samples: int) -> int:
    """So many samples in whole lines."""
    return math.ceil(samples / LINE) * LINE
