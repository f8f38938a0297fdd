"""Scores: every one against its slow twin, and the laws that each keeps."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights

from recursive_lth.architecture.zoo import mlp
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.evidence import Evidence, Scores
from recursive_lth.pruning.scores import NEEDS_DATA, SCORES
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
    rewound = normal_weights(architecture, draw(SEEDS))
    return replace(seed, weights=weights, rewind=rewound, masks=masks)


def score_of(name: str, ticket: Ticket) -> Scores:
    """The scores of a ticket by a score that needs no samples."""
    tally = {
        n: torch.sin(torch.arange(m.numel()) + 1.0).view(m.shape) for n, m in ticket.masks.items()
    }
    return SCORES[name](ticket, Evidence(torch.Generator().manual_seed(7), tally=tally))


def lamp(sizes: Flat, *_: Any) -> Flat:
    """w^2 over the sum of all that are larger, or equal and later, or itself."""
    return [
        0.0 if w == 0 and not any(sizes[i:]) and w >= max(sizes) else
        w * w / math.fsum(v * v for j, v in enumerate(sizes) if (v, j) >= (w, i))
        for i, w in enumerate(sizes)
    ]  # fmt: skip


def share(sizes: Flat, power: Callable[[float], float]) -> Flat:
    whole = math.fsum(map(power, sizes))
    return [power(w) / whole if whole else 0.0 for w in sizes]


def rms(sizes: Flat) -> float:
    return math.sqrt(math.fsum(w * w for w in sizes) / len(sizes))


def reach(sizes: Flat) -> Flat:
    low, high = min(sizes, default=0.0), max(sizes, default=0.0)
    return [(w - low) / (high - low) if high > low else 0.0 for w in sizes]


# remaining |w| of one layer, final and initial value of each weight -> its scores
TWINS: dict[str, Callable[[Flat, Flat, Flat], Flat]] = {
    "magnitude": lambda sizes, final, initial: sizes,
    "magnitude_small": lambda sizes, final, initial: [-w for w in sizes],
    "magnitude_initial": lambda sizes, final, initial: [abs(w) for w in initial],
    "magnitude_initial_final": lambda sizes, final, initial: [
        min(abs(f), abs(i)) for f, i in zip(final, initial, strict=True)
    ],
    "magnitude_increase": lambda sizes, final, initial: [
        abs(f) - abs(i) for f, i in zip(final, initial, strict=True)
    ],
    "movement": lambda sizes, final, initial: [
        abs(f - i) for f, i in zip(final, initial, strict=True)
    ],
    "magnitude_rms": lambda sizes, *_: [w / rms(sizes) if rms(sizes) else 0.0 for w in sizes],
    "l1_norm": lambda sizes, *_: share(sizes, lambda w: w),
    "l2_norm": lambda sizes, *_: share(sizes, lambda w: w * w),
    "softmax": lambda sizes, *_: share(sizes, math.exp),
    "min_max": lambda sizes, *_: reach(sizes),
    "lamp": lamp,
}
INITIAL = {"magnitude_initial", "magnitude_initial_final", "magnitude_increase", "movement"}
SPECIAL = {"random", "movement_gradient", "synflow", *NEEDS_DATA}  # test_gradient_scores has those


def test_every_score_has_a_twin() -> None:
    assert TWINS.keys() | SPECIAL == SCORES.keys()


@pytest.mark.parametrize("name", TWINS)
@given(ticket=tickets())
def test_scores_equal_their_twin(name: str, ticket: Ticket) -> None:
    """One finite number a prunable weight, that of the definition; the ticket is left alone."""
    digest = ticket.digest
    scores = score_of(name, ticket)
    assert tuple(scores) == ticket.architecture.prunable
    for tensor, score in scores.items():
        assert tuple(score.shape) == ticket.architecture.shape(tensor)
        assert bool(score.isfinite().all())
        mask = ticket.masks[tensor]
        final, initial = ticket.weights[tensor][mask].tolist(), ticket.rewind[tensor][mask].tolist()
        wanted = TWINS[name]([abs(w) for w in final], final, initial)
        assert score[mask].tolist() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert replace(ticket).digest == digest


def test_random_draws_from_the_generator_it_is_given() -> None:
    """The same seed, the same scores; the same generator once more, others."""
    evidence = Evidence(torch.Generator().manual_seed(1))
    first, second = (SCORES["random"](start(), evidence) for _ in range(2))
    again = SCORES["random"](start(), Evidence(torch.Generator().manual_seed(1)))
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not any(torch.equal(first[n], second[n]) for n in first)


def test_movement_gradient_hands_on_the_tally() -> None:
    tally = {n: torch.randn(m.shape) for n, m in start().masks.items()}
    scores = SCORES["movement_gradient"](start(), Evidence(torch.Generator(), tally=tally))
    assert all(torch.equal(scores[n], tally[n]) for n in tally)
    with pytest.raises(InputError, match=r"tickets\.score_at=end"):
        SCORES["movement_gradient"](start(), Evidence(torch.Generator()))


@given(ticket=tickets(), data=st.data())
def test_rms_does_not_see_a_layers_scale(ticket: Ticket, data: st.DataObject) -> None:
    """Multiplying one layer by c multiplies its |w| and its rms by c, so no score moves.

    Powers of two scale floats exactly and the square root of c^2 times a number is c times its
    root, so the law holds bit for bit; plain magnitude breaks it in every layer that has weights.
    """
    layer = data.draw(st.sampled_from(ticket.architecture.prunable))
    factor = 2.0 ** data.draw(st.integers(-20, 20).filter(bool))
    scaled = replace(ticket, weights=ticket.weights | {layer: ticket.weights[layer] * factor})
    before, after = score_of("magnitude_rms", ticket), score_of("magnitude_rms", scaled)
    assert all(torch.equal(before[name], after[name]) for name in before)
    is_empty = not bool(ticket.masks[layer].any())
    plain, moved = score_of("magnitude", ticket)[layer], score_of("magnitude", scaled)[layer]
    assert torch.equal(plain, moved) == is_empty


@given(ticket=tickets())
def test_rms_has_mean_square_one(ticket: Ticket) -> None:
    """By its definition the mean square of a layer's remaining scores is 1, whatever its size."""
    for name, score in score_of("magnitude_rms", ticket).items():
        kept = score[ticket.masks[name]]
        if len(kept):
            assert float(kept.square().mean()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("name", sorted(TWINS.keys() - {"softmax", *INITIAL}))
def test_a_layer_of_zeros_scores_zero(name: str) -> None:
    """A layer born as 0 (the end of a residual branch) divides by its rms of 0 without NaN."""
    architecture = start().architecture
    zeros = {n: torch.zeros_like(t) for n, t in start().weights.items()}
    ticket = replace(start(), weights=zeros)
    scores = score_of(name, ticket)
    assert tuple(scores) == architecture.prunable
    assert all(not bool(score.any()) for score in scores.values())


@pytest.mark.parametrize("name", sorted(TWINS.keys() - INITIAL))
def test_nan_weights_give_nan_scores(name: str) -> None:
    """A diverged weight shows in its score, where selection refuses it; it is never hidden."""
    whole = start()
    broken = whole.weights["output.weight"].clone()
    broken[0, 0] = math.nan
    ticket = replace(whole, weights=whole.weights | {"output.weight": broken})
    assert bool(score_of(name, ticket)["output.weight"][0, 0].isnan())


def start() -> Ticket:
    """A dense two-layer perceptron as at birth."""
    return seed_ticket(birth(mlp((4,), 3, (5,))), torch.Generator(), "kaiming_normal")
