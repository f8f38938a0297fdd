"""Distances of weights by hand and one by one."""

import math

import pytest
import torch
from hypothesis import given
from strategies import SEEDS
from torch import Tensor

from recursive_lth.study.panel.distances import cosine, relative_distance, sign_agreement
from recursive_lth.study.panel.parts import by_layer, entries

Tensors = dict[str, Tensor]


def drawn(seed: int) -> tuple[Tensors, Tensors, Tensors]:
    """Two settings of two layers, a few entries 0, and masks."""
    generator = torch.Generator().manual_seed(seed)

    def values() -> Tensors:
        found = {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}
        return {n: t * (torch.rand(t.shape, generator=generator) < 0.8) for n, t in found.items()}

    masks = {n: torch.rand(s, generator=generator) < 0.6 for n, s in SHAPES.items()}
    return values(), values(), masks


SHAPES = {"one.weight": (4, 3), "two.weight": (2, 4)}


def kept(now: Tensors, then: Tensors, masks: Tensors) -> list[tuple[float, float]]:
    """The pairs of entries that are counted."""
    return [
        (float(now[n][tuple(place)]), float(then[n][tuple(place)]))
        for n, mask in masks.items()
        for place in mask.nonzero().tolist()
    ]


@given(SEEDS)
def test_equal_to_the_twins(seed: int) -> None:
    """Entry by entry, over the whole and over each layer."""
    now, then, masks = drawn(seed)
    for part in (masks, *by_layer(masks).values()):
        pairs = kept(now, then, part)
        size = math.hypot(*(b for _, b in pairs))
        moved = math.hypot(*(a - b for a, b in pairs))
        found = relative_distance(now, then, part)
        assert found == (pytest.approx(moved / size, rel=1e-6) if size else None)
        signed = [a * b > 0 for a, b in pairs if a * b != 0]
        agreement = sum(signed) / len(signed) if signed else None
        assert sign_agreement(now, then, part) == agreement
        sizes = size * math.hypot(*(a for a, _ in pairs))
        inner = math.fsum(a * b for a, b in pairs)
        expected = pytest.approx(inner / sizes, rel=1e-6, abs=1e-9) if sizes else None
        assert cosine(now, then, part) == expected


@given(SEEDS)
def test_of_weights_and_their_multiples(seed: int) -> None:
    """From w to 3 w: a distance of 2, all signs and the direction kept; to -w all turned."""
    now, _, masks = drawn(seed)
    if not float(entries(now, masks).norm()):
        return
    tripled, turned = ({n: c * t for n, t in now.items()} for c in (3, -1))
    assert relative_distance(tripled, now, masks) == pytest.approx(2)
    assert sign_agreement(tripled, now, masks) == 1
    assert cosine(tripled, now, masks) == pytest.approx(1)
    assert relative_distance(turned, now, masks) == pytest.approx(2)
    assert sign_agreement(turned, now, masks) == 0
    assert cosine(turned, now, masks) == pytest.approx(-1)
    assert relative_distance(now, now, masks) == 0


def test_pruned_entries_do_not_count() -> None:
    """What masks leave out may be anything."""
    masks = {"a": torch.tensor([True, False])}
    now, then = {"a": torch.tensor([1.0, 5.0])}, {"a": torch.tensor([1.0, -math.inf])}
    assert relative_distance(now, then, masks) == 0
    assert sign_agreement(now, then, masks) == 1
    assert cosine(now, then, masks) == 1


def test_nothing_to_compare() -> None:
    zeros, ones = {"a": torch.zeros(2)}, {"a": torch.ones(2)}
    masks = {"a": torch.ones(2, dtype=torch.bool)}
    assert relative_distance(ones, zeros, masks) is None
    assert sign_agreement(ones, zeros, masks) is None
    assert cosine(ones, zeros, masks) is None
