"""Firefly: more candidates than places, of which the loss keeps those it answers to most."""

import math

import torch
from torch import Tensor

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.growth.bottleneck_matrix import gradient_at_birth
from recursive_lth.growth.new_units import (
    Places,
    gather,
    new_units,
    only_quiet,
    probing,
    quiet,
    scatter,
)
from recursive_lth.growth.zeros import zero_out
from recursive_lth.ticket.morph import Morph

POOL = 4  # candidates for each place
EPSILON = 0.01  # norm of a new unit's outgoing weights, in norms of a fresh one's


def firefly(morph: Morph, soil: Soil) -> Birth:
    """Of four times as many random units those of largest |dL / d epsilon|, turned on a little.

    Wu et al. (2020, arXiv 2102.08574, algorithm 1): a candidate is read with weights epsilon v; its
    incoming weights are drawn as fresh ones are, and v is the direction in which the loss falls
    fastest, so that |dL / d epsilon| is the norm of the gradient in its outgoing weights. They
    optimise incoming weights too and let copies of old units compete; here the copies that a split
    makes are the morph's to choose. Not preserving: epsilon is `EPSILON`, for at 0 it would be
    `zero_out` with chosen units. Grouped convolutions on the way hand
    a new unit on as it is.
    """
    units = new_units(morph)
    pool = probing(soil.ticket.architecture, units.symbol, POOL * units.count)
    candidates = new_units(pool)
    drawn = torch.cat([_draw(soil, {name: where}) for name, where in units.incoming.items()], 1)
    values = scatter(only_quiet(pool, candidates), candidates.incoming, drawn)
    _, answer = gradient_at_birth(pool, soil, values)
    score = answer.norm(dim=1)
    best = score.argsort(descending=True, stable=True)[: units.count]
    norm = gather(soil.fresh, units.outgoing).norm() / math.sqrt(units.count)
    directions = answer[best] / score[best, None].clamp(min=torch.finfo(score.dtype).tiny)
    values = quiet(zero_out(morph, soil).values, units, units.count)
    values = scatter(values, units.incoming, drawn[best])
    values = scatter(values, units.outgoing, -EPSILON * norm * directions)
    step = training_cost(cost(pool.after).multiply_adds, len(soil.batch))
    return Birth(values, multiply_adds=step)


def _draw(soil: Soil, places: Places) -> Tensor:
    """Incoming weights of all candidates, normal, as large as the fresh ones of a tensor."""
    fresh = gather(soil.fresh, places).double()
    drawn = torch.randn(
        POOL * len(fresh), fresh.shape[1], generator=soil.generator, dtype=torch.float64
    )
    return drawn * fresh.square().mean().sqrt()
