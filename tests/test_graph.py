"""Architectures: one text each, every flaw refused by its layer's name, facts by slow twins."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from strategies import architectures, normal_weights, random_batch

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import JOINS, WEIGHTED, Layer
from recursive_lth.architecture.module import module
from recursive_lth.errors import InputError

LAYERS = {
    "in": Layer("input", width="in"),
    "stem": Layer("conv", ("in",), "stream", 3, 1, 1),
    "one": Layer("conv", ("stem",), "inner", 3, 1, 1),
    "two": Layer("conv", ("one",), "stream", 3, 1, 1),
    "sum": Layer("add", ("stem", "two")),
    "flat": Layer("flatten", ("sum",)),
    "out": Layer("linear", ("flat",), "classes"),
}
WIDTHS = {"in": 1, "stream": 3, "inner": 2, "classes": 2}


def build(
    layers: dict[str, Layer | None] | None = None,
    widths: dict[str, int] | None = None,
    spatial: tuple[int, ...] = (4, 4),
) -> Architecture:
    """A small residual network with these layers replaced, or removed where None."""
    changed = {n: layer for n, layer in {**LAYERS, **(layers or {})}.items() if layer is not None}
    return Architecture(changed, {**WIDTHS, **(widths or {})}, spatial)


@given(architectures(), st.randoms())
def test_text_forgets_the_order_of_insertion(architecture: Architecture, random: Any) -> None:
    """The canonical text sorts its keys, so any order of the dicts is the same architecture."""
    layers, widths = list(architecture.layers), list(architecture.widths)
    random.shuffle(layers)
    random.shuffle(widths)
    other = Architecture(
        {n: architecture.layers[n] for n in layers},
        {s: architecture.widths[s] for s in widths},
        architecture.spatial,
    )
    assert other == architecture
    assert other.canonical == architecture.canonical
    assert other.digest == architecture.digest
    assert hash(other) == hash(architecture)
    assert other.order == architecture.order
    for listing in ("layers", "widths", "tensors", "symbols"):  # choices go by place in the list
        assert list(getattr(other, listing).items()) == list(getattr(architecture, listing).items())
    assert other.free_symbols == architecture.free_symbols


@given(architectures(), architectures(), st.data())
def test_equal_iff_one_text(one: Architecture, two: Architecture, data: DataObject) -> None:
    """Equality is that of the texts, and each field of the structure stands in the text."""
    assert (one == two) == (one.canonical == two.canonical)
    assert one != one.canonical
    symbol = data.draw(st.sampled_from(sorted(one.widths)))
    name = data.draw(st.sampled_from(sorted(set(one.layers) - {one.input})))
    layer = one.layers[name]
    others = [one.edit(widths={symbol: one.widths[symbol] + 1})]
    if layer.operation in WEIGHTED:
        others.append(one.edit({name: replace(layer, bias=not layer.bias)}))
    if layer.operation == "conv":
        others.append(
            one.edit({name: replace(layer, kernel=layer.kernel + 2, padding=layer.padding + 1)})
        )
    for other in others:
        assert other != one
        assert other.digest != one.digest


@given(architectures())
def test_dict_round_trip(architecture: Architecture) -> None:
    """from_dict(to_dict) is the identity, also through JSON, and to_dict is the canonical text."""
    data = json.loads(json.dumps(architecture.to_dict()))
    assert Architecture.from_dict(data) == architecture
    assert Architecture.from_dict(architecture.to_dict()).to_dict() == architecture.to_dict()
    assert json.dumps(data, sort_keys=True, separators=(",", ":")) == architecture.canonical


@given(architectures())
def test_copies_and_pickles(architecture: Architecture) -> None:
    """An architecture is a value that travels: to a worker process, and inside a copied module."""
    assert pickle.loads(pickle.dumps(architecture)) == architecture  # noqa: S301
    assert copy.deepcopy(architecture) == architecture
    assert copy.copy(architecture) == architecture


def test_frozen() -> None:
    """Neither the fields nor the mappings nor the graph can change under a digest."""
    architecture = build()
    with pytest.raises(FrozenInstanceError):
        architecture.spatial = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        architecture.widths["inner"] = 9  # type: ignore[index]
    with pytest.raises(TypeError):
        architecture.layers["x"] = LAYERS["sum"]  # type: ignore[index]
    with pytest.raises(nx.NetworkXError):
        architecture.graph.add_node("x")
    given_layers, given_widths = dict(LAYERS), dict(WIDTHS)
    kept = Architecture(given_layers, given_widths, (4, 4))
    given_layers["more"] = Layer("relu", ("out",))
    given_widths["inner"] = 7
    assert kept == architecture


@pytest.mark.parametrize(
    ("layers", "widths", "spatial", "law"),
    [
        ({"sum": Layer("add", ("stem", "ghost"))}, {}, (4, 4), "layer sum reads 'ghost'"),
        ({"one": Layer("conv", ("two",), "inner")}, {}, (4, 4), "cycle: .*one"),
        ({"sum": Layer("relu", ("stem",))}, {}, (4, 4), "one input and one output, got .*two"),
        ({"in2": Layer("input", width="in")}, {}, (4, 4), "one input and one output, got .*in2"),
        ({"out": None}, {"classes": 2}, (4, 4), "only one has .'classes'"),
        ({"end": Layer("relu", ("out",))}, {}, (4, 4), "the last layer end must be linear"),
        ({"flat": Layer("relu", ("sum",))}, {}, (4, 4), "layer out .linear. needs .features"),
        ({"two": Layer("conv", ("one",), "two", 3, 1, 1)}, {"two": 3}, (4, 4), "layer sum .add."),
        ({"two": Layer("conv", ("one",), "stream", 3)}, {}, (4, 4), "layer sum .add. adds unlike"),
        ({"stem": Layer("conv", ("in",), "stream", 9)}, {}, (4, 4), "layer stem .conv. kernel 9"),
        ({}, {}, (), "layer stem .conv. needs .channels"),
        ({}, {"ghost": 3}, (4, 4), "only one has .'ghost'"),
        ({"stem": Layer("conv", ("in",), "ghost")}, {}, (4, 4), "only one has .'ghost'"),
        ({}, {"inner": 0}, (4, 4), "width inner must be .*>= 1, got 0"),
        ({}, {"inner": 2.5}, (4, 4), "width inner must be"),
        ({}, {"inner": True}, (4, 4), "width inner must be"),
        ({}, {}, (4,), "spatial must be"),
        ({}, {}, (4, 0), "spatial must be"),
        ({}, {}, (4.0, 4), "spatial must be"),
        ({"a b": Layer("relu", ("stem",))}, {}, (4, 4), "names are letters.*'a b'"),
        ({"a.": Layer("relu", ("stem",))}, {}, (4, 4), "names are letters"),
        ({"a\n": Layer("relu", ("stem",))}, {}, (4, 4), "names are letters"),
        ({"": Layer("relu", ("stem",))}, {}, (4, 4), "names are letters"),
        ({}, {"a..b": 1}, (4, 4), "names are letters"),
    ],
)
def test_flaws_are_refused(
    layers: dict[str, Layer | None], widths: dict[str, int], spatial: tuple[int, ...], law: str
) -> None:
    """Each flaw has an error of one line that names the layer, symbol or value at fault."""
    assert build().depth == 4  # the network is whole without the flaw
    with pytest.raises(InputError, match=law) as caught:
        build(layers, widths, spatial)
    assert "\n" not in str(caught.value)


def test_no_layers_are_refused() -> None:
    """An empty graph has neither input nor output."""
    with pytest.raises(InputError, match="one input and one output"):
        Architecture({}, {})


def test_symbols_and_kernels_keep_apart() -> None:
    """A width called like a kernel's symbol would be read with the kernel's size."""
    named = {"one": Layer("conv", ("stem",), "stem.kernel", 3, 1, 1)}
    with pytest.raises(InputError, match=r"stem\.kernel"):
        Architecture(
            {**LAYERS, **named}, {"in": 1, "stream": 3, "stem.kernel": 5, "classes": 2}, (4, 4)
        )


def test_no_layer_lies_inside_another() -> None:
    """`one` and `one.x` would be a layer and a layer within it: a module holds one of them."""
    inside = {"one.x": Layer("relu", ("one",)), "two": Layer("conv", ("one.x",), "stream", 3, 1, 1)}
    with pytest.raises(InputError, match=r"one\.x"):
        build({**inside})


@pytest.mark.parametrize(
    ("path", "value", "law"),
    [
        (("format",), 2, "format must be 1, got 2"),
        (("format",), None, "format must be 1, got None"),
        (("layers",), [], "not an architecture"),
        (("layers", "stem"), None, "stem"),
        (("layers", "stem", "operation"), "convolution", "stem.*operation must be one of"),
        (("layers", "stem", "kernel"), 3.0, "stem"),
        (("layers", "stem", "kernel"), 0, "stem.*must be >= 1"),
        (("layers", "stem", "colour"), 1, "stem.*colour"),
        (("layers", "stem", "inputs"), None, "stem"),
        (("widths",), None, "not an architecture"),
        (("widths", "inner"), "two", "inner"),
        (("widths", "inner"), 2.7, "inner"),
        (("spatial",), None, "not an architecture"),
        (("spatial",), ["4", 4], "spatial"),
    ],
)
def test_from_dict_refuses(path: tuple[str, ...], value: object, law: str) -> None:
    """Data that are not an architecture are told in one line that names the layer or the key."""
    data = build().to_dict()
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=law) as caught:
        Architecture.from_dict(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [{}, [], None, "text"])
def test_from_dict_refuses_other_values(data: Any) -> None:
    """Whatever JSON holds, the error is one of ours."""
    with pytest.raises(InputError):
        Architecture.from_dict(data)


@given(architectures())
def test_depth_is_the_longest_of_all_paths(architecture: Architecture) -> None:
    """Twin: list every path from input to logits and count its weight layers."""
    operations = {n: layer.operation for n, layer in architecture.layers.items()}
    paths = nx.all_simple_paths(architecture.graph, architecture.input, architecture.output)
    assert architecture.depth == max(sum(operations[n] in WEIGHTED for n in p) for p in paths)


@given(architectures())
def test_order_and_shapes_are_those_of_the_running_network(architecture: Architecture) -> None:
    """Twin: torch's own layers run, and what comes out; of those ready the first name runs."""
    done: list[str] = []
    while waiting := {n: y for n, y in architecture.layers.items() if n not in done}:
        done.append(min(n for n, y in waiting.items() if not set(y.inputs) & set(waiting)))
    assert architecture.order == tuple(done)
    seen = {architecture.input: architecture.shapes[architecture.input]}
    built = module(architecture, normal_weights(architecture, 0))

    def note(name: str) -> Any:
        return lambda _, __, out: seen.update({name: tuple(out.shape[1:])})

    for name in architecture.order[1:]:
        if architecture.layers[name].operation not in JOINS:
            built.get_submodule(name).register_forward_hook(note(name))
    logits = built.eval()(random_batch(architecture, 2, 0))
    assert seen == {
        n: shape
        for n, shape in architecture.shapes.items()
        if architecture.layers[n].operation not in JOINS
    }
    assert logits.shape == (2, architecture.classes)
    for name, shape in architecture.shapes.items():
        row = architecture.unit_rows[name]
        assert sum(architecture.widths[axis.symbol] * axis.repeat for axis in row) == shape[0]


def test_ties_of_the_order_are_broken_by_name() -> None:
    """Of two branches the first name runs on as long as it can: by rank it would be a, z, b."""
    layers = {
        "in": Layer("input", width="in"),
        "z": Layer("relu", ("in",)),
        "a": Layer("relu", ("in",)),
        "b": Layer("relu", ("a",)),
        "sum": Layer("add", ("z", "b")),
        "y": Layer("linear", ("sum",), "y"),
    }
    assert Architecture(layers, {"in": 2, "y": 2}).order == ("in", "a", "b", "z", "sum", "y")


def test_named_facts() -> None:
    """The small residual network, read off by hand."""
    architecture = build()
    assert architecture.order == ("in", "stem", "one", "two", "sum", "flat", "out")
    assert (architecture.input, architecture.output, architecture.classes) == ("in", "out", 2)
    assert architecture.free_symbols == ("stream", "inner")
    assert architecture.prunable == ("stem.weight", "one.weight", "two.weight", "out.weight")
    assert architecture.trainable == tuple(architecture.tensors)
    assert architecture.unit_rows["flat"] == (("stream", 16),)
    assert [architecture.shape(n) for n in ("two.weight", "two.bias", "out.weight")] == [
        (3, 2, 3, 3),
        (3,),
        (2, 48),
    ]
    assert architecture.symbols == {**WIDTHS, "stem.kernel": 3, "one.kernel": 3, "two.kernel": 3}
    normed = architecture.edit(
        {"flat": Layer("flatten", ("n",)), "n": Layer("batchnorm", ("sum",))}
    )
    statistics = set(normed.tensors) - set(normed.trainable)
    assert statistics == {"n.running_mean", "n.running_var"}
    assert normed.prunable == architecture.prunable
