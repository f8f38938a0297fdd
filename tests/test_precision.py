"""A ticket in float64 loses nothing by growing."""

from dataclasses import replace

import pytest
import torch
from test_grow import NETWORKS, lived_in, sprout_of

from recursive_lth.config import GrowthStep
from recursive_lth.growth.initialise import INITIALISATIONS
from recursive_lth.growth.operators import PLACES
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.transplant import inherited, transplant

CELLS = [(operator, name) for operator, names in INITIALISATIONS.items() for name in names]


@pytest.mark.parametrize(("operator", "initialisation"), CELLS)
def test_growth_keeps_float64(operator: str, initialisation: str) -> None:
    """All weights stay float64, those inherited to their last bit; exactness is held to 1e-10.

    The parent's weights are thirds, which no float32 holds.
    """
    home = next(network for network in NETWORKS.values() if PLACES[operator](network))
    ticket = lived_in(home, 1)
    thirds = {name: tensor.double() / 3 for name, tensor in ticket.weights.items()}
    ticket = replace(ticket, weights=masking.apply(thirds, ticket.masks), rewind=thirds)
    sprout = sprout_of(ticket, GrowthStep(operator, 0.0, 0.5, initialisation))
    grown = sprout.ticket
    assert {t.dtype for t in (*grown.weights.values(), *grown.rewind.values())} == {torch.float64}
    if operator == "split" or initialisation in {"rigl", "set", "regrow", "variance_transfer"}:
        return  # these change what is inherited
    heirs = inherited(sprout.morph)
    moved = transplant(ticket.weights, sprout.morph, grown.weights)
    assert all(torch.equal(grown.weights[n][heir], moved[n][heir]) for n, heir in heirs.items())
