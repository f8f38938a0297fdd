"""Accuracy, loss, and loss at the best temperature, on a whole part at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Forward, memory_format, network
from recursive_lth.training.samples import Samples

BATCH = 500
TEMPERATURES = (0.05, 20.0)


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
    forward: Forward | None = None,
) -> Tensor:
    """Logits (n, classes) in evaluation mode, computed in batches, on the images' device.

    `forward` is that of the engine whose weights they are, if not the dense one.
    """
    forward, layout = forward or network(architecture), memory_format(architecture)
    here = {name: tensor.to(images.device) for name, tensor in weights.items()}
    with torch.no_grad():
        batches = (batch.contiguous(memory_format=layout) for batch in images.split(BATCH))
        return torch.cat([forward(here, batch)[0] for batch in batches])


def evaluate(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    samples: Samples,
    forward: Forward | None = None,
) -> Evaluation:
    """How well a network does on these samples."""
    logits = logits_of(architecture, weights, samples.images, forward).double()
    if not bool(logits.isfinite().all()):
        return Evaluation(0.0, float("inf"), float("inf"), 1.0, len(samples))
    accuracy = _share_right(logits, samples.labels)
    loss = float(F.cross_entropy(logits, samples.labels))
    temperature = best_temperature(logits, samples.labels)
    calibrated = float(F.cross_entropy(logits / temperature, samples.labels))
    return Evaluation(accuracy, loss, min(calibrated, loss), temperature, len(samples))


def accuracy(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    samples: Samples,
    forward: Forward | None = None,
) -> float:
    """The share of these samples that a network tells right; 0 where its logits are not finite."""
    logits = logits_of(architecture, weights, samples.images, forward)
    if not bool(logits.isfinite().all()):
        return 0.0
    return _share_right(logits, samples.labels)


def _share_right(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of least cross-entropy (Guo et al. 2017, arXiv 1706.04599), within 0.05-20.

    The loss is convex in 1 / temperature, so that a bounded scalar search of its logarithm finds
    it. It lies class by class, where exponentials are four times as fast.
    """
    by_class, right = logits.t().contiguous(), logits.gather(1, labels[:, None]).mean()
    low, high = (math.log(temperature) for temperature in TEMPERATURES)

    def loss(coolness: float) -> float:
        sharpness = math.exp(coolness)
        return float((by_class * sharpness).logsumexp(0).mean() - right * sharpness)

    found = minimize_scalar(loss, bounds=(-high, -low), method="bounded", options={"xatol": 1e-4})
    coolness = float(np.asarray(found.x))
    return math.exp(-coolness) if loss(coolness) <= loss(0.0) else 1.0
