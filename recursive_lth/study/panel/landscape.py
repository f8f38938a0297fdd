"""The loss around a network as a function of one vector: all that a training can move."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights, memory_format, network
from recursive_lth.errors import InputError
from recursive_lth.study.panel.parts import learning
from recursive_lth.training.samples import BATCH, Samples


@dataclass(frozen=True)
class Landscape:
    """The mean cross-entropy, in nats, over some samples, as a function of a vector (entries,).

    The vector holds every trainable tensor flattened, in the order in which the layers run, and is
    0 where weights are pruned: `is_live` is false there, and gradients and products are 0. `point`
    is where the network stands. With `training`, BatchNorm uses the statistics of each batch (of at
    most 500 samples), else the running ones, which the landscape holds fixed.
    """

    architecture: Architecture
    fixed: Weights  # BatchNorm's running statistics
    samples: Samples
    point: Tensor
    is_live: Tensor
    training: bool

    def tensors(self, vector: Tensor) -> Weights:
        """The network's tensors at a vector, as views of it."""
        names = self.architecture.trainable
        shapes = [self.architecture.shape(name) for name in names]
        parts = vector.split([torch.Size(shape).numel() for shape in shapes])
        live = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        return self.fixed | live

    def loss(self, at: Tensor) -> float:
        """The loss at a vector. One forward pass."""
        with torch.no_grad():
            return sum(float(part) for part in self._parts(at))

    def gradient(self, at: Tensor) -> Tensor:
        """The loss's gradient at a vector. One forward and backward pass."""
        return self._sum(at, lambda slope, _: slope)

    def product(self, vector: Tensor) -> Tensor:
        """The Hessian at `point` times a vector, by differentiating twice (Pearlmutter 1994).

        About two forward and backward passes. As slope counts what autograd says: a ReLU has no
        curvature at its kink.
        """

        def curved(slope: Tensor, live: Tensor) -> Tensor:
            (found,) = torch.autograd.grad(slope @ vector, live, materialize_grads=True)
            return found

        return self._sum(self.point, curved, is_twice=True)

    def _parts(self, at: Tensor) -> Iterator[Tensor]:
        """What each batch adds to the mean loss."""
        run, layout = network(self.architecture), memory_format(self.architecture)
        images, labels = self.samples.images, self.samples.labels
        batches = -(-len(labels) // BATCH)
        for some, theirs in zip(
            images.tensor_split(batches), labels.tensor_split(batches), strict=True
        ):
            batch = some.to(at.dtype).contiguous(memory_format=layout)
            logits, _ = run(self.tensors(at), batch, training=self.training)
            yield F.cross_entropy(logits, theirs, reduction="sum") / len(labels)

    def _sum(
        self, at: Tensor, of: Callable[[Tensor, Tensor], Tensor], *, is_twice: bool = False
    ) -> Tensor:
        """The sum over batches of a function of (gradient, what it is the gradient in)."""
        live = at.detach().clone().requires_grad_()
        total = torch.zeros_like(at)
        for part in self._parts(live):
            (slope,) = torch.autograd.grad(part, live, create_graph=is_twice)
            total += of(slope, live)
        return total * self.is_live


def landscape(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    samples: Samples,
    *,
    training: bool = False,
    precision: torch.dtype = torch.float32,
) -> Landscape:
    """The loss around these weights, on the device of the samples, in the given precision.

    `samples.images` are (n, channels, height, width) or (n, features). Raises `InputError` where
    there are no samples.
    """
    if not len(samples):
        raise InputError("a loss needs samples, got none: raise study.samples")
    device = samples.images.device
    here = {n: t.detach().to(device, precision) for n, t in weights.items()}
    live = learning(architecture, masks)
    is_live = torch.cat([mask.flatten().to(device) for mask in live.values()])
    point = torch.cat([here[name].flatten() for name in live]) * is_live
    fixed = {name: tensor for name, tensor in here.items() if name not in live}
    return Landscape(architecture, fixed, samples, point, is_live, training)
