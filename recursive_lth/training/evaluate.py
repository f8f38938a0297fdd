"""Accuracy, loss, and loss at the best temperature, on a whole part at once."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import memory_format, network
from recursive_lth.training.engine import Engine
from recursive_lth.training.samples import BATCH, Samples

TEMPERATURES = (0.05, 20.0)
MOST_READ = 0.25  # density up to which sparse layers answer faster than dense ones, found on LeNets


@dataclass(frozen=True)
class Evaluation:
    """Accuracy in [0, 1], mean cross-entropy in nats, and the same at the best temperature.

    All three are NaN-free unless the network has diverged, when losses are infinite.
    """

    accuracy: float
    loss: float
    calibrated_loss: float
    temperature: float
    samples: int


def logits_of(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    images: Tensor,
    engine: Engine | None = None,
) -> Tensor:
    """Logits (n, classes) in evaluation mode, computed in batches, on the images' device.

    `engine` is the one whose weights they are, if not the dense one.
    """
    layout = memory_format(architecture)
    batches = (batch.contiguous(memory_format=layout) for batch in images.split(BATCH))
    return _logits(architecture, weights, batches, images.device, engine)


def evaluate(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    samples: Samples,
    engine: Engine | None = None,
) -> Evaluation:
    """How well a network does on these samples.

    For an engine that `is_turned`, of density up to `MOST_READ`, they keep their images so for the
    next time.
    """
    logits = _logits_on(architecture, weights, samples, engine)
    if not bool(logits.isfinite().all()):
        return Evaluation(0.0, float("inf"), float("inf"), 1.0, len(samples))
    loss, least, temperature = calibrated(logits.double(), samples.labels)
    right = _share_right(logits, samples.labels)
    return Evaluation(right, loss, least, temperature, len(samples))


def accuracy(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    samples: Samples,
    engine: Engine | None = None,
) -> float:
    """The share of these samples that a network tells right; 0 where its logits are not finite."""
    logits = _logits_on(architecture, weights, samples, engine)
    if not bool(logits.isfinite().all()):
        return 0.0
    return _share_right(logits, samples.labels)


def _logits_on(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    samples: Samples,
    engine: Engine | None,
) -> Tensor:
    """Logits for samples, which an engine that `is_turned` reads as they lie feature by feature.

    Forward alone what trains sparse is the faster dense already at a lower density.
    """
    if engine and engine.density > MOST_READ:
        return logits_of(architecture, engine.unpack(weights), samples.images)
    if engine and engine.is_turned:
        return _logits(architecture, weights, samples.turned, samples.device, engine)
    return logits_of(architecture, weights, samples.images, engine)


def _share_right(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of least cross-entropy within 0.05-20 (Guo et al. 2017, arXiv 1706.04599)."""
    return calibrated(logits, labels)[2]


def calibrated(logits: Tensor, labels: Tensor) -> tuple[float, float, float]:
    """Mean cross-entropy in nats, the least over temperatures, and the temperature of that.

    `logits` float64 (n, classes), `labels` (n,). The loss is convex in 1 / temperature, so that a
    bounded scalar search of its logarithm finds it. Logits are those above the right one's, so that
    no loss is below 0, and lie class by class, where exponentials are four times as fast.
    """
    above = (logits - logits.gather(1, labels[:, None])).t().contiguous()
    low, high = (math.log(temperature) for temperature in TEMPERATURES)

    def loss(coolness: float) -> float:
        return float((above * math.exp(coolness)).logsumexp(0).mean())

    found = minimize_scalar(loss, bounds=(-high, -low), method="bounded", options={"xatol": 1e-4})
    as_it_is, least = loss(0.0), float(np.asarray(found.fun))
    if least > as_it_is:
        return as_it_is, as_it_is, 1.0
    return as_it_is, least, math.exp(-float(np.asarray(found.x)))


def _logits(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    batches: Iterable[Tensor],
    device: torch.device,
    engine: Engine | None,
) -> Tensor:
    forward = engine.forward if engine else network(architecture)
    here = {name: tensor.to(device) for name, tensor in weights.items()}
    with torch.no_grad():
        return torch.cat([forward(here, batch)[0] for batch in batches])
