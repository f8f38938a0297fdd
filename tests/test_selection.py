"""Selection by partition against the sort of everything, bit for bit."""

import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.ticket import selection
from recursive_lth.ticket.masks import Masks, drop_lowest

KINDS = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int16,
    torch.bool,
)
LEVELS = (-math.inf, -2.0, -0.0, 0.0, 0.5, 0.5000001, 3.0, math.inf)


def sort_of_everything(
    masks: Mapping[str, Tensor], scores: Mapping[str, Tensor], count: int, floor: int
) -> Masks:
    """The slow twin: places and values of all, one stable sort, its head; errors by name."""
    places, values = [], []
    for name, score in scores.items():
        place = masks[name].flatten().nonzero().flatten()
        value = score.flatten()[place]
        if bool(value.isnan().any()):
            raise InputError(f"scores of {name} hold NaN")
        lowest = value.argsort(stable=True)[: max(0, len(place) - floor)].sort().values
        places.append(place[lowest])
        values.append(value[lowest])
    if count > sum(map(len, places)):
        raise InputError(f"cannot remove {count} weights")
    chosen = torch.cat(values).argsort(stable=True)[:count].sort().values
    result = {name: mask.clone() for name, mask in masks.items()}
    start = 0
    for name, place in zip(scores, places, strict=True):
        inside = chosen[(chosen >= start) & (chosen < start + len(place))] - start
        result[name].view(-1)[place[inside]] = False
        start += len(place)
    return result


@given(st.data(), SEEDS)
@settings(max_examples=150)
def test_partition_is_the_head_of_the_sort(data: st.DataObject, seed: int) -> None:
    """Any types (also mixed), ties within and between tensors, floors, sizes and densities.

    Chunks of 16 entries, so that ties and tensors run over their bounds. -0 and 0 are equal, and
    infinite scores have their place: the order is the comparison's, as a stable sort's is.
    """
    generator = torch.Generator().manual_seed(seed)
    masks, scores = {}, {}
    for name in data.draw(st.sampled_from(["a", "ab", "abcd"])):
        shape = data.draw(st.sampled_from([(0,), (1,), (5, 7), (3, 2, 3, 3), (50, 9)]))
        density = data.draw(st.sampled_from([0.0, 0.1, 0.7, 1.0]))
        masks[name] = torch.rand(shape, generator=generator) < density
        kind = data.draw(st.sampled_from(KINDS))
        if data.draw(st.booleans()):
            drawn = torch.randint(len(LEVELS), shape, generator=generator)
            levels = torch.tensor(LEVELS)
            scores[name] = (levels if kind.is_floating_point else levels.clamp(-3, 3))[drawn]
        else:
            scores[name] = 100 * torch.randn(shape, generator=generator)
        scores[name] = scores[name].to(kind)
    masks["unscored"] = torch.ones(2, dtype=torch.bool)
    floor = data.draw(st.integers(0, 12))
    free = sum(max(0, int(masks[name].sum()) - floor) for name in scores)
    count = data.draw(st.integers(0, free))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "CHUNK", 16)
        found = drop_lowest(masks, scores, count, floor=floor)
    expected = sort_of_everything(masks, scores, count, floor)
    assert list(found) == list(masks)
    assert all(torch.equal(found[name], expected[name]) for name in masks)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("decimals", [0, 2, 9])
def test_many_chunks_keep_the_order(kind: torch.dtype, decimals: int) -> None:
    """Two tensors of over a chunk each; rounded to 0 or 2 decimals nearly all of them tie."""
    generator = torch.Generator().manual_seed(decimals)
    shapes = {"a": (601, 999), "b": (1003, 499)}
    scores = {n: torch.randn(s, generator=generator).to(kind) for n, s in shapes.items()}
    scores = {n: score.abs().round(decimals=decimals) for n, score in scores.items()}
    masks = {n: torch.rand(s, generator=generator) < 0.8 for n, s in shapes.items()}
    masks["b"][:] = True
    whole = sum(int(mask.sum()) for mask in masks.values())
    for share in (1e-5, 0.01, 0.5, 0.99):
        for floor in (0, 1, 300_000):
            count = round(share * max(0, whole - 2 * floor))
            found = drop_lowest(masks, scores, count, floor=floor)
            expected = sort_of_everything(masks, scores, count, floor)
            assert all(torch.equal(found[name], expected[name]) for name in masks)


@given(st.integers(0, 4), st.booleans(), st.integers(0, 2))
def test_nan_is_refused_where_the_sort_refuses_it(place: int, keeps: bool, floor: int) -> None:
    """A NaN score is an error where its weight remains, and never read where it is gone."""
    scores = {"a": torch.arange(5.0), "b": torch.arange(5.0)}
    scores["b"][place] = math.nan
    masks = {name: torch.ones(5, dtype=torch.bool) for name in scores}
    masks["b"][place] = keeps
    if keeps:
        for routine in (drop_lowest, sort_of_everything):
            with pytest.raises(InputError, match="scores of b hold NaN"):
                routine(masks, scores, 3, floor=floor)
        return
    found = drop_lowest(masks, scores, 3, floor=floor)
    expected = sort_of_everything(masks, scores, 3, floor)
    assert all(torch.equal(found[name], expected[name]) for name in masks)


def test_scores_that_are_trained_are_read_and_left_alone() -> None:
    """A score that requires a gradient, turned and so not contiguous, is compared by value."""
    score = torch.arange(6.0).view(2, 3).t().requires_grad_()
    mask = torch.ones(2, 3, dtype=torch.bool).t()
    found = drop_lowest({"a": mask}, {"a": score}, 2)["a"]
    assert torch.equal(found, score.detach() >= 2)
    assert bool(mask.all())
