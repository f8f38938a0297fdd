"""How much gradient a growth adds for what it costs: GradMax's measure of where to grow."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from recursive_lth.architecture.cost import training_cost
from recursive_lth.architecture.network import network
from recursive_lth.growth.birth import Batch, Birth
from recursive_lth.growth.grow import Sprout, new_places
from recursive_lth.ticket.ticket import Ticket


@dataclass(frozen=True)
class GradientGain:
    """The squared norm of the loss's gradient in all new weights, and what they cost.

    `added` is the multiply-adds of one sample that a growth adds, `spent` what it took to find out,
    the birth's own included.
    """

    square: float
    added: int
    spent: int

    @property
    def per_multiply_add(self) -> float:
        """The gain of the squared norm for each multiply-add; at least one is counted."""
        return self.square / max(1, self.added)


def gradient_gain(parent: Ticket, sprout: Sprout, batch: Batch) -> GradientGain:
    """What the weights that a growth brings add to the gradient's squared norm, at their birth.

    The mean loss over the batch, in training mode and float64. A growth that preserves the function
    leaves the old weights' gradient as it is, so that this is the gain of the whole norm: the
    first-order decrease of the loss for a step along the gradient. For units born by `gradmax`, but
    for their biases, it is the sum of the squared singular values times the square of their norm
    (Evci et al. 2022, arXiv 2201.05125). Weights that a mask prunes do not count.
    """
    grown = sprout.ticket
    values = {name: tensor.double() for name, tensor in grown.weights.items()}
    live = {name: values[name].requires_grad_() for name in grown.architecture.trainable}
    run = network(grown.architecture)
    logits, _ = run(values, batch.images.double(), training=True)
    loss = F.cross_entropy(logits, batch.labels)
    found = torch.autograd.grad(loss, list(live.values()), materialize_grads=True)
    new = new_places(sprout.morph, Birth({}, revived=sprout.revived))
    square = sum(
        float((gradient[_counted(name, new, grown)] ** 2).sum())
        for name, gradient in zip(live, found, strict=True)
    )
    added = grown.cost.remaining_multiply_adds - parent.cost.remaining_multiply_adds
    spent = training_cost(grown.cost.remaining_multiply_adds, len(batch))
    return GradientGain(square, added, sprout.multiply_adds + spent)


def _counted(name: str, new: Mapping[str, torch.Tensor], grown: Ticket) -> torch.Tensor:
    """Where a tensor's new entries are that remain."""
    return new[name] & grown.masks[name] if name in grown.masks else new[name]
