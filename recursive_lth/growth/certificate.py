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


def certify(
    before: Ticket,
    after: Ticket,
    batch: Batch,
    *,
    operator: str,
    initialisation: str,
    why_inexact: str,
    is_new: Mapping[str, Tensor],
    paid: Mapping[str, Tensor] | None = None,
) -> Certificate:
    """The certificate of a growth from `before` to `after`, held to its claim.

    `why_inexact` says why it claims nothing and is "" where it claims to preserve the function,
    `is_new` marks for each tensor after the entries that the growth brought, `paid` are the weights
    after it has paid for them. Raises `BrokenPromiseError` where it claims to be exact and is not.
    """
    sides = ((before.architecture, before.weights), (after.architecture, after.weights))
    certificate = Certificate(
        operator=operator,
        initialisation=initialisation,
        claims_exact=not why_inexact,
        eval=largest_change(*sides, batch.images, training=False),
        train=largest_change(*sides, batch.images, training=True),
        after_budget=None
        if paid is None
        else largest_change(sides[0], (after.architecture, paid), batch.images, training=False),
        samples=len(batch),
        **_learning(before, after, batch, is_new),
        reason=why_inexact,
    )
    enforce(certificate, largest_logit(sides[0], batch.images))
    return certificate


def _learning(
    before: Ticket, after: Ticket, batch: Batch, is_new: Mapping[str, Tensor]
) -> dict[str, float]:
    """What the growth means for learning, from one step of gradient descent on either side."""
    old, new = (_step(ticket, batch) for ticket in (before, after))
    squares = [
        (gradient[is_new[name]] ** 2).sum()
        for name, gradient in new.gradient.items()
        if bool(is_new[name].any())
    ]
    return {
        "loss_change": new.loss - old.loss,
        "new_gradient": float(torch.stack(squares).sum().sqrt()) if squares else 0.0,
        "next_step": largest_change(
            (before.architecture, old.stepped),
            (after.architecture, new.stepped),
            batch.images,
            training=True,
        ),
    }


@dataclass(frozen=True)
class _Step:
    loss: float
    gradient: dict[str, Tensor]
    stepped: dict[str, Tensor]


def _step(ticket: Ticket, batch: Batch) -> _Step:
    """One plain step of gradient descent in training mode, on the remaining weights."""
    architecture = ticket.architecture
    values = {name: tensor.double() for name, tensor in ticket.weights.items()}
    live = {name: values[name].clone().requires_grad_() for name in architecture.trainable}
    logits, _ = network(architecture)(values | live, batch.images.double(), training=True)
    loss = F.cross_entropy(logits, batch.labels)
    found = torch.autograd.grad(loss, list(live.values()), materialize_grads=True)
    gradient = dict(zip(live, found, strict=True))
    gradient |= {n: gradient[n] * mask for n, mask in ticket.masks.items()}
    stepped = {n: values[n] - STEP * gradient[n] for n in live}
    return _Step(float(loss.detach()), gradient, values | stepped)


def largest_change(
    before: Side, after: Side, inputs: Tensor, *, training: bool, dtype: torch.dtype = torch.float64
) -> float:
    """The largest absolute difference of a logit between two networks on the same inputs."""
    logits = []
    with torch.no_grad():
        for architecture, weights in (before, after):
            cast = {name: tensor.to(dtype) for name, tensor in weights.items()}
            logits.append(network(architecture)(cast, inputs.to(dtype), training=training)[0])
    return float((logits[0] - logits[1]).abs().max())


class BrokenPromiseError(InputError):
    """An operator that claims to preserve the function has changed it: a fault of the operator."""


def largest_logit(side: Side, inputs: Tensor) -> float:
    """The largest absolute logit in either mode."""
    architecture, weights = side
    values = {name: tensor.double() for name, tensor in weights.items()}
    forward = network(architecture)
    with torch.no_grad():
        found = [forward(values, inputs.double(), training=mode)[0] for mode in (False, True)]
    return float(torch.stack(found).abs().max())


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
