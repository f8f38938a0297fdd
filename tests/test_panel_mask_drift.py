"""Drift of drawn masks against a ranking by hand."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS
from test_grow import NETWORKS, lived_in

from recursive_lth.errors import InputError
from recursive_lth.study.panel.mask_drift import drawn, mask_drift
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket


def moved(ticket: Ticket, how_far: float, seed: int) -> Ticket:
    """The ticket after its remaining weights have moved at random."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        n: t + how_far * torch.randn(t.shape, generator=generator) if n in ticket.masks else t
        for n, t in ticket.weights.items()
    }
    return replace(ticket, weights=masking.apply(weights, ticket.masks))


def largest(ticket: Ticket, keep: int) -> set[tuple[str, int]]:
    """The places of the `keep` largest remaining weights; later places win ties."""
    places = [
        (abs(float(w)), number, name, i)
        for number, name in enumerate(ticket.architecture.prunable)
        for i, (w, m) in enumerate(
            zip(ticket.weights[name].flatten(), ticket.masks[name].flatten(), strict=True)
        )
        if bool(m)
    ]
    return {(name, i) for _, _, name, i in sorted(places)[-keep:]}


@given(SEEDS, st.sampled_from([0.1, 0.25, 0.4]), st.floats(0, 1))
def test_equal_to_the_ranking(seed: int, density: float, how_far: float) -> None:
    """Places that differ over those kept, shared over united; nested, and as many as asked for."""
    first = lived_in(NETWORKS["mlp"], seed)
    second = moved(first, how_far, seed)
    whole = sum(m.numel() for m in first.masks.values())
    keep = round(density * whole)
    one, other = largest(first, keep), largest(second, keep)
    masks = drawn(first, density)
    assert masks is not None
    assert masking.remaining(masks) == keep
    assert masking.is_nested(masks, first.masks)
    assert {(n, int(i)) for n, m in masks.items() for i in m.flatten().nonzero()} == one
    found = mask_drift(first, second, density)
    assert found is not None
    assert found.hamming == len(one ^ other) / keep
    assert found.jaccard == len(one & other) / len(one | other)


def test_no_move_no_drift() -> None:
    ticket = lived_in(NETWORKS["resnet-20"], 0)
    found = mask_drift(ticket, ticket, 0.2)
    assert found is not None
    assert (found.hamming, found.jaccard) == (0, 1)


def test_nothing_left_to_draw() -> None:
    """Half of the weights remain: at a density of one half no mask would be drawn."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    assert drawn(ticket, 0.9) is None
    assert mask_drift(ticket, ticket, 0.9) is None


def test_one_shape() -> None:
    with pytest.raises(InputError, match="different shape"):
        mask_drift(lived_in(NETWORKS["mlp"], 0), lived_in(NETWORKS["convnet"], 0), 0.2)
