"""Overlaps: counted place by place, expectations by going through every mask there is."""

from itertools import combinations, product
from statistics import mean

import pytest
import torch
from changes import morphs, row_ancestors
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, exact_masks, kept_counts

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import mlp
from recursive_lth.errors import InputError
from recursive_lth.pruning.overlap import TOTAL, Overlap, overlap, overlap_through
from recursive_lth.ticket.masks import dense
from recursive_lth.ticket.morph import NEW


def slow_overlap(pairs: list[tuple[bool, ...]]) -> tuple[int, int]:
    """Places that all keep and places that any keeps, one by one."""
    return sum(all(kept) for kept in pairs), sum(any(kept) for kept in pairs)


def numbers(found: Overlap) -> tuple[int, int]:
    return found.shared, found.union


@given(architectures(), SEEDS, st.integers(2, 4), st.data())
def test_overlaps_are_counted_place_by_place(
    architecture: Architecture, seed: int, many: int, data: st.DataObject
) -> None:
    """The slow twin walks over every place of every layer; the total is the sum of the layers."""
    masks = [
        exact_masks(architecture, data.draw(kept_counts(architecture)), seed + i)
        for i in range(many)
    ]
    found = overlap(masks)
    layers = [name.removesuffix(".weight") for name in architecture.prunable]
    assert list(found) == [*layers, TOTAL]
    for name, layer in zip(architecture.prunable, layers, strict=True):
        places = list(zip(*(m[name].flatten().tolist() for m in masks), strict=True))
        assert numbers(found[layer]) == slow_overlap(places)
    for part in ("shared", "union"):
        assert getattr(found[TOTAL], part) == sum(getattr(found[n], part) for n in layers)
    for each in found.values():
        assert each.jaccard == (each.shared / each.union if each.union else 0)
        assert 0 <= each.expected <= 1 + 1e-12


@pytest.mark.parametrize("kept", [*product(range(4), repeat=2), (1, 2, 3), (2, 2, 2)])
def test_expectations_are_means_over_all_masks(kept: tuple[int, ...]) -> None:
    """Every arrangement of so many of 3 places is as likely: the mean over all of them, by hand.

    For two masks the mean of what is shared is that of the hypergeometric distribution, kept times
    kept over places; `expected` is mean shared over mean united.
    """
    places = range(3)
    shared, united = [], []
    for arrangement in product(*(combinations(places, n) for n in kept)):
        now = slow_overlap([tuple(p in mask for mask in arrangement) for p in places])
        shared.append(now[0])
        united.append(now[1])
    if len(kept) == 2:
        assert mean(shared) == pytest.approx(kept[0] * kept[1] / 3)
    masks = [{"one.weight": torch.tensor([p < n for p in places])} for n in kept]
    expected = mean(shared) / mean(united) if any(kept) else 0
    assert overlap(masks)["one"].expected == pytest.approx(expected)


@given(architectures(), SEEDS, st.data())
def test_a_mask_overlaps_itself_wholly_and_its_complement_nowhere(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    masks = exact_masks(architecture, data.draw(kept_counts(architecture)), seed)
    own = overlap([masks, masks])
    assert all(each.jaccard == bool(each.union) for each in own.values())
    other = overlap([masks, {n: ~m for n, m in masks.items()}])
    assert all(each.shared == 0 == each.jaccard for each in other.values())
    whole = overlap([dense(architecture), masks])
    assert all(each.jaccard == pytest.approx(each.expected) for each in whole.values())


def test_masks_of_other_shapes_are_an_error() -> None:
    one, other = (dense(mlp((3,), 2, (n,))) for n in (3, 4))
    with pytest.raises(InputError, match="different shape do not overlap place by place"):
        overlap([one, other])
    with pytest.raises(InputError, match="different shape do not overlap place by place"):
        overlap([one, {"output.weight": one["output.weight"]}])


@given(st.data())
def test_overlaps_through_a_change_hold_each_heir_against_its_ancestor(data: st.DataObject) -> None:
    """The slow twin asks of every connection after the change which one before it comes from."""
    before = data.draw(architectures())
    change = data.draw(morphs(before, is_injective=False))
    seed = data.draw(SEEDS)
    first = exact_masks(before, data.draw(kept_counts(before)), seed)
    second = exact_masks(change.after, data.draw(kept_counts(change.after)), seed + 1)
    pairs: dict[str, list[tuple[bool, ...]]] = {}
    for name, mask in second.items():
        if name not in first:
            continue
        sources = [row_ancestors(change, name, d) for d in range(mask.dim())]
        for place in product(*(range(n) for n in mask.shape)):
            origin = tuple(source[p] for source, p in zip(sources, place, strict=True))
            if NEW not in origin:
                kept = (bool(first[name][origin]), bool(mask[place]))
                pairs.setdefault(name.removesuffix(".weight"), []).append(kept)
    if not pairs:
        with pytest.raises(InputError, match="no connection of the later ticket"):
            overlap_through(first, second, change)
        return
    found = overlap_through(first, second, change)
    assert {n: numbers(o) for n, o in found.items() if n != TOTAL} == {
        name: slow_overlap(places) for name, places in pairs.items()
    }
