"""The mover of tensors against a plain loop over every entry's index."""

import itertools
from collections.abc import Iterator, Mapping

import pytest
import torch
from changes import morphs, row_ancestors
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import network
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.errors import InputError
from recursive_lth.ticket import transplant as mover
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, birth, compose, morph
from recursive_lth.ticket.transplant import inherited, transplant

many = settings(max_examples=60)
IMAGE = Architecture(
    {
        "in": Layer("input", width="in"),
        "conv": Layer("conv", ("in",), "conv", 3, 1, 1),
        "flat": Layer("flatten", ("conv",)),
        "out": Layer("linear", ("flat",), "out"),
    },
    {"in": 1, "conv": 2, "out": 2},
    (2, 3),
)


def ancestors(change: Morph, name: str) -> Iterator[tuple[tuple[int, ...], tuple[int, ...] | None]]:
    """Each entry of a tensor after, and where it comes from, if anywhere: each axis by itself."""
    shape = change.after.shape(name)
    is_old = name in change.before.tensors
    sources = [row_ancestors(change, name, d) for d in range(len(shape))] if is_old else []
    for index in itertools.product(*map(range, shape)):
        source = tuple(axis[entry] for axis, entry in zip(sources, index, strict=False))
        yield index, source if is_old and NEW not in source else None


def twin(
    tensors: Mapping[str, Tensor], change: Morph, new: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """`transplant`, one entry at a time."""
    moved = {name: fill.clone() for name, fill in new.items()}
    for name, tensor in moved.items():
        for index, source in ancestors(change, name):
            if source is not None:
                tensor[index] = tensors[name][source]
    return moved


def assert_equal(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """The same names, types and bits."""
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name]), name


def births(architecture: Architecture, generation: int) -> dict[str, Tensor]:
    """Births of one generation for every prunable weight."""
    return {
        name: torch.full(architecture.shape(name), generation, dtype=torch.int16)
        for name in architecture.prunable
    }


@given(st.data(), SEEDS, st.booleans())
@many
def test_every_entry_comes_from_its_ancestor(
    data: DataObject, seed: int, is_injective: bool
) -> None:
    """Twin: the loop. Neither the old tensors nor the new ones change, and none is handed on.

    However torn a change is: block by block, gathered first, or entry by entry.
    """
    change = data.draw(morphs(data.draw(architectures()), is_injective=is_injective))
    old, new = normal_weights(change.before, seed), normal_weights(change.after, seed + 1)
    kept_old = {n: t.clone() for n, t in old.items()}
    kept_new = {n: t.clone() for n, t in new.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mover, "FEW", data.draw(st.sampled_from([1, 3, mover.FEW])))
        moved = transplant(old, change, new)
    assert_equal(moved, twin(old, change, new))
    for tensor in moved.values():
        tensor.fill_(9.0)
    assert_equal(old, kept_old)
    assert_equal(new, kept_new)


@given(st.data(), SEEDS, st.booleans())
@many
def test_two_moves_are_one(data: DataObject, seed: int, is_injective: bool) -> None:
    """Moving by the composition is moving twice, where what is new is the same in both.

    An entry that is new in the first move and kept by the second is new in the composition, so
    the composition's new values are the second move of the first one's. It holds for splits too:
    the mover copies, and dividing what a split unit sends on is left to whoever splits.
    """
    start = data.draw(architectures())
    first = data.draw(morphs(start, "one", is_injective=is_injective))
    second = data.draw(morphs(first.after, "two", is_injective=is_injective))
    old, middle = normal_weights(start, seed), normal_weights(first.after, seed + 1)
    last = normal_weights(second.after, seed + 2)
    twice = transplant(transplant(old, first, middle), second, last)
    once = transplant(old, compose(first, second), transplant(middle, second, last))
    assert_equal(once, twice)


@given(st.data(), SEEDS)
@many
def test_all_that_a_ticket_holds_moves_alike(data: DataObject, seed: int) -> None:
    """Masks, births, rewind weights and moments ride the loop of the weights: the same twin."""
    change = data.draw(morphs(data.draw(architectures())))
    kept = data.draw(kept_counts(change.before))
    masks = exact_masks(change.before, kept, seed)
    new_masks = exact_masks(change.after, data.draw(kept_counts(change.after)), seed)
    assert_equal(transplant(masks, change, new_masks), twin(masks, change, new_masks))
    old_births, new_births = births(change.before, 3), births(change.after, 7)
    moved_births = transplant(old_births, change, new_births)
    assert_equal(moved_births, twin(old_births, change, new_births))
    heirs = inherited(change)
    for name, tensor in moved_births.items():
        assert torch.equal(tensor == 3, heirs[name])
        assert torch.equal(tensor == 7, ~heirs[name])
    moments = {n: t.square() for n, t in normal_weights(change.before, seed).items()}
    trainable = {n: moments[n] for n in change.before.trainable}
    zeros = {n: torch.zeros(change.after.shape(n)).double() for n in change.after.trainable}
    moved = transplant(trainable, change, zeros)
    assert_equal(moved, twin(trainable, change, zeros))
    for name, tensor in moved.items():
        assert not bool(tensor[~heirs[name]].any())


@given(st.data())
@many
def test_inherited_is_true_where_the_twin_finds_an_ancestor(data: DataObject) -> None:
    """Twin: ask for each entry's ancestor."""
    change = data.draw(morphs(data.draw(architectures()), is_injective=False))
    heirs = inherited(change)
    assert heirs.keys() == change.after.tensors.keys()
    for name, tensor in heirs.items():
        assert tensor.dtype == torch.bool
        assert tuple(tensor.shape) == change.after.shape(name)
        for index, source in ancestors(change, name):
            assert bool(tensor[index]) == (source is not None)


@pytest.mark.parametrize("way", ["behind", "between", "fewer", "mixed", "torn"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bool, torch.int16])
def test_wide_layers_move_as_by_index(way: str, kind: torch.dtype) -> None:
    """Twin: all entries by their indices, for units that stay, scatter, go or swap by the hundred.

    New units behind the old are whole blocks, some units fewer are gathered, and new ones strewn
    between them are written entry by entry: three routes, one result.
    """
    before = ARCHITECTURES["mlp"]((20,), 10, (150, 90))
    draw = torch.Generator().manual_seed(len(way))
    origin = {}
    for symbol in ("fc1", "fc2"):
        units = before.symbols[symbol]
        order = torch.randperm(units, generator=draw)
        found = {
            "behind": [*range(units), *[NEW] * 30],
            "between": [*range(units // 2), *[NEW] * 9, *range(units // 2, units)],
            "fewer": order[: units // 2].sort().values.tolist(),
            "mixed": order.tolist(),
            "torn": [u for pair in zip(order.tolist(), [NEW] * units, strict=True) for u in pair],
        }[way]
        origin[symbol] = Ancestry(symbol, tuple(found))
    after = before.edit(widths={symbol: len(origin[symbol].units) for symbol in origin})
    change = morph(before, after, origin)
    old = {n: (10 * t).to(kind) for n, t in normal_weights(before, 0).items()}
    new = {n: (10 * t).to(kind) for n, t in normal_weights(after, 1).items()}
    moved = transplant(old, change, new)
    for name, tensor in moved.items():
        axes = [torch.tensor(row_ancestors(change, name, d)) for d in range(tensor.dim())]
        grid = torch.meshgrid(*axes, indexing="ij")
        is_old = torch.stack(grid).ne(NEW).all(dim=0)
        expected = torch.where(is_old, old[name][tuple(a.clamp(min=0) for a in grid)], new[name])
        assert torch.equal(tensor, expected), name
        assert torch.equal(inherited(change)[name], is_old), name


@given(architectures(), SEEDS)
def test_nothing_changes_nothing_and_birth_takes_all_new(
    architecture: Architecture, seed: int
) -> None:
    """The identity moves every entry to its place; at birth there is nothing to move."""
    old, new = normal_weights(architecture, seed), normal_weights(architecture, seed + 1)
    assert_equal(transplant(old, morph(architecture, architecture, {}), new), old)
    assert all(bool(t.all()) for t in inherited(morph(architecture, architecture, {})).values())
    for tensors in ({}, old):
        assert_equal(transplant(tensors, birth(architecture), new), new)
    assert not any(bool(t.any()) for t in inherited(birth(architecture)).values())


def test_units_move_with_all_their_pixels() -> None:
    """After a flatten of 2x3 pixels unit u is columns 6u to 6u+5: swapped, a new one between."""
    after = IMAGE.edit(widths={"conv": 3})
    change = morph(IMAGE, after, {"conv": Ancestry("conv", (1, NEW, 0))})
    old = normal_weights(IMAGE, 0)
    new = {n: torch.zeros(after.shape(n)).double() for n in after.tensors}
    moved = transplant(old, change, new)
    columns = old["out.weight"]
    gap = torch.zeros(2, 6).double()
    expected = torch.cat([columns[:, 6:], gap, columns[:, :6]], dim=1)
    assert torch.equal(moved["out.weight"], expected)
    batch = torch.randn(4, 1, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    before, _ = network(IMAGE)(old, batch)
    grown, _ = network(after)(moved, batch)  # nobody reads the new unit: the function stays
    torch.testing.assert_close(grown, before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("symbol", ["input", "classes"])
def test_another_symbols_units_are_refused(symbol: str) -> None:
    """fc1's tensors ran over fc1: units of another symbol are none of their ancestors."""
    network_before = ARCHITECTURES["mlp"]((4,), 4, (4,))
    change = morph(network_before, network_before, {"fc1": Ancestry(symbol, (0, 1, 2, NEW))})
    old = normal_weights(network_before, 0)
    with pytest.raises(InputError, match=rf"fc1\.weight runs over fc1 .*from {symbol}"):
        transplant(old, change, old)
    with pytest.raises(InputError, match=r"fc1\.weight runs over fc1"):
        inherited(change)


def test_another_number_of_pixels_is_refused() -> None:
    """A stride between convolution and flatten leaves other pixels: no column has an ancestor."""
    after = IMAGE.edit({"conv": Layer("conv", ("in",), "conv", 3, 2, 1)})
    change = morph(IMAGE, after, {})
    with pytest.raises(InputError, match=r"out\.weight runs over conv x 6 .* conv x 2"):
        transplant(normal_weights(IMAGE, 0), change, normal_weights(after, 0))


def test_another_operation_of_that_name_is_refused() -> None:
    """A convolution that became a norm kept its name, but not its axes."""
    before = ARCHITECTURES["mlp"]((4,), 4, (4,))
    after = Architecture({**before.layers, "fc1": Layer("batchnorm", ("input",))},
                         {"input": 4, "classes": 4})  # fmt: skip
    with pytest.raises(InputError, match=r"fc1\.weight"):
        transplant(normal_weights(before, 0), morph(before, after, {}), normal_weights(after, 0))


@pytest.mark.parametrize("flaw", ["lacking", "old shape", "new shape", "old name", "new name"])
def test_tensors_that_do_not_fit_are_refused(flaw: str) -> None:
    """A tensor left out would be drawn anew in silence, one of another shape would be misread."""
    after = IMAGE.edit(widths={"conv": 3})
    change = morph(IMAGE, after, {"conv": Ancestry("conv", (0, 1, NEW))})
    old, new = normal_weights(IMAGE, 0), normal_weights(after, 0)
    match flaw:
        case "lacking":
            del old["out.weight"]
        case "old shape":
            old["out.weight"] = torch.zeros(2, 18)
        case "new shape":
            new["out.weight"] = torch.zeros(2, 12)
        case "old name":
            old["out.weights"] = old["out.weight"]
        case "new name":
            new["out.weights"] = new["out.weight"]
    with pytest.raises(InputError, match=r"out\.weight"):
        transplant(old, change, new)
