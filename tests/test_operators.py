"""Operators: where a place points, what an operator adds there, and that origins name the old."""

from collections.abc import Iterator

import pytest
from changes import row_ancestors
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS, Layer, kernel_symbol
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp, resnet_20
from recursive_lth.errors import InputError
from recursive_lth.growth.operators import OPERATORS, PLACES
from recursive_lth.growth.sites import sites
from recursive_lth.growth.stretch import blocks
from recursive_lth.ticket.morph import NEW, Morph

IMAGE = (3, 16, 16)
DEEPER = {  # weight layers that each puts on a path: for features, for images
    "widen": (0, 0),
    "split": (0, 0),
    "deepen": (1, 1),
    "residual": (2, 2),
    "bottleneck": (2, 3),
    "residual_pre": (2, 2),
    "bottleneck_pre": (2, 3),
    "branch": (0, 0),
    "branch_concat": (0, 0),
    "skip": (0, 0),
    "skip_add": (0, 0),
    "enlarge_kernel": (0, 0),
    "rewire": (0, 0),
}
SAME_KERNELS = OPERATORS.keys() - {"enlarge_kernel"}


def changes(architecture: Architecture, operator: str, ratio: float = 0.5) -> Iterator[Morph]:
    """One morph for each place that the operator knows, from input to output; an error if none.

    The middle of the i-th of n equal parts of [0, 1] lies inside it whatever rounding does.
    """
    choices = PLACES[operator](architecture)
    if not choices:
        with pytest.raises(InputError, match="nothing can grow here: the network has no "):
            OPERATORS[operator](architecture, place=0.5, ratio=ratio, label="new")
    for i in range(len(choices)):
        place = (i + 0.5) / len(choices)
        yield OPERATORS[operator](architecture, place=place, ratio=ratio, label="new")


def where(operator: str, change: Morph) -> str:
    """What the operator acted on: a symbol, or the layer that new ones stand behind or beside."""
    before, after = change.before, change.after
    match operator:
        case "widen" | "split":
            (symbol,) = (s for s, n in before.widths.items() if after.widths[s] != n)
            return symbol
        case "enlarge_kernel":
            (name,) = (n for n, layer in before.layers.items() if after.layers[n] != layer)
            return name
        case "rewire":
            assert before == after
            return "everywhere"
    (replaced,) = {
        old
        for name, layer in before.layers.items()
        for old, new in zip(layer.inputs, after.layers[name].inputs, strict=True)
        if old != new
    }
    return replaced


def test_every_operator_has_places_and_a_depth() -> None:
    assert OPERATORS.keys() == PLACES.keys() == DEEPER.keys() | {"stretch"}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("network", ARCHITECTURES)
def test_places_reach_every_choice_in_order(operator: str, network: str) -> None:
    """Equal parts of [0, 1] belong to the choices, input to output; 0 is the first, 1 the last."""
    architecture = ARCHITECTURES[network](IMAGE, 10, ())
    choices = PLACES[operator](architecture)
    found = [where(operator, change) for change in changes(architecture, operator)]
    assert found == list(choices)
    order = [*architecture.order]
    if set(choices) <= set(order):
        assert sorted(choices, key=order.index) == list(choices)

    def at(place: float) -> str:
        made = OPERATORS[operator](architecture, place=place, ratio=0.1, label="new")
        return where(operator, made)

    for i, choice in enumerate(choices):
        assert [at((i + part) / len(choices)) for part in (0.01, 0.99)] == [choice, choice]
    if choices:
        assert [at(0.0), at(1.0)] == [choices[0], choices[-1]]


@pytest.mark.parametrize("operator", OPERATORS)
@given(architecture=architectures(), ratio=st.floats(0.01, 3))
def test_growths_keep_what_was_there(
    operator: str, architecture: Architecture, ratio: float
) -> None:
    """Input, classes, and every layer but its sources stay; each old unit has a descendant.

    The pixels of every layer stay. The longest path grows by at most what the operator puts on a
    path: a stretch by what it copies.
    """
    for change in changes(architecture, operator, ratio):
        before, after = change.before, change.after
        assert before == architecture
        assert after.shapes[after.input] == before.shapes[before.input]
        assert after.classes == before.classes
        for name, layer in before.layers.items():
            grown = after.layers[name]
            same = (grown.operation, grown.stride, grown.bias, grown.multiple)
            assert same == (layer.operation, layer.stride, layer.bias, layer.multiple)
            if operator in SAME_KERNELS:
                assert (grown.kernel, grown.padding) == (layer.kernel, layer.padding)
            assert after.shapes[name][1:] == before.shapes[name][1:]
        for symbol, n in before.widths.items():
            units = change.origin[symbol].units
            assert change.origin[symbol].symbol == symbol
            assert units[:n] == tuple(range(n))
            assert operator == "split" or set(units[n:]) <= {NEW}
        copied = sum(f"{n}.weight" in before.tensors for n in change.models.values())
        most = DEEPER.get(operator, (copied, copied))[bool(before.spatial)]
        assert 0 <= after.depth - before.depth <= most


@pytest.mark.parametrize("operator", OPERATORS)
@given(architecture=architectures(), ratio=st.floats(0.01, 3))
def test_every_old_weight_goes_on(operator: str, architecture: Architecture, ratio: float) -> None:
    """Along every axis of every old tensor each entry has an heir, in order; what it reads too.

    So a whole old tensor stands inside its successor, however streams were joined.
    """
    for change in changes(architecture, operator, ratio):
        for name in change.before.tensors:
            for dimension, size in enumerate(change.before.shape(name)):
                heirs = [u for u in row_ancestors(change, name, dimension) if u != NEW]
                assert sorted(set(heirs)) == list(range(size))
                assert operator == "split" or heirs == list(range(size))


@pytest.mark.parametrize("operator", ["widen", "split"])
@given(architecture=architectures(), ratio=st.floats(0.01, 3))
def test_widening_widens_all_that_share_the_symbol(
    operator: str, architecture: Architecture, ratio: float
) -> None:
    """max(1, round(ratio * n)) units on one symbol, and on every axis of it in every tensor.

    No other axis of any tensor moves, so coupled tensors stay coupled because they share a name.
    Of a split each new unit copies an old one, in turn from the first.
    """
    for change in changes(architecture, operator, ratio):
        symbol, before = where(operator, change), change.before
        n = before.widths[symbol]
        extra = max(1, round(ratio * n))
        assert change.after.widths == {**before.widths, symbol: n + extra}
        assert change.new_tensors == ()
        came = [u % n for u in range(extra)] if operator == "split" else [NEW] * extra
        assert change.origin[symbol].units == (*range(n), *came)
        for name, rows in before.tensors.items():
            expected = tuple(
                size + sum(axis.repeat * extra * (axis.symbol == symbol) for axis in row)
                for size, row in zip(before.shape(name), rows, strict=True)
            )
            assert change.after.shape(name) == expected


@given(architecture=architectures(is_image=True))
def test_a_larger_kernel_has_a_rim(architecture: Architecture) -> None:
    """Two more pixels both ways, the old ones in the middle, and every output where it was."""
    for change in changes(architecture, "enlarge_kernel"):
        name = where("enlarge_kernel", change)
        old, new = change.before.layers[name], change.after.layers[name]
        assert (new.kernel, new.padding) == (old.kernel + 2, old.padding + 1)
        assert change.origin[kernel_symbol(name)].units == (NEW, *range(old.kernel), NEW)
        assert change.after.shapes == change.before.shapes


@given(architecture=architectures())
def test_a_stretch_copies_a_block(architecture: Architecture) -> None:
    """Each copy names its model and is like it, and reads the copy of what its model reads.

    Only what reads the block's source reads the block's end instead.
    """
    for change in changes(architecture, "stretch"):
        before, after = change.before, change.after
        end = where("stretch", change)
        copies = {model: new for new, model in change.models.items()}
        assert tuple(copies) == blocks(before)[end]
        assert set(copies.values()) == set(change.new_layers)
        for model, new in copies.items():
            old, made = before.layers[model], after.layers[new]
            assert after.shapes[new] == after.shapes[model] == before.shapes[model]
            sources = tuple(copies.get(i, end) for i in old.inputs)
            assert made == Layer(
                old.operation, sources, made.width, old.kernel, old.stride, old.padding,
                old.bias, old.multiple,
            )  # fmt: skip
            assert made.width in {old.width, f"new_{old.width}"}


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_can_follow_one_another(operator: str) -> None:
    """Growing the grown works for every pair, with another label; the same label is refused."""
    architecture = resnet_20((3, 8, 8), 10, (2, 3, 4))
    change = OPERATORS[operator](architecture, place=0.3, ratio=0.5, label="g2")
    for second in OPERATORS:
        for after in list(changes(change.after, second))[::5]:
            assert after.after.depth >= change.after.depth
    if change.new_layers:
        with pytest.raises(InputError, match="exist already: give the growth another label"):
            OPERATORS[operator](change.after, place=0.3, ratio=0.5, label="g2")


def test_nothing_is_inserted_among_repeated_units() -> None:
    """An activation behind a flatten has a unit for each pixel: no symbol names one of them.

    With a single pixel each unit stands once, and a layer of features fits there.
    """
    layers = {
        "input": Layer("input", width="input"),
        "conv": Layer("conv", ("input",), "units", kernel=2),
        "flat": Layer("flatten", ("conv",)),
        "relu": Layer("relu", ("flat",)),
        "output": Layer("linear", ("relu",), "classes"),
    }
    widths = {"input": 1, "units": 3, "classes": 2}
    assert sites(Architecture(layers, widths, (3, 3))) == ()
    pixel = Architecture(layers, widths, (2, 2))
    assert sites(pixel) == ("relu",)
    (change,) = changes(pixel, "deepen")
    assert change.after.layers["new"].operation == "linear"


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "rewire"])
def test_a_network_without_a_place_is_an_error(operator: str) -> None:
    """A linear classifier has neither hidden units nor an activation nor a convolution."""
    layers = {
        "input": Layer("input", width="input"),
        "output": Layer("linear", ("input",), "classes"),
    }
    line = Architecture(layers, {"input": 4, "classes": 3})
    assert PLACES[operator](line) == ()
    assert list(changes(line, operator)) == []


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("operator", ["deepen", "residual", "residual_pre", "bottleneck"])
def test_new_activations_are_of_the_kind_they_follow(operator: str, activation: str) -> None:
    base = mlp((4,), 3, (5,))
    base = base.edit({"fc1_relu": Layer(activation, ("fc1",))})  # type: ignore[arg-type]
    (change,) = changes(base, operator)
    kinds = {change.after.layers[n].operation for n in change.new_layers} - {"linear", "add"}
    assert kinds == {activation}
