"""Pruning a ticket and rewinding it: one battery over every score, scope, output rate and end."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import NO_EVIDENCE, SEEDS, architectures, exact_masks, kept_counts, normal_weights

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Pruning
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.distribution import SHARES
from recursive_lth.pruning.prune import prune
from recursive_lth.pruning.schedule import SCOPES, Group, next_round
from recursive_lth.pruning.scores import NEEDS_DATA, NEEDS_TALLY, SCORES
from recursive_lth.ticket.masks import apply, counts, is_nested, remaining
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

ENDS: tuple[dict[str, Any], ...] = (
    {"rounds": 2, "target_density": 0},
    {"target_weights": 9},
    {"target_density": 0.4},
)
FREE = sorted(SCORES.keys() - NEEDS_DATA - NEEDS_TALLY)
FINAL = sorted(
    {*FREE} - {"random", "magnitude_initial", "synflow"}
)  # those that look at final weights
VALUES = ("normal", "ties", "equal")


def ticket_of(architecture: Architecture, values: str, seed: int, kept: dict[str, int]) -> Ticket:
    """A ticket whose weights are normal, or tie in magnitude often, or all of them."""
    masks = exact_masks(architecture, kept, seed)
    weights = normal_weights(architecture, seed)
    for name in architecture.prunable:
        if values == "ties":
            weights[name] = weights[name].round()
        if values == "equal":
            weights[name] = weights[name].sign() / 2
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    rewound = normal_weights(architecture, seed + 1)
    return replace(whole, weights=apply(weights, masks), rewind=rewound, masks=masks)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("output_rate", [None, 0.3])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: next(iter(end)))
@given(data=st.data())
def test_every_descent_is_exact(
    scope: str, output_rate: float | None, end: dict[str, Any], data: st.DataObject
) -> None:
    """Each round removes exactly what it says, from what was there, and no layer collapses.

    Counts follow from the schedule alone, so neither the score nor its ties may move them; a
    weight that stays keeps its value and one that goes becomes 0.
    """
    architecture = data.draw(architectures())
    kept = data.draw(kept_counts(architecture))
    score = data.draw(st.sampled_from(FREE))
    values = data.draw(st.sampled_from(VALUES))
    ticket = ticket_of(architecture, values, data.draw(SEEDS), kept)
    if scope in SHARES:  # an output rate of its own is refused there
        output_rate = None
    pruning = Pruning(score=score, scope=scope, rate=0.4, output_rate=output_rate, **end)
    done = 0
    while groups := next_round(ticket, pruning, done=done):
        cut = prune(ticket, SCORES[score], groups, NO_EVIDENCE)
        assert is_nested(cut.masks, ticket.masks)
        before, after = counts(ticket.masks), counts(cut.masks)
        for group in groups:
            assert sum(before[n] - after[n] for n in group.names) == group.remove
        assert remaining(ticket.masks) - remaining(cut.masks) == sum(g.remove for g in groups)
        assert all(after[name] >= min(1, before[name]) for name in after)
        for name, tensor in cut.weights.items():
            still = cut.masks.get(name, torch.ones_like(tensor, dtype=torch.bool))
            assert torch.equal(tensor, ticket.weights[name] * still)
        assert all(torch.equal(cut.births[n], ticket.births[n]) for n in cut.births)
        assert all(torch.equal(cut.rewind[n], ticket.rewind[n]) for n in cut.rewind)
        ticket = cut
        done += 1
    assert next_round(ticket, pruning, done=done) == ()


@given(architectures(), SEEDS, st.data())
def test_global_magnitude_keeps_the_largest(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    """With distinct magnitudes no weight that went is larger than one that stayed.

    The floor of one weight a layer is the only exception: the largest of its layer.
    """
    sizes = {n: math.prod(architecture.shape(n)) for n in architecture.prunable}
    ticket = ticket_of(architecture, "normal", seed, sizes)
    count = data.draw(st.integers(0, sum(sizes.values()) - len(sizes)))
    cut = prune(ticket, SCORES["magnitude"], [Group(architecture.prunable, count)], NO_EVIDENCE)
    gone, stayed = [0.0], [math.inf]
    for name, mask in cut.masks.items():
        size = ticket.weights[name].abs()
        gone += size[~mask].tolist()
        stayed += sorted(size[mask].tolist())[:-1]  # the last may owe its place to the floor
    assert max(gone) < min(stayed)


def test_groups_do_not_compete() -> None:
    """Each group loses its own number, though all of one group's weights are the larger."""
    architecture = mlp((4,), 4, (4,))
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    weights = whole.weights | {"fc1.weight": torch.full((4, 4), 9.0)}
    ticket = replace(whole, weights=weights)
    cut = prune(
        ticket,
        SCORES["magnitude"],
        [Group(("fc1.weight",), 6), Group(("output.weight",), 1)],
        NO_EVIDENCE,
    )
    assert counts(cut.masks) == {"fc1.weight": 10, "output.weight": 15}


def test_the_ticket_pruned_is_left_alone() -> None:
    """Its digest, which covers every tensor, is the same before and after."""
    architecture = mlp((4,), 3, (5,))
    ticket = ticket_of(architecture, "normal", 0, {"fc1.weight": 20, "output.weight": 15})
    digest = ticket.digest
    cut = prune(ticket, SCORES["magnitude"], [Group(architecture.prunable, 17)], NO_EVIDENCE)
    assert replace(ticket).digest == digest != cut.digest


def test_unreachable_counts_are_an_error() -> None:
    """35 weights in two layers that keep 3 each may lose 29, not 30."""
    architecture = mlp((4,), 3, (5,))
    ticket = ticket_of(architecture, "equal", 0, {"fc1.weight": 20, "output.weight": 15})
    cut = prune(
        ticket, SCORES["magnitude"], [Group(architecture.prunable, 29)], NO_EVIDENCE, floor=3
    )
    assert counts(cut.masks) == {"fc1.weight": 3, "output.weight": 3}
    with pytest.raises(InputError, match="cannot remove 30 weights: only 29 may go"):
        prune(ticket, SCORES["magnitude"], [Group(architecture.prunable, 30)], NO_EVIDENCE, floor=3)


@pytest.mark.parametrize("score", FINAL)
def test_a_diverged_ticket_is_an_error(score: str) -> None:
    """A NaN weight has no rank; the error names its tensor."""
    architecture = mlp((4,), 3, (5,))
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    ticket = replace(whole, weights=whole.weights | {"output.weight": torch.full((3, 5), math.nan)})
    with pytest.raises(InputError, match=r"output\.weight hold NaN"):
        prune(ticket, SCORES[score], [Group(architecture.prunable, 1)], NO_EVIDENCE)
