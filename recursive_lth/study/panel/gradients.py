"""How strongly a network is told to move: norms of the loss's gradient at a moment."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.study.panel.landscape import landscape
from recursive_lth.study.panel.parts import norm
from recursive_lth.training.samples import Samples


def loss_gradient(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    samples: Samples,
    *,
    training: bool = True,
    precision: torch.dtype = torch.float32,
) -> Weights:
    """The gradient of the mean loss in every trainable tensor, 0 where weights are pruned.

    In training mode, as an optimizer sees it: BatchNorm uses the batch's statistics. Shapes are
    those of the tensors; nats per unit of weight. One forward and backward pass.
    """
    here = landscape(architecture, weights, masks, samples, training=training, precision=precision)
    found = here.tensors(here.gradient(here.point))
    return {name: found[name] for name in architecture.trainable}


def gradient_norm(gradient: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> float:
    """The Euclidean norm of a gradient over the entries that masks name: nats per unit of weight.

    Over all that learns with `parts.learning`, over one layer with `parts.by_layer` of it.
    """
    return norm(gradient, masks)


def gradient_flow(gradient: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> float:
    """The squared norm: the nats that a step of gradient descent gains, per unit of learning rate.

    L(w) - L(w - r g) = r |g|^2 to first order in r (Evci et al. 2022, arXiv 2010.03533). It ranks
    networks as the norm does, but parts add up: those of layers or generations sum to the whole's.
    """
    return norm(gradient, masks) ** 2


def gradient_to_weight(
    gradient: Mapping[str, Tensor], weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> float | None:
    """|gradient| / |weights| over the entries that masks name: nats per squared unit of weight.

    Times the learning rate, the update-to-weight ratio of one step of gradient descent (of layers:
    You et al. 2017, arXiv 1708.03888). None where all weights are 0.
    """
    size = norm(weights, masks)
    return norm(gradient, masks) / size if size else None
