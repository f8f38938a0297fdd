"""Certificate: how much a growth changed the function, and what it brings to learn.

Measured on real inputs in float64.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.errors import InputError
from recursive_lth.growth.birth import Batch
from recursive_lth.ticket.ticket import Ticket

ROUNDING = 1e-10  # largest change of a logit that is rounding, in float64: of one of size 1 or less
STEP = 0.01  # the learning rate of the step that parent and child are compared after


@dataclass(frozen=True)
class Certificate:
    """What a growth has changed, and what it brings.

    `eval` and `train` are the largest change of any logit in that mode, `after_budget` that in
    evaluation mode once a growth of constant budget has paid for its new weights with old ones
    (None where nothing was paid). `loss_change` is that of the training loss, `new_gradient` the
    norm of its gradient on the new weights and biases (0: they learn nothing at the first step),
    and `next_step` the largest change of a logit between parent and child after each has made one
    plain step of gradient descent at rate 0.01, both in training mode: next to 0 where the growth
    leaves the parent's path of learning as it was.
    """

    operator: str
    initialisation: str
    claims_exact: bool
    eval: float
    train: float
    after_budget: float | None
    samples: int
    loss_change: float
    new_gradient: float
    next_step: float
    reason: str = ""  # why it claims nothing


Side = tuple[Architecture, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Stand:
    """How a network does on a batch, in float64, and what one step of gradient descent makes of it.

    `eval` and `train` are its logits in that mode, `stepped` those in training mode after the step;
    `loss` and `gradient`, of the remaining weights, are those of training.
    """

    eval: Tensor
    train: Tensor
    loss: float
    gradient: Mapping[str, Tensor]
    stepped: Tensor


def stand_of(ticket: Ticket, batch: Batch) -> Stand:
    """How a ticket does on a batch: one forward to evaluate, one to learn, and one thereafter."""
    architecture, images = ticket.architecture, batch.images.double()
    forward = network(architecture)
    values = {name: tensor.double() for name, tensor in ticket.weights.items()}
    live = {name: values[name].clone().requires_grad_() for name in architecture.trainable}
    train, _ = forward(values | live, images, training=True)
    loss = F.cross_entropy(train, batch.labels)
    found = torch.autograd.grad(loss, list(live.values()), materialize_grads=True)
    gradient = dict(zip(live, found, strict=True))
    gradient |= {n: gradient[n] * mask for n, mask in ticket.masks.items()}
    after = values | {n: values[n] - STEP * gradient[n] for n in live}
    with torch.no_grad():
        evaluated, stepped = forward(values, images)[0], forward(after, images, training=True)[0]
    return Stand(evaluated, train.detach(), float(loss.detach()), gradient, stepped)


def certify(
    before: Stand,
    after: Ticket,
    batch: Batch,
    *,
    operator: str,
    initialisation: str,
    why_inexact: str,
    is_new: Mapping[str, Tensor],
    paid: Mapping[str, Tensor] | None = None,
) -> Certificate:
    """The certificate of a growth to `after`, of a ticket that stood `before`, held to its claim.

    Both do the same batch. `why_inexact` says why the growth claims nothing and is "" where it
    claims to preserve the function, `is_new` marks for each tensor after the entries that it
    brought, `paid` are the weights after it has paid for them. Raises `BrokenPromiseError` where it
    claims to be exact and is not.
    """
    now = stand_of(after, batch)
    certificate = Certificate(
        operator=operator,
        initialisation=initialisation,
        claims_exact=not why_inexact,
        eval=_largest(now.eval - before.eval),
        train=_largest(now.train - before.train),
        after_budget=None
        if paid is None
        else _largest(_logits((after.architecture, paid), batch.images.double()) - before.eval),
        samples=len(batch),
        loss_change=now.loss - before.loss,
        new_gradient=_norm_of_new(now.gradient, is_new),
        next_step=_largest(now.stepped - before.stepped),
        reason=why_inexact,
    )
    enforce(certificate, max(_largest(before.eval), _largest(before.train)))
    return certificate


def _norm_of_new(gradient: Mapping[str, Tensor], is_new: Mapping[str, Tensor]) -> float:
    """The norm of a gradient's entries that are new, 0 where none is."""
    squares = [
        (found[is_new[name]] ** 2).sum()
        for name, found in gradient.items()
        if bool(is_new[name].any())
    ]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


def _largest(found: Tensor) -> float:
    return float(found.abs().max())


def largest_change(
    before: Side, after: Side, inputs: Tensor, *, training: bool, dtype: torch.dtype = torch.float64
) -> float:
    """The largest absolute difference of a logit between two networks on the same inputs."""
    one, other = (_logits(side, inputs.to(dtype), training=training) for side in (before, after))
    return _largest(one - other)


def _logits(side: Side, inputs: Tensor, *, training: bool = False) -> Tensor:
    """What a network gives, in the type of its inputs."""
    architecture, weights = side
    cast = {name: tensor.to(inputs.dtype) for name, tensor in weights.items()}
    with torch.no_grad():
        return network(architecture)(cast, inputs, training=training)[0]


class BrokenPromiseError(InputError):
    """An operator that claims to preserve the function has changed it: a fault of the operator."""


def enforce(certificate: Certificate, largest: float = 1.0) -> None:
    """Raise `BrokenPromiseError` where an operator claims to preserve the function and does not.

    Logits of size `largest` above 1 may change by rounding in proportion.
    """
    most = ROUNDING * max(1.0, largest)
    broken = [c for c in (certificate.eval, certificate.train) if not c <= most]  # NaN too
    if certificate.claims_exact and broken:
        raise BrokenPromiseError(
            f"{certificate.operator} with {certificate.initialisation} claims to preserve the "
            f"function and changed a logit by {broken[0]:.3g}: name another initialisation"
        )
