"""Masks: exact counts, exact zeros, nesting entry by entry."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.errors import InputError
from recursive_lth.ticket import masks as masking


@given(st.data(), SEEDS)
def test_counts_are_the_entries_that_are_true(data: DataObject, seed: int) -> None:
    """Twin: a loop over every entry."""
    architecture = data.draw(architectures())
    kept = data.draw(kept_counts(architecture))
    masks = exact_masks(architecture, kept, seed)
    masking.check(architecture, masks)
    assert {n: sum(m.flatten().tolist()) for n, m in masks.items()} == kept
    assert masking.counts(masks) == kept
    assert masking.remaining(masks) == sum(kept.values())


@given(architectures())
def test_dense_keeps_every_weight(architecture: Architecture) -> None:
    """As many as the weights, in every prunable tensor and no other."""
    masks = masking.dense(architecture)
    masking.check(architecture, masks)
    assert all(bool(m.all()) for m in masks.values())
    assert masking.masked_cost(architecture, masks).density == 1.0


@given(st.data(), SEEDS)
def test_apply_zeroes_the_pruned_alone(data: DataObject, seed: int) -> None:
    """Twin: entry by entry; the arguments stay as they are, and a second time changes nothing."""
    architecture = data.draw(architectures())
    masks = exact_masks(architecture, data.draw(kept_counts(architecture)), seed)
    weights = normal_weights(architecture, seed)
    kept = {n: t.clone() for n, t in weights.items()}
    masked = masking.apply(weights, masks)
    assert masked.keys() == weights.keys()
    for name, tensor in masked.items():
        mask = masks[name].flatten().tolist() if name in masks else [True] * tensor.numel()
        old = weights[name].flatten().tolist()
        assert tensor.flatten().tolist() == [
            w if m else 0.0 for w, m in zip(old, mask, strict=True)
        ]
        assert tensor.dtype == weights[name].dtype
        assert torch.equal(weights[name], kept[name])
    again = masking.apply(masked, masks)
    assert all(torch.equal(again[n], masked[n]) for n in masked)


def test_drop_lowest_removes_what_it_says() -> None:
    """A negative count, a score without a mask or of another shape: refused, not guessed."""
    masks = {"a": torch.ones(2, 3, dtype=torch.bool)}
    scores = {"a": torch.arange(6.0).reshape(2, 3)}
    with pytest.raises(InputError, match=">= 0, got -1"):
        masking.drop_lowest(masks, scores, -1)
    with pytest.raises(InputError, match="scores of a"):
        masking.drop_lowest(masks, {"a": scores["a"].T}, 1)
    with pytest.raises(InputError, match="scores of b"):
        masking.drop_lowest(masks, {"b": scores["a"]}, 1)
    with pytest.raises(InputError, match="no tensor has a score"):
        masking.drop_lowest(masks, {}, 0)
    turned = {"a": torch.ones(3, 2, dtype=torch.bool).T}  # columns first in memory
    assert masking.drop_lowest(turned, scores, 2)["a"].tolist() == [
        [False, False, True],
        [True] * 3,
    ]


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan, -0.0])
def test_pruned_weights_are_plus_zero(value: float) -> None:
    """-1 * 0 is -0, which has other bytes and another digest; nan * 0 and inf * 0 are nan."""
    masked = masking.apply({"w": torch.tensor([value])}, {"w": torch.tensor([False])})
    assert masked["w"].tolist() == [0.0]
    assert math.copysign(1.0, masked["w"].item()) == 1.0


@pytest.mark.parametrize("dtype", [torch.int16, torch.bool, torch.float32])
def test_apply_keeps_the_type(dtype: torch.dtype) -> None:
    """Births and masks are masked like weights."""
    ones = torch.ones(3, dtype=dtype)
    mask = torch.tensor([True, False, True])
    masked = masking.apply({"w": ones}, {"w": mask})["w"]
    assert masked.dtype == dtype
    assert masked.tolist() == [1, 0, 1]


@given(st.data(), SEEDS)
def test_nested_is_entry_by_entry(data: DataObject, seed: int) -> None:
    """Twin: no entry true inside and false outside. Reflexive; strict subsets one way only."""
    architecture = data.draw(architectures())
    outer = exact_masks(architecture, data.draw(kept_counts(architecture)), seed)
    other = exact_masks(architecture, data.draw(kept_counts(architecture)), seed + 1)
    inner = {n: outer[n] & other[n] for n in outer}
    assert masking.is_nested(outer, outer)
    assert masking.is_nested(inner, outer)
    for one, two in ((other, outer), (outer, inner)):
        pairs = [
            pair
            for n in one
            for pair in zip(one[n].flatten().tolist(), two[n].flatten().tolist(), strict=True)
        ]
        assert masking.is_nested(one, two) == ((True, False) not in pairs)


def test_nested_needs_the_same_tensors() -> None:
    """Masks of another architecture are not nested, whatever they hold."""
    one = {"a": torch.zeros(2, dtype=torch.bool)}
    assert not masking.is_nested(one, {})
    assert not masking.is_nested({}, one)
    assert not masking.is_nested(one, {"a": torch.ones(3, dtype=torch.bool)})


def test_check_names_the_mask_at_fault() -> None:
    """A missing, additional, misshapen or numeric mask is refused."""
    architecture = ARCHITECTURES["mlp"]((3,), 2, (4,))
    whole = masking.dense(architecture)
    flawed = [
        {n: m for n, m in whole.items() if n != "fc1.weight"},
        {**whole, "fc1.bias": torch.ones(4, dtype=torch.bool)},
        {**whole, "fc1.weight": torch.ones(3, 4, dtype=torch.bool)},
        {**whole, "fc1.weight": torch.ones(4, 3)},
    ]
    for masks in flawed:
        with pytest.raises(InputError, match=r"fc1\.") as caught:
            masking.check(architecture, masks)
        assert "\n" not in str(caught.value)
    masking.check(architecture, whole)
