"""Early-bird tickets: distances counted by hand, a queue with a slow twin, channels by rank."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import mlp
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.early_bird import EarlyBird, channel_masks, mask_distance
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

PLACES = 6
DRAWS = st.lists(st.lists(st.booleans(), min_size=PLACES, max_size=PLACES), max_size=12)


def masks_of(bits: list[bool]) -> Masks:
    """Two layers of masks."""
    return {"one.weight": torch.tensor(bits[:2]), "two.weight": torch.tensor(bits[2:])}


def slow_distance(first: list[bool], second: list[bool]) -> float:
    """Places that differ over the larger of the numbers kept."""
    differing = sum(a != b for a, b in zip(first, second, strict=True))
    return differing / max(1, sum(first), sum(second))


@given(DRAWS)
def test_a_distance_is_what_differs_over_what_is_kept(draws: list[list[bool]]) -> None:
    """Zero of a mask to itself, the same both ways; as the slow twin counts it."""
    for first, second in pairwise(draws):
        found = mask_distance(masks_of(first), masks_of(second))
        assert found == slow_distance(first, second)
        assert found == mask_distance(masks_of(second), masks_of(first))
        assert mask_distance(masks_of(first), masks_of(first)) == 0


def test_sparse_masks_are_not_alike_for_being_sparse() -> None:
    """Of 1000 weights 10 are kept, no two the same: 20 places differ, all that are kept twice.

    Divided by all weights that would be 0.02, far below the threshold of 0.1.
    """
    first, second = torch.zeros(1000, dtype=torch.bool), torch.zeros(1000, dtype=torch.bool)
    first[:10] = True
    second[-10:] = True
    assert mask_distance({"w": first}, {"w": second}) == 2


@given(DRAWS, st.integers(2, 5), st.sampled_from([0.0, 0.4, 1.0]))
def test_a_bird_is_early_once_the_newest_is_like_the_others(
    draws: list[list[bool]], queue: int, threshold: float
) -> None:
    """Twin: at each draw look back at the whole history."""
    bird = EarlyBird(queue, threshold)
    for number, bits in enumerate(draws):
        others = draws[max(0, number - queue + 1) : number]
        near = [slow_distance(bits, other) <= threshold for other in others]
        assert bird.add(masks_of(bits)) == (len(near) == queue - 1 and all(near))


def test_a_slow_drift_is_not_settled() -> None:
    """Each mask is near the one before it, but the newest is far from the oldest in the queue.

    You et al.'s code compares with every mask of the queue, not with the last alone.
    """
    bird = EarlyBird(3, 0.5)
    drift = [masks_of([i <= j < i + 4 for j in range(PLACES)]) for i in range(3)]
    assert [mask_distance(a, b) for a, b in pairwise(drift)] == [0.5, 0.5]
    assert [bird.add(mask) for mask in drift] == [False, False, False]


def test_a_mask_changed_later_is_remembered_as_it_was() -> None:
    bird, masks = EarlyBird(2, 0.0), masks_of([True] * PLACES)
    bird.add(masks)
    masks["one.weight"][:] = False
    assert not bird.add(masks)


def test_a_queue_of_one_compares_nothing() -> None:
    with pytest.raises(InputError, match="queue must be >= 2, got 1"):
        EarlyBird(1, 0.1)


def ticket_of(architecture: Architecture, seed: int) -> Ticket:
    """A dense ticket with normal weights, a third of them rounded so that scales tie."""
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    weights = {
        n: t.round() if seed % 3 else t for n, t in normal_weights(architecture, seed).items()
    }
    return replace(whole, weights=weights)


@given(architectures(has_norms=True), SEEDS, st.floats(0.01, 1))
def test_channels_are_ranked_over_the_whole_network(
    architecture: Architecture, seed: int, density: float
) -> None:
    """Twin: sort all (-|scale|, place) and take so many; every norm, and only norms, has a mask."""
    ticket = ticket_of(architecture, seed)
    found = channel_masks(ticket, density)
    norms = [n for n in architecture.order if architecture.layers[n].operation == "batchnorm"]
    assert list(found) == [f"{n}.weight" for n in norms]
    ranked = sorted(
        (-abs(float(scale)), number, name, place)
        for number, name in enumerate(found)
        for place, scale in enumerate(ticket.weights[name])
    )
    kept = {(name, place) for _, _, name, place in ranked[: round(density * len(ranked))]}
    for name, mask in found.items():
        assert mask.tolist() == [(name, place) in kept for place in range(len(mask))]


def test_a_network_without_norms_has_no_channel_masks() -> None:
    with pytest.raises(InputError, match="this network has none: prune weights instead"):
        channel_masks(ticket_of(mlp((3,), 2, (3,)), 0), 0.5)


@given(architectures(), SEEDS, st.data())
def test_a_distance_of_masks_of_weights(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    """With one count k a layer, d places of one mask alone are d of the other: 2d / k."""
    kept = data.draw(kept_counts(architecture))
    first, second = (exact_masks(architecture, kept, seed + i) for i in range(2))

    def alone(one: Tensor, other: Tensor) -> int:
        return int((one & ~other).sum())

    found = mask_distance(first, second)
    assert found == 2 * sum(alone(first[n], second[n]) for n in first) / max(1, sum(kept.values()))
