"""How sure a network is beside how right it is, and how much better it does where it has learnt."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.training.evaluate import best_temperature, calibrated, evaluate
from recursive_lth.training.samples import Samples

BINS = 15


@dataclass(frozen=True)
class Gap:
    """Validation loss less training loss (nats), and training accuracy less validation accuracy.

    Both are above 0 where a network does better on what it was trained on.
    """

    loss: float
    accuracy: float


def over_confidence(logits: Tensor, labels: Tensor) -> float | None:
    """The nats that a network loses by being too sure; below 0 where it is not sure enough.

    The size is the mean cross-entropy less that at the best temperature (Guo et al. 2017,
    arXiv 1706.04599), the sign that of the temperature less 1: both too sure and too unsure cost.
    `logits` (n, classes), `labels` (n,); one forward pass makes the logits. None where a logit is
    not finite.
    """
    logits = logits.double()
    if not bool(logits.isfinite().all()):
        return None
    loss, least, temperature = calibrated(logits, labels)
    return math.copysign(loss - least, temperature - 1)


def temperature(logits: Tensor, labels: Tensor) -> float | None:
    """The temperature of least cross-entropy: above 1 where a network is too sure (Guo et al.)."""
    logits = logits.double()
    return best_temperature(logits, labels) if bool(logits.isfinite().all()) else None


def calibration_error(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> float | None:
    """The mean distance of accuracy from confidence, in [0, 1], over bins of like confidence.

    The expected calibration error of Guo et al. (2017, arXiv 1706.04599, equation 3): confidence is
    the largest softmax, each of the equal bins (0, 1/15], ... counts with its share of samples.
    None where a logit is not finite.
    """
    if not bool(logits.isfinite().all()):
        return None
    sure, chosen = logits.double().softmax(1).max(1)
    place = (sure * bins).ceil().long().sub(1).clamp(0, bins - 1)
    excess = sure - (chosen == labels).double()
    sums = torch.zeros(bins, dtype=torch.float64, device=sure.device)
    return float(sums.index_add(0, place, excess).abs().sum()) / len(labels)


def generalisation_gap(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    training: Samples,
    validation: Samples,
) -> Gap | None:
    """How much better a network does on training samples than on validation samples.

    A forward pass over each, in evaluation mode. None where a loss is not finite.
    """
    known = evaluate(architecture, weights, training)
    unknown = evaluate(architecture, weights, validation)
    if not (math.isfinite(known.loss) and math.isfinite(unknown.loss)):
        return None
    return Gap(unknown.loss - known.loss, known.accuracy - unknown.accuracy)
