"""The loss as torch's own module computes it, a function of the entries that remain and learn."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from new_unit_networks import living
from strategies import exact_masks, normal_weights, random_samples
from torch import Tensor
from torch.func import functional_call

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.module import module
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.architecture.zoo.residual import resnet
from recursive_lth.study.panel.landscape import Landscape, landscape
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.training.samples import Samples

SAMPLES = 12


@dataclass(frozen=True)
class Case:
    """A small pruned network in float64 with norms that have seen something, and samples."""

    architecture: Architecture
    weights: dict[str, Tensor]
    masks: Masks
    samples: Samples

    def landscape(self, *, training: bool = False) -> Landscape:
        """What is tested, in float64."""
        return landscape(
            self.architecture,
            self.weights,
            self.masks,
            self.samples,
            training=training,
            precision=torch.float64,
        )


@dataclass(frozen=True)
class Slow:
    """The entries that remain as one short vector, and the logits (n, classes) as they vary."""

    point: Tensor  # (remaining entries,)
    logits: Callable[[Tensor], Tensor]
    labels: Tensor

    def loss(self, at: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(at), self.labels)


def linear_net(features: int, classes: int) -> Architecture:
    """One linear layer: a model whose Hessian and tangent kernel can be written down."""
    layers = {
        "input": Layer("input", width="input"),
        "output": Layer("linear", ("input",), "classes"),
    }
    return Architecture(layers, {"input": features, "classes": classes})


ARCHITECTURES: dict[str, Architecture] = {
    "linear": linear_net(5, 3),
    "mlp": mlp((1, 3, 3), 4, (5, 4)),
    "convnet": convnet((2, 6, 6), 3, (3,)),
    "resnet-8": resnet(8)((1, 5, 5), 3, (2, 2, 2)),
}


def case(name: str, seed: int = 0) -> Case:
    """A case by the name of its architecture: two thirds of each tensor's weights remain."""
    architecture = ARCHITECTURES[name]
    sizes = {n: torch.Size(architecture.shape(n)).numel() for n in architecture.prunable}
    masks = exact_masks(architecture, {n: -(-2 * s // 3) for n, s in sizes.items()}, seed)
    drawn = normal_weights(architecture, seed)
    seen = {n: t for n, t in drawn.items() if n.endswith(("running_mean", "running_var"))}
    weights = living(architecture, seed).weights | seen
    batch = random_samples(architecture, SAMPLES, seed)
    return Case(
        architecture,
        masking.apply(weights, masks),
        masks,
        Samples(batch.images, batch.labels),
    )


def slow(given: Case, *, training: bool = False) -> Slow:
    """The twin: PyTorch's own layers, called with tensors that hold the vector at their places."""
    net = module(given.architecture, given.weights).train(training)
    names = given.architecture.trainable
    kept = {n: given.masks.get(n, torch.ones_like(given.weights[n]).bool()) for n in names}
    counts = [int(mask.sum()) for mask in kept.values()]

    def logits(at: Tensor) -> Tensor:
        live = {}
        for (name, mask), part in zip(kept.items(), at.split(counts), strict=True):
            live[name] = torch.zeros(mask.shape, dtype=at.dtype).masked_scatter(mask, part)
        buffers = {n: t.clone() for n, t in net.named_buffers()}
        return torch.as_tensor(functional_call(net, buffers | live, (given.samples.images,)))

    point = torch.cat([given.weights[name][mask] for name, mask in kept.items()])
    return Slow(point, logits, given.samples.labels)


def full_hessian(given: Case) -> Tensor:
    """Every second derivative of the loss, (remaining entries, remaining entries)."""
    twin = slow(given)
    rows = []
    live = twin.point.clone().requires_grad_()
    (slope,) = torch.autograd.grad(twin.loss(live), live, create_graph=True)
    for entry in slope:
        (row,) = torch.autograd.grad(entry, live, retain_graph=True)
        rows.append(row)
    return torch.stack(rows)
