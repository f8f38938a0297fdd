"""Scores: every one against its slow twin, and the laws that each keeps."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights

from recursive_lth.architecture.zoo import mlp
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.scores import SCORES
from recursive_lth.ticket.masks import apply
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

Flat = list[float]


@st.composite
def tickets(draw: DrawFn) -> Ticket:
    """A ticket of a random architecture with float64 weights, any tensor possibly emptied."""
    architecture = draw(architectures())
    masks = exact_masks(architecture, draw(kept_counts(architecture)), draw(SEEDS))
    weights = apply(normal_weights(architecture, draw(SEEDS)), masks)
    seed = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    return replace(seed, weights=weights, masks=masks)


def magnitude(weights: Flat, kept: list[bool]) -> Flat:
    """|w|, entry by entry."""
    return [abs(w) for w in weights]


def magnitude_rms(weights: Flat, kept: list[bool]) -> Flat:
    """|w| over the root of the mean square of the remaining ones, entry by entry."""
    squares = [w * w for w, is_kept in zip(weights, kept, strict=True) if is_kept]
    rms = math.sqrt(math.fsum(squares) / len(squares)) if squares else 1.0
    return [abs(w) / rms for w in weights]


TWINS: dict[str, Callable[[Flat, list[bool]], Flat]] = {
    "magnitude": magnitude,
    "magnitude_rms": magnitude_rms,
}


def test_every_score_has_a_twin() -> None:
    assert TWINS.keys() == SCORES.keys()


@pytest.mark.parametrize("name", SCORES)
@given(ticket=tickets())
def test_scores_equal_their_twin(name: str, ticket: Ticket) -> None:
    """One finite number a prunable weight, that of the definition; the ticket is left alone."""
    digest = ticket.digest
    scores = SCORES[name](ticket)
    assert tuple(scores) == ticket.architecture.prunable
    for tensor, score in scores.items():
        assert tuple(score.shape) == ticket.architecture.shape(tensor)
        assert bool(score.isfinite().all())
        flat = ticket.weights[tensor].flatten().tolist(), ticket.masks[tensor].flatten().tolist()
        assert score.flatten().tolist() == pytest.approx(TWINS[name](*flat), rel=1e-12, abs=1e-300)
    assert replace(ticket).digest == digest


@given(ticket=tickets(), data=st.data())
def test_rms_does_not_see_a_layers_scale(ticket: Ticket, data: st.DataObject) -> None:
    """Multiplying one layer by c multiplies its |w| and its rms by c, so no score moves.

    Powers of two scale floats exactly and the square root of c^2 times a number is c times its
    root, so the law holds bit for bit; plain magnitude breaks it in every layer that has weights.
    """
    layer = data.draw(st.sampled_from(ticket.architecture.prunable))
    factor = 2.0 ** data.draw(st.integers(-20, 20).filter(bool))
    scaled = replace(ticket, weights=ticket.weights | {layer: ticket.weights[layer] * factor})
    before, after = SCORES["magnitude_rms"](ticket), SCORES["magnitude_rms"](scaled)
    assert all(torch.equal(before[name], after[name]) for name in before)
    is_empty = not bool(ticket.masks[layer].any())
    plain, moved = SCORES["magnitude"](ticket)[layer], SCORES["magnitude"](scaled)[layer]
    assert torch.equal(plain, moved) == is_empty


@given(ticket=tickets())
def test_rms_has_mean_square_one(ticket: Ticket) -> None:
    """By its definition the mean square of a layer's remaining scores is 1, whatever its size."""
    for name, score in SCORES["magnitude_rms"](ticket).items():
        kept = score[ticket.masks[name]]
        if len(kept):
            assert float(kept.square().mean()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_a_layer_of_zeros_scores_zero(name: str) -> None:
    """A layer born as 0 (the end of a residual branch) divides by its rms of 0 without NaN."""
    architecture = start().architecture
    zeros = {n: torch.zeros_like(t) for n, t in start().weights.items()}
    ticket = replace(start(), weights=zeros)
    scores = SCORES[name](ticket)
    assert tuple(scores) == architecture.prunable
    assert all(not bool(score.any()) for score in scores.values())


@pytest.mark.parametrize("name", SCORES)
def test_nan_weights_give_nan_scores(name: str) -> None:
    """A diverged weight shows in its score, where selection refuses it; it is never hidden."""
    whole = start()
    broken = whole.weights["output.weight"].clone()
    broken[0, 0] = math.nan
    ticket = replace(whole, weights=whole.weights | {"output.weight": broken})
    assert bool(SCORES[name](ticket)["output.weight"][0, 0].isnan())


def start() -> Ticket:
    """A dense two-layer perceptron as at birth."""
    return seed_ticket(birth(mlp((4,), 3, (5,))), torch.Generator(), "kaiming_normal")
