"""Certificate: how much a growth changed the function, measured on real inputs in float64."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.errors import InputError

ROUNDING = 1e-10  # largest change of a logit that is rounding, in float64


@dataclass(frozen=True)
class Certificate:
    """The largest change of any logit, in evaluation and in training mode.

    `after_budget` is the change in evaluation mode once a growth of constant budget has paid for
    its new weights with old ones; None where nothing was paid.
    """

    operator: str
    initialisation: str
    claims_exact: bool
    eval: float
    train: float
    after_budget: float | None
    samples: int


Side = tuple[Architecture, Mapping[str, Tensor]]


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


def enforce(certificate: Certificate) -> None:
    """Raise `BrokenPromiseError` where an operator claims to preserve the function and does not."""
    broken = [c for c in (certificate.eval, certificate.train) if not c <= ROUNDING]  # NaN too
    if certificate.claims_exact and broken:
        raise BrokenPromiseError(
            f"{certificate.operator} with {certificate.initialisation} claims to preserve the "
            f"function and changed a logit by {broken[0]:.3g}: name another initialisation"
        )
