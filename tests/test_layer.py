"""Layers: what the constructor refuses, and shapes and axes against torch's own layers."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recursive_lth.architecture.layer import (
    JOINS,
    MAKES_UNITS,
    OPERATIONS,
    SLIDES,
    Axis,
    Layer,
    Operation,
    group_symbol,
    kernel_symbol,
    output_row,
    output_shape,
    tensor_rows,
)
from recursive_lth.errors import InputError

SIZES = st.integers(1, 5)
PLAIN = sorted(set(OPERATIONS) - MAKES_UNITS - JOINS)


@pytest.mark.parametrize(
    ("fields", "law"),
    [
        ({"operation": "dense"}, "operation must be one of input, linear"),
        ({"operation": ["linear"]}, "operation must be one of"),
        ({"operation": "linear", "inputs": ("x",)}, "linear layer needs a width symbol"),
        ({"operation": "conv", "inputs": ("x",)}, "conv layer needs a width symbol"),
        ({"operation": "input"}, "input layer needs a width symbol"),
        ({"operation": "relu", "inputs": ("x",), "width": "a"}, "relu layer takes no width"),
        ({"operation": "add", "inputs": ("x", "y"), "width": "a"}, "add layer takes no width"),
        ({"operation": "conv", "inputs": ("x",), "width": "a", "kernel": 0}, "must be >= 1"),
        ({"operation": "conv", "inputs": ("x",), "width": "a", "stride": 0}, "must be >= 1"),
        ({"operation": "conv", "inputs": ("x",), "width": "a", "padding": -1}, "must be >= 1"),
        ({"operation": "input", "inputs": ("x",), "width": "a"}, "cannot have inputs"),
        ({"operation": "linear", "width": "a"}, "cannot have inputs"),
        ({"operation": "relu", "inputs": ("x", "y")}, "cannot have inputs"),
        ({"operation": "add", "inputs": ("x",)}, "cannot have inputs"),
    ],
)
def test_layer_refuses(fields: dict[str, Any], law: str) -> None:
    """Every law of one layer has an error of one line that states it."""
    with pytest.raises(InputError, match=law) as caught:
        Layer(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"kernel": 3.0},
        {"kernel": True},
        {"stride": "2"},
        {"padding": 1.0},
        {"bias": 1},
        {"inputs": "x"},
        {"inputs": ["x"]},
        {"inputs": (1,)},
        {"width": 3},
    ],
)
def test_layer_refuses_wrong_types(fields: dict[str, Any]) -> None:
    """3.0, True and "3" would pass comparisons and then change the canonical text or a shape."""
    with pytest.raises(InputError):
        Layer(**{"operation": "conv", "inputs": ("x",), "width": "a", **fields})


@pytest.mark.parametrize("operation", sorted(set(PLAIN) - SLIDES))
@pytest.mark.parametrize("field", ["stride", "padding", "bias", "multiple"])
def test_layer_refuses_fields_it_would_not_read(operation: Operation, field: str) -> None:
    """A field nobody reads would give one network two texts and two digests."""
    value = False if field == "bias" else 2
    with pytest.raises(InputError, match=operation):
        Layer(operation, ("x",), **{field: value})  # type: ignore[arg-type]


def test_layer_is_frozen() -> None:
    """A layer is a value: it cannot change under the graph that holds it."""
    layer = Layer("relu", ("x",))
    with pytest.raises(FrozenInstanceError):
        layer.kernel = 3  # type: ignore[misc]
    assert layer == Layer("relu", ("x",))
    assert layer != Layer("relu", ("y",))


@given(st.sampled_from(["conv", "maxpool"]), SIZES, SIZES, st.integers(0, 3), SIZES, SIZES)
def test_sliding_windows_have_torchs_shapes(
    operation: Operation, kernel: int, stride: int, padding: int, height: int, width: int
) -> None:
    """What torch computes is the shape, and what torch refuses is refused at construction."""
    image = torch.zeros(1, 2, height, width)
    try:
        if operation == "conv":
            out = F.conv2d(image, torch.zeros(3, 2, kernel, kernel), None, stride, padding)
        else:
            out = F.max_pool2d(image, kernel, stride, padding)
        expected = tuple(out.shape[1:])
    except RuntimeError:
        expected = None
    symbol = "a" if operation == "conv" else ""
    try:
        layer = Layer(operation, ("x",), symbol, kernel, stride, padding)
        found = output_shape(layer, [(2, height, width)], 3)
    except InputError:
        found = None
    assert found == expected


@given(SIZES, SIZES, SIZES)
def test_other_shapes(channels: int, height: int, width: int) -> None:
    """Pooling keeps channels, flatten multiplies, linear makes units, the rest keep the shape."""
    image, flat = (channels, height, width), (channels,)
    assert output_shape(Layer("meanpool", ("x",)), [image], 0) == flat
    assert output_shape(Layer("flatten", ("x",)), [image], 0) == (channels * height * width,)
    assert output_shape(Layer("flatten", ("x",)), [flat], 0) == flat
    assert output_shape(Layer("linear", ("x",), "a"), [flat], 7) == (7,)
    for shape in (image, flat):
        assert output_shape(Layer("relu", ("x",)), [shape], 0) == shape
        assert output_shape(Layer("batchnorm", ("x",)), [shape], 0) == shape
        assert output_shape(Layer("add", ("x", "y", "z")), [shape] * 3, 0) == shape


@pytest.mark.parametrize(
    ("layer", "shapes", "law"),
    [
        (Layer("linear", ("x",), "a"), [(2, 3, 3)], "put a flatten before it"),
        (Layer("conv", ("x",), "a"), [(2,)], "needs .channels, height, width."),
        (Layer("maxpool", ("x",)), [(2,)], "needs .channels, height, width."),
        (Layer("meanpool", ("x",)), [(2,)], "needs .channels, height, width."),
        (Layer("conv", ("x",), "a", kernel=4), [(2, 3, 9)], "kernel 4 does not fit"),
        (Layer("add", ("x", "y")), [(2,), (3,)], "adds unlike shapes"),
        (Layer("add", ("x", "y", "z")), [(2,), (2,), (2, 1, 1)], "adds unlike shapes"),
    ],
)
def test_shapes_that_do_not_fit(layer: Layer, shapes: list[tuple[int, ...]], law: str) -> None:
    """The error says what comes in and what would fit."""
    with pytest.raises(InputError, match=law):
        output_shape(layer, shapes, 2)


def test_output_axes() -> None:
    """Layers with units start a new axis, flatten repeats by its pixels, the others hand it on."""
    source, shape = (Axis("a", 2),), (2, 3, 4)
    for operation in ("linear", "conv"):
        made = Layer(operation, ("x",), "b", multiple=3)
        assert output_row(made, [source], shape) == (Axis("b", 3),)
    assert output_row(Layer("flatten", ("x",)), [source], shape) == (Axis("a", 24),)
    assert output_row(Layer("flatten", ("x",)), [source], (4,)) == source
    for operation in sorted({*PLAIN} - {"flatten", "groupconv", "concat"}):
        assert output_row(Layer(operation, ("x",)), [source], shape) == source  # type: ignore[arg-type]
    assert output_row(Layer("add", ("x", "y")), [source, source], (4,)) == source
    grouped = Layer("groupconv", ("x",), multiple=5)
    assert output_row(grouped, [source], shape) == (Axis("a", 5),)
    both = (Axis("a", 2), Axis("b"))
    assert output_row(Layer("concat", ("x", "y")), [source, both[1:]], (4,)) == both
    assert output_row(Layer("flatten", ("x",)), [both], shape) == (Axis("a", 24), Axis("b", 12))


def test_groups_are_of_one_stream() -> None:
    """Joined streams have groups of unlike size, which one convolution cannot have."""
    with pytest.raises(InputError, match="needs a single stream, got a, b joined"):
        output_row(Layer("groupconv", ("x",)), [(Axis("a"), Axis("b"))], (4, 5, 5))


@pytest.mark.parametrize("other", [Axis("b", 2), Axis("a", 1)])
def test_streams_that_are_added_share_a_symbol(other: Axis) -> None:
    """Adding couples units one to one: of two symbols, one could lose a unit alone."""
    with pytest.raises(InputError, match="adds unlike width symbols a, "):
        output_row(Layer("add", ("x", "y")), [(Axis("a", 2),), (other,)], (4,))


@pytest.mark.parametrize(
    ("layer", "made"),
    [
        (Layer("linear", ("x",), "b"), nn.Linear(6, 5)),
        (Layer("linear", ("x",), "b", bias=False), nn.Linear(6, 5, bias=False)),
        (Layer("conv", ("x",), "b", kernel=3), nn.Conv2d(6, 5, 3)),
        (Layer("conv", ("x",), "b", kernel=3, bias=False), nn.Conv2d(6, 5, 3, bias=False)),
        (Layer("groupconv", ("x",), kernel=3, multiple=2), nn.Conv2d(6, 4, 3, groups=2)),
        (Layer("batchnorm", ("x",)), nn.BatchNorm1d(6)),
        (Layer("relu", ("x",)), nn.ReLU()),
        (Layer("flatten", ("x",)), nn.Flatten()),
    ],
)
def test_tensor_rows_are_torchs(layer: Layer, made: nn.Module) -> None:
    """Names, order and sizes of a layer's tensors are those of torch's state dict."""
    sizes = {"b": 5, "a": 2, kernel_symbol("n"): 3, group_symbol("n"): 3}
    rows = tensor_rows("n", layer, (Axis("a", 3),))
    found = {n: tuple(sizes[a.symbol] * a.repeat for (a,) in each) for n, each in rows.items()}
    state = made.state_dict()
    expected = {f"n.{k}": tuple(v.shape) for k, v in state.items() if k != "num_batches_tracked"}
    assert found == expected
    if layer.operation in MAKES_UNITS:
        assert rows["n.weight"][:2] == ((Axis("b"),), (Axis("a", 3),))
