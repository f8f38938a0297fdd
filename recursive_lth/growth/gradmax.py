"""GradMax: silent new units whose incoming weights get the largest gradient (arXiv 2201.05125)."""

import math

import torch
from torch import Tensor

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.growth.bottleneck_matrix import bottleneck_matrix, gradient_ascent, observe
from recursive_lth.growth.new_units import NewUnits, gather, new_units, quiet, scatter
from recursive_lth.growth.zeros import zero_out
from recursive_lth.ticket.morph import Morph

ASCENTS = 20


def gradmax(morph: Morph, soil: Soil) -> Birth:
    """New units that read nothing yet and are read along the top singular vectors of M.

    Evci et al. (2022, arXiv 2201.05125): incoming weights 0, outgoing ones the first right
    singular vectors of the bottleneck matrix, one a unit. Of all outgoing weights whose units are
    orthogonal and of one norm c this gives the incoming weights the largest gradient,
    c sqrt(sum of the squared singular values). (Were only the total norm bound, all units would be
    the first vector.) The total norm is that of the fresh outgoing weights, where the paper takes
    the mean norm of the old units. Exact where every activation has f(0) = 0; biases and betas of
    new units are `QUIET`, since torch.relu has slope 0 at 0.

    A BatchNorm behind units that read nothing divides by sqrt(EPSILON): it makes the gradient some
    300 times as large, in M as in the grown ticket, so that a first step at a common rate is very
    long. A mask other than dense cuts the outgoing weights after they were chosen. Units beyond the
    rank of M, which no gradient can reach, are born as `zero_out` bears them: all of them where a
    ReLU follows a layer without bias or norm.
    """
    units = new_units(morph)
    signals = observe(soil, units)
    matrix, multiply_adds = bottleneck_matrix(soil, units, signals.deltas)
    _, sizes, directions = torch.linalg.svd(matrix, full_matrices=False)
    reached = min(units.count, rank(sizes, matrix.shape))
    values = read_along(morph, soil, units, directions[:reached])
    return Birth(values, multiply_adds=signals.multiply_adds + multiply_adds)


def gradmax_optimised(morph: Morph, soil: Soil) -> Birth:
    """The same by ascent of the gradient's norm on the grown ticket itself, without the matrix.

    For widths of which the matrix is too large: each step costs two training steps of the grown
    ticket, however many layers make or read the units. Evci et al. take 100 steps of Adam and keep
    each unit's norm; here V becomes an orthogonal basis of the ascent's direction (Journee et al.
    2010, arXiv 0811.4724): it never descends, and no two units become one.
    """
    units = new_units(morph)
    start = gather(soil.fresh, units.outgoing).double()
    reached = min(units.count, gather(soil.fresh, units.incoming).shape[1], start.shape[1])
    directions = _basis(start[:reached])
    for _ in range(ASCENTS):
        ascent = gradient_ascent(morph, soil, read_along(morph, soil, units, directions))
        directions = _basis(ascent[: len(directions)])
        if not len(directions):
            break
    values = read_along(morph, soil, units, directions)
    step = training_cost(cost(morph.after).multiply_adds, len(soil.batch))
    return Birth(values, multiply_adds=2 * ASCENTS * step)


def read_along(morph: Morph, soil: Soil, units: NewUnits, directions: Tensor) -> dict[str, Tensor]:
    """Values of silent units read along directions (units, outgoing weights) of norm 1 each.

    All have the same norm, in all that of the fresh outgoing weights; units beyond the directions
    are born by `zero_out`.
    """
    norm = gather(soil.fresh, units.outgoing).norm() / math.sqrt(units.count)
    values = quiet(zero_out(morph, soil).values, units, len(directions))
    return scatter(values, units.outgoing, norm * directions)


def rank(sizes: Tensor, shape: tuple[int, ...]) -> int:
    """How many singular values are more than rounding."""
    if not sizes.numel() or not float(sizes[0]) > 0:
        return 0
    return int((sizes > sizes[0] * max(shape) * torch.finfo(sizes.dtype).eps).sum())


def _basis(matrix: Tensor) -> Tensor:
    """Orthogonal rows of norm 1 that span what the rows of a matrix span, the strongest first."""
    _, sizes, directions = torch.linalg.svd(matrix, full_matrices=False)
    found: Tensor = directions[: rank(sizes, matrix.shape)]
    return found
