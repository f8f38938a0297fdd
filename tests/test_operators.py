"""Operators: where a place points, what an operator adds there, and that origins name the old."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import WEIGHTED, Layer
from recursive_lth.architecture.zoo import ARCHITECTURES, convnet, mlp, resnet_20
from recursive_lth.errors import InputError
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.growth.sites import sites
from recursive_lth.ticket.morph import NEW, Morph

DEEPER = {"widen": 0, "deepen": 1, "residual": 2}  # weight layers that each puts on a path
IMAGE = (3, 16, 16)


def changes(architecture: Architecture, operator: str, ratio: float = 0.5) -> Iterator[Morph]:
    """One morph for each place that the operator knows, from input to output.

    The middle of the i-th of n equal parts of [0, 1] lies inside it whatever rounding does.
    """
    choices = architecture.free_symbols if operator == "widen" else sites(architecture)
    for i in range(len(choices)):
        place = (i + 0.5) / len(choices)
        yield OPERATORS[operator](architecture, place=place, ratio=ratio, label="new")


def where(change: Morph) -> str:
    """The symbol that was widened, or the activation that new layers read."""
    grown = [s for s, n in change.before.widths.items() if change.after.widths[s] != n]
    if grown:
        return grown[0]
    new = set(change.new_layers)
    read = {i for name in new for i in change.after.layers[name].inputs}
    (site,) = read - new
    return site


def test_every_operator_has_a_depth() -> None:
    assert DEEPER.keys() == OPERATORS.keys()


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("network", ARCHITECTURES)
def test_places_reach_every_site_in_order(operator: str, network: str) -> None:
    """Equal parts of [0, 1] belong to the sites, input to output; 0 is the first, 1 the last."""
    architecture = ARCHITECTURES[network](IMAGE, 10, ())
    choices = architecture.free_symbols if operator == "widen" else sites(architecture)
    assert [where(change) for change in changes(architecture, operator)] == list(choices)

    def at(place: float) -> str:
        return where(OPERATORS[operator](architecture, place=place, ratio=0.1, label="new"))

    assert [at(0.0), at(1.0)] == [choices[0], choices[-1]]
    for i, choice in enumerate(choices):
        assert [at((i + part) / len(choices)) for part in (0.01, 0.99)] == [choice, choice]


@pytest.mark.parametrize("operator", OPERATORS)
@given(architecture=architectures(), ratio=st.floats(0.01, 3))
def test_growths_keep_what_was_there(
    operator: str, architecture: Architecture, ratio: float
) -> None:
    """Input, classes, and every layer but its sources stay; each old unit has one descendant.

    A layer on the longest path that gets n weight layers beside it makes the network n deeper, and
    in these networks every activation lies on a longest path.
    """
    for change in changes(architecture, operator, ratio):
        before, after = change.before, change.after
        assert before == architecture
        assert after.shapes[after.input] == before.shapes[before.input]
        assert after.classes == before.classes
        for name, layer in before.layers.items():
            grown = after.layers[name]
            same = (grown.operation, grown.kernel, grown.stride, grown.padding, grown.bias)
            assert same == (layer.operation, layer.kernel, layer.stride, layer.padding, layer.bias)
        for symbol, n in before.widths.items():
            units = change.origin[symbol].units
            assert change.origin[symbol].symbol == symbol
            assert units[:n] == tuple(range(n))
            assert set(units[n:]) <= {NEW}
        assert after.depth - before.depth == DEEPER[operator]


@given(architecture=architectures(), ratio=st.floats(0.01, 3))
def test_widening_widens_all_that_share_the_symbol(
    architecture: Architecture, ratio: float
) -> None:
    """max(1, round(ratio * n)) units on one symbol, and on every axis of it in every tensor.

    No other axis of any tensor moves, so coupled tensors stay coupled because they share a name.
    """
    for change in changes(architecture, "widen", ratio):
        symbol, before = where(change), change.before
        n = before.widths[symbol]
        extra = max(1, round(ratio * n))
        assert change.after.widths == {**before.widths, symbol: n + extra}
        assert change.new_tensors == ()
        for name, axes in before.tensors.items():
            expected = tuple(
                size + axis.repeat * extra * (axis.symbol == symbol)
                for size, (axis,) in zip(before.shape(name), axes, strict=True)
            )
            assert change.after.shape(name) == expected


def test_widening_a_residual_stream_widens_all_its_tensors() -> None:
    """Stage 1 of ResNet-20: the stem and its norm, six convolutions, three norms, two readers."""
    before = resnet_20(IMAGE, 10, ())
    change = OPERATORS["widen"](before, place=0.0, ratio=0.25, label="")
    moved = {name for name in before.tensors if change.after.shape(name) != before.shape(name)}
    norms = ("stem_norm", "s1b1_norm2", "s1b2_norm2", "s1b3_norm2")
    readers = ("s2b1_conv1", "s2b1_short")
    convolutions = [f"s1b{block}_conv{i}" for block in (1, 2, 3) for i in (1, 2)]
    fields = ("weight", "bias", "running_mean", "running_var")
    assert moved == {
        "stem.weight",
        *(f"{norm}.{field}" for norm in norms for field in fields),
        *(f"{name}.weight" for name in (*convolutions, *readers)),
    }
    assert change.after.shape("stem.weight") == (20, 3, 3, 3)
    assert change.after.shape("s1b2_conv1.weight") == (16, 20, 3, 3)


@pytest.mark.parametrize("operator", ["deepen", "residual"])
@given(architecture=architectures())
def test_new_layers_keep_every_shape(operator: str, architecture: Architecture) -> None:
    """What read the site reads the new layers' end, of the site's own shape; all else stays."""
    for change in changes(architecture, operator):
        before, after, site = change.before, change.after, where(change)
        assert all(after.shapes[name] == shape for name, shape in before.shapes.items())
        ends = {
            new
            for name, layer in before.layers.items()
            for old, new in zip(layer.inputs, after.layers[name].inputs, strict=True)
            if old != new
        }
        assert len(ends) == 1
        (end,) = ends
        assert after.shapes[end] == before.shapes[site]
        assert site not in {i for name in before.layers for i in after.layers[name].inputs}
        weighted = [n for n in change.new_layers if after.layers[n].operation in WEIGHTED]
        assert len(weighted) == DEEPER[operator]


def test_a_deeper_layer_has_units_of_its_own_off_a_stream() -> None:
    """A later widening then widens one layer; on a residual stream the addition binds the units."""
    free = OPERATORS["deepen"](mlp((4,), 3, (5,)), place=0.5, ratio=1, label="g2")
    assert free.after.layers["g2"] == Layer("linear", ("fc1_relu",), "g2")
    assert free.after.widths["g2"] == 5
    assert free.origin["g2"].symbol == "fc1"
    bound = OPERATORS["deepen"](resnet_20(IMAGE, 10, ()), place=0.0, ratio=1, label="g2")
    assert bound.after.layers["g2"] == Layer("conv", ("stem_relu",), "stream1", kernel=3, padding=1)
    assert "g2" not in bound.after.widths
    inner = OPERATORS["deepen"](resnet_20(IMAGE, 10, ()), place=1.5 / 19, ratio=1, label="g2")
    assert where(inner) == "s1b1_relu1"
    assert inner.after.widths["g2"] == 16


def test_a_residual_block_is_that_of_its_paper() -> None:
    """conv-norm-relu-conv-norm, added to the site, ReLU (He et al. 2016, arXiv 1512.03385)."""
    change = OPERATORS["residual"](convnet(IMAGE, 10, (8,)), place=0.0, ratio=1, label="g2")
    layers = {name: change.after.layers[name] for name in change.new_layers}
    assert layers == {
        "g2_1": Layer("conv", ("conv1_relu",), "g2", kernel=3, padding=1, bias=False),
        "g2_1_norm": Layer("batchnorm", ("g2_1",)),
        "g2_relu1": Layer("relu", ("g2_1_norm",)),
        "g2_2": Layer("conv", ("g2_relu1",), "conv1", kernel=3, padding=1, bias=False),
        "g2_2_norm": Layer("batchnorm", ("g2_2",)),
        "g2_add": Layer("add", ("g2_2_norm", "conv1_relu")),
        "g2_relu2": Layer("relu", ("g2_add",)),
    }
    flat = OPERATORS["residual"](mlp((4,), 3, (5,)), place=0.0, ratio=1, label="g2")
    assert {name: flat.after.layers[name].operation for name in flat.new_layers} == {
        "g2_1": "linear",
        "g2_relu1": "relu",
        "g2_2": "linear",
        "g2_add": "add",
        "g2_relu2": "relu",
    }


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_can_follow_one_another(operator: str) -> None:
    """Growing the grown works for every pair, with another label; the same label is refused."""
    first = OPERATORS[operator](resnet_20(IMAGE, 10, ()), place=0.3, ratio=0.5, label="g2").after
    for second in OPERATORS:
        for change in changes(first, second):
            assert change.after.depth == first.depth + DEEPER[second]
    if DEEPER[operator]:
        with pytest.raises(InputError, match="exist already: give the growth another label"):
            OPERATORS[operator](first, place=0.3, ratio=0.5, label="g2")


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


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_network_without_a_place_is_an_error(operator: str) -> None:
    """A linear classifier has neither hidden units nor an activation."""
    layers = {
        "input": Layer("input", width="input"),
        "output": Layer("linear", ("input",), "classes"),
    }
    line = Architecture(layers, {"input": 4, "classes": 3})
    with pytest.raises(InputError, match="nothing can grow here"):
        OPERATORS[operator](line, place=0.5, ratio=1, label="g2")
