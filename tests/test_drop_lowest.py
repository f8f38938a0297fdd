"""Selection: exact counts under any ties, in the order that a plain Python sort gives."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from strategies import SEEDS, architectures, exact_masks, kept_counts
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.ticket.masks import Masks, counts, drop_lowest, is_nested, remaining

LEVELS = {
    "equal": (0.0,),
    "two": (0.0, 1.0),
    "signed": (-math.inf, -1.0, -0.0, 0.0, 2.0, math.inf),
    "distinct": (),
}
Scores = dict[str, Tensor]


def leveled(masks: Masks, levels: tuple[float, ...], seed: int) -> Scores:
    """Scores drawn from a few levels, so that most of them tie; standard normal without levels."""
    generator = torch.Generator().manual_seed(seed)
    scores = {}
    for name, mask in masks.items():
        if levels:
            drawn = torch.randint(len(levels), mask.shape, generator=generator)
            scores[name] = torch.tensor(levels, dtype=torch.float64)[drawn]
        else:
            scores[name] = torch.randn(mask.shape, dtype=torch.float64, generator=generator)
    return scores


def candidates(masks: Masks, scores: Scores, floor: int) -> list[tuple[float, int, int]]:
    """(score, number of the tensor, flat index) of all that may go, lowest first."""
    free = []
    for number, (name, score) in enumerate(scores.items()):
        kept = [i for i, keeps in enumerate(masks[name].flatten().tolist()) if keeps]
        own = sorted((score.flatten()[i].item(), i) for i in kept)
        free += [(value, number, i) for value, i in own[: max(0, len(own) - floor)]]
    return sorted(free)


@st.composite
def cases(draw: DrawFn) -> tuple[Masks, Scores, int]:
    """Masks of a random architecture, scores with ties, and a floor."""
    architecture = draw(architectures())
    masks = exact_masks(architecture, draw(kept_counts(architecture)), draw(SEEDS))
    levels = LEVELS[draw(st.sampled_from(sorted(LEVELS)))]
    return masks, leveled(masks, levels, draw(SEEDS)), draw(st.integers(0, 3))


@given(cases(), st.data())
def test_order_is_that_of_a_python_sort(
    case: tuple[Masks, Scores, int], data: st.DataObject
) -> None:
    """What goes is the head of the list sorted by (score, tensor, flat index).

    Python's sort of tuples knows no tie: flat indices differ within a tensor and numbers between
    tensors, so there is one right answer, also when all scores are equal.
    """
    masks, scores, floor = case
    free = candidates(masks, scores, floor)
    count = data.draw(st.integers(0, len(free)))
    found = drop_lowest(masks, scores, count, floor=floor)
    expected = {name: mask.clone() for name, mask in masks.items()}
    for _, number, index in free[:count]:
        expected[list(scores)[number]].view(-1)[index] = False
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@given(cases(), st.data())
def test_counts_nesting_and_floor(case: tuple[Masks, Scores, int], data: st.DataObject) -> None:
    """Exactly `count` go, of those that were there; each tensor keeps min(floor, what it had)."""
    masks, scores, floor = case
    count = data.draw(st.integers(0, len(candidates(masks, scores, floor))))
    found = drop_lowest(masks, scores, count, floor=floor)
    assert remaining(masks) - remaining(found) == count
    assert is_nested(found, masks)
    before, after = counts(masks), counts(found)
    assert all(after[name] >= min(floor, before[name]) for name in masks)


@given(cases())
def test_the_pruned_are_no_candidates(case: tuple[Masks, Scores, int]) -> None:
    """Scores of weights that are gone are never read: even -inf or NaN there changes nothing."""
    masks, scores, floor = case
    count = len(candidates(masks, scores, floor)) // 2
    found = drop_lowest(masks, scores, count, floor=floor)
    for poison in (-math.inf, math.nan):
        poisoned = {n: torch.where(masks[n], score, poison) for n, score in scores.items()}
        again = drop_lowest(masks, poisoned, count, floor=floor)
        assert all(torch.equal(found[name], again[name]) for name in masks)


@given(cases(), st.data())
def test_two_cuts_are_one_cut(case: tuple[Masks, Scores, int], data: st.DataObject) -> None:
    """Cutting a and then b under the same scores is cutting a + b: both take heads of one order.

    The floor protects the same weights each time, the highest of each tensor, since cutting lower
    ones leaves them the highest.
    """
    masks, scores, floor = case
    count = data.draw(st.integers(0, len(candidates(masks, scores, floor))))
    first = data.draw(st.integers(0, count))
    half = drop_lowest(masks, scores, first, floor=floor)
    twice = drop_lowest(half, scores, count - first, floor=floor)
    once = drop_lowest(masks, scores, count, floor=floor)
    assert all(torch.equal(once[name], twice[name]) for name in masks)


def test_large_tensors_keep_the_order_of_ties() -> None:
    """Of 60,000 equal scores the first by flat index go; unstable sorts show at such sizes only."""
    masks = {"a": torch.ones(200, 300, dtype=torch.bool), "b": torch.ones(7, dtype=torch.bool)}
    scores = {"a": torch.zeros(200, 300), "b": torch.zeros(7)}
    found = drop_lowest(masks, scores, 12_345, floor=5)
    assert torch.equal(found["a"].flatten().logical_not().nonzero().flatten(), torch.arange(12_345))
    assert bool(found["b"].all())
    last = drop_lowest(masks, scores, 60_000 - 5 + 2, floor=5)
    assert last["a"].flatten().nonzero().flatten().tolist() == list(range(60_000 - 5, 60_000))
    assert last["b"].tolist() == [False, False, True, True, True, True, True]


def test_tensors_without_scores_are_handed_on() -> None:
    """Only named tensors compete; the others keep what they have, however weak."""
    masks = {name: torch.ones(3, dtype=torch.bool) for name in "abc"}
    found = drop_lowest(masks, {"b": torch.tensor([3.0, 1.0, 2.0])}, 2)
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "a": [True] * 3,
        "b": [True, False, False],
        "c": [True] * 3,
    }


def test_arguments_are_left_alone() -> None:
    """Masks and scores are as before, bit for bit, and no result shares memory with a mask."""
    masks = {name: torch.ones(2, 2, dtype=torch.bool) for name in "ab"}
    scores = {name: torch.arange(4.0).view(2, 2) for name in "ab"}
    found = drop_lowest(masks, scores, 5)
    assert remaining(found) == 3
    assert all(bool(mask.all()) for mask in masks.values())
    assert all(torch.equal(score, torch.arange(4.0).view(2, 2)) for score in scores.values())
    assert all(found[name].data_ptr() != masks[name].data_ptr() for name in masks)


@given(cases())
def test_more_than_may_go_is_an_error(case: tuple[Masks, Scores, int]) -> None:
    """One weight beyond those that may go is refused in words with both numbers."""
    masks, scores, floor = case
    free = len(candidates(masks, scores, floor))
    with pytest.raises(InputError, match=rf"cannot remove {free + 1} weights: only {free} may go"):
        drop_lowest(masks, scores, free + 1, floor=floor)


@pytest.mark.parametrize(
    ("scores", "count", "law"),
    [
        ({"a": torch.zeros(3)}, -1, "must be >= 0, got -1"),
        ({}, 1, "no tensor has a score"),
        ({"b": torch.zeros(3)}, 1, "scores of b"),
        ({"a": torch.zeros(2)}, 1, "scores of a"),
    ],
)
def test_what_makes_no_sense_is_an_error(scores: Scores, count: int, law: str) -> None:
    """A negative number, no scores, or scores that no mask fits."""
    with pytest.raises(InputError, match=law):
        drop_lowest({"a": torch.ones(3, dtype=torch.bool)}, scores, count)


@pytest.mark.parametrize("floor", [0, 2])
def test_nan_is_an_error(floor: int) -> None:
    """A remaining weight whose score is NaN has no place in the order; its tensor is named."""
    masks = {name: torch.ones(3, dtype=torch.bool) for name in "ab"}
    scores = {"a": torch.zeros(3), "b": torch.tensor([0.0, math.nan, 1.0])}
    with pytest.raises(InputError, match="scores of b hold NaN"):
        drop_lowest(masks, scores, 1, floor=floor)
