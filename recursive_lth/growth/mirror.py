"""Births in pairs that cancel: (V, V) going in and (Z, -Z) coming out."""

import torch
from torch import Tensor

from recursive_lth.growth.birth import Birth, Soil
from recursive_lth.growth.new_units import NewUnits, Places, gather, new_units, scatter, silent
from recursive_lth.growth.zeros import zero_out
from recursive_lth.ticket.morph import Morph


def mirror(morph: Morph, soil: Soil) -> Birth:
    """New units in pairs that read alike and are read with opposite signs: exact in both modes.

    Unlike `zero_out` both sides get a gradient at the first step, of opposite sign in the incoming
    weights of a pair, so they part at once. Exact for any activation. An odd unit is born by
    `zero_out`. The weights of pairs are the skeleton: a mask that kept one of two would break
    them, so they are dense under every mask of new weights.
    """
    units = new_units(morph)
    pairs = units.count // 2
    values = zero_out(morph, soil).values
    skeleton: dict[str, Tensor] = {}
    for places, sign in _ways(units):
        for name, where in places.items():
            drawn = gather(soil.fresh, {name: where})[:pairs]
            values = scatter(values, {name: where}, torch.cat([drawn, sign * drawn]))
            if name in morph.after.prunable:
                bones = skeleton.setdefault(
                    name, torch.zeros(morph.after.shape(name), dtype=torch.bool)
                )
                bones.view(-1)[where[: 2 * pairs]] = True
    return Birth(silent(values, units.loops, units.count), skeleton)


def _ways(units: NewUnits) -> list[tuple[Places, int]]:
    """All places of new units' own, and the sign that the second of a pair has there."""
    channelwise = {name: where.flatten(1) for name, where in units.channelwise.items()}
    return [(units.incoming, 1), (channelwise, 1), (units.outgoing, -1)]
