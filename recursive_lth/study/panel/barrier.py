"""Is there a hill between two networks? The loss along the straight line from one to the other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import Sprout
from recursive_lth.study.panel.batch_statistics import reestimated
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.transplant import transplant
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.samples import Samples

POINTS = 11


@dataclass(frozen=True)
class Line:
    """Mean cross-entropy (nats) and error (1 - accuracy) at equal distances along a line.

    Both ends are included.
    """

    losses: tuple[float, ...]
    errors: tuple[float, ...]


def line_between(
    architecture: Architecture,
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    samples: Samples,
    *,
    points: int = POINTS,
    images: Tensor | None = None,
) -> Line:
    """Loss and error at `points` weights (1 - a) * first + a * second, a from 0 to 1.

    `images` are training images on which BatchNorm's statistics are measured anew at every point,
    the ends too; a network without norms needs none. `points` forward passes over the samples, and
    as many over those images. Raises `InputError` where there are fewer than 2 points, or no images
    for a network with norms.
    """
    if points < 2:
        raise InputError(f"a line needs its 2 ends, got points={points}")
    if images is None and any(n.endswith(STATISTICS) for n in architecture.tensors):
        raise InputError(
            "between two networks BatchNorm has statistics of neither: give training images to "
            "measure them on"
        )
    found = []
    for number in range(points):
        share = number / (points - 1)
        weights = {n: torch.lerp(first[n], second[n].to(first[n]), share) for n in first}
        if images is not None:
            weights = reestimated(architecture, weights, images)
        found.append(evaluate(architecture, weights, samples))
    return Line(tuple(e.loss for e in found), tuple(1 - e.accuracy for e in found))


def barrier(values: Sequence[float]) -> float | None:
    """How far the highest value along a line lies above the mean of its ends; never below 0.

    The linear interpolation instability of Frankle et al. (2020, arXiv 1912.05671), of errors or
    losses: two trainings of one start that differ in data order are linearly connected where it is
    about 0. None where an end is not finite.

    >>> barrier([0.1, 0.5, 0.3])
    0.3
    """
    first, last = values[0], values[-1]
    if not (math.isfinite(first) and math.isfinite(last)):
        return None
    return max(values) - (first + last) / 2


def barrier_above_line(values: Sequence[float]) -> float | None:
    """How far the values rise above the straight line between the ends' own; never below 0.

    After Entezari et al. (2022, arXiv 2110.06296): 0 where the loss only falls from a worse end to
    a better one, as from a parent to its child, where `barrier` is half of what they differ by.

    >>> barrier_above_line([4.0, 2.0, 0.0]), barrier([4.0, 2.0, 0.0])
    (0.0, 2.0)
    """
    first, last = values[0], values[-1]
    if not (math.isfinite(first) and math.isfinite(last)):
        return None
    steps = len(values) - 1
    return max(v - (first + (last - first) * i / steps) for i, v in enumerate(values))


def embedded(weights: Mapping[str, Tensor], sprout: Sprout) -> dict[str, Tensor]:
    """Weights of the parent's architecture as weights of its child's, to draw a line between them.

    Inherited entries are the parent's, shared out or scaled as the child's were; new and revived
    ones are those that the child was born with, all under its masks. So the parent's own weights
    are the newborn. Where the growth preserves the function whatever the parent's weights, as all
    that claim exactness do, the embedded network computes what the parent does: so a parent that
    was trained on can be compared with a child that was trained. Through several growths, once for
    each.
    """
    newborn = sprout.ticket
    moved = transplant(weights, sprout.morph, newborn.weights)
    moved |= {name: division.of(moved[name]) for name, division in sprout.divided.items()}
    moved |= {name: moved[name] * by.to(moved[name]) for name, by in sprout.scaled.items()}
    moved |= {
        name: torch.where(place, newborn.weights[name], moved[name])
        for name, place in sprout.revived.items()
    }
    return masking.apply(moved, newborn.masks)
