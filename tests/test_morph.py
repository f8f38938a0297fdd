"""Morphs: what the constructor refuses, and composition as a law of functions."""

import copy
import pickle
from collections.abc import Mapping

import pytest
from changes import morphs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from strategies import architectures

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.errors import InputError
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, birth, compose, morph

MLP = ARCHITECTURES["mlp"]((3,), 2, (4, 5))
many = settings(max_examples=60)


def same(architecture: Architecture) -> Morph:
    """The morph that changes nothing."""
    return morph(architecture, architecture, {})


@given(st.data(), st.booleans())
@many
def test_ancestry_is_followed_unit_by_unit(data: DataObject, is_injective: bool) -> None:
    """Twin: ask the second morph for each unit's parent, and the first for the parent's parent."""
    start = data.draw(architectures())
    first = data.draw(morphs(start, "one", is_injective=is_injective))
    second = data.draw(morphs(first.after, "two", is_injective=is_injective))
    both = compose(first, second)
    assert (both.before, both.after) == (start, second.after)
    for symbol, size in both.after.symbols.items():
        for unit in range(size):
            parent = second.origin[symbol].units[unit]
            grandparent = NEW
            if parent != NEW:
                grandparent = first.origin[second.origin[symbol].symbol].units[parent]
            assert both.origin[symbol].units[unit] == grandparent
            if grandparent != NEW:
                middle = first.origin[second.origin[symbol].symbol]
                assert both.origin[symbol].symbol == middle.symbol


@given(st.data(), st.booleans())
@many
def test_composition_is_associative(data: DataObject, is_injective: bool) -> None:
    """Following ancestors is composing functions, and that is associative."""
    start = data.draw(architectures())
    first = data.draw(morphs(start, "one", is_injective=is_injective))
    second = data.draw(morphs(first.after, "two", is_injective=is_injective))
    third = data.draw(morphs(second.after, "three", is_injective=is_injective))
    assert compose(compose(first, second), third) == compose(first, compose(second, third))


@given(st.data())
@many
def test_changing_nothing_is_neutral(data: DataObject) -> None:
    """The identity before or after a morph is that morph."""
    change = data.draw(morphs(data.draw(architectures()), is_injective=False))
    assert compose(same(change.before), change) == change
    assert compose(change, same(change.after)) == change


@given(st.data())
def test_birth_has_no_ancestors(data: DataObject) -> None:
    """All is new, and stays so through whatever is done before or after."""
    architecture = data.draw(architectures())
    born = birth(architecture)
    assert all(set(a.units) == {NEW} and a.symbol == "" for a in born.origin.values())
    assert compose(born, same(architecture)) == born
    change = data.draw(morphs(architecture))
    assert all(set(a.units) == {NEW} for a in compose(born, change).origin.values())


@given(st.data())
def test_new_names_are_those_that_were_not_there(data: DataObject) -> None:
    """What the second architecture names and the first does not, in the order it runs."""
    change = data.draw(morphs(data.draw(architectures())))
    layers = [n for n in change.after.order if n not in change.before.layers]
    assert list(change.new_layers) == layers
    assert set(change.new_tensors) == {
        t for t in change.after.tensors if t.rpartition(".")[0] in layers
    }
    assert not same(change.before).new_layers
    assert not same(change.before).new_tensors


@given(st.data())
def test_morphs_travel(data: DataObject) -> None:
    """A morph is a value: it can be pickled and copied."""
    change = data.draw(morphs(data.draw(architectures())))
    assert pickle.loads(pickle.dumps(change)) == change  # noqa: S301
    assert copy.deepcopy(change) == change


def test_all_new_is_one_morph() -> None:
    """Units without an ancestor come from no symbol, whatever symbol is written beside them."""
    wider = MLP.edit(widths={"fc1": 2})
    one = morph(MLP, wider, {"fc1": Ancestry("fc1", (NEW, NEW))})
    assert one == morph(MLP, wider, {"fc1": Ancestry("", (NEW, NEW))})
    assert one.origin["fc1"].symbol == ""


def test_what_is_not_named_stays() -> None:
    """Symbols come from their namesakes; a symbol of a new layer is all new."""
    layers = {"more": Layer("linear", ("fc2_relu",), "more"), "output": MLP.layers["output"]}
    layers["output"] = Layer("linear", ("more",), "classes")
    after = MLP.edit(layers, {"more": 3, "fc1": 6})
    widened = Ancestry("fc1", (0, 1, 2, 3, NEW, NEW))
    change = morph(MLP, after, {"fc1": widened})
    assert change.origin == {
        "input": Ancestry("input", (0, 1, 2)),
        "classes": Ancestry("classes", (0, 1)),
        "fc1": widened,
        "fc2": Ancestry("fc2", (0, 1, 2, 3, 4)),
        "more": Ancestry("", (NEW,) * 3),
    }
    assert change.new_layers == ("more",)
    assert change.new_tensors == ("more.weight", "more.bias")


@pytest.mark.parametrize(
    ("changed", "law"),
    [
        ({}, "fc1 goes from 4 to 3"),
        ({"fc1": Ancestry("fc1", (0, 1))}, "fc1 must name 3 units, got 2"),
        ({"fc1": Ancestry("fc1", (0, 1, 4))}, "fc1 names a unit that fc1 lacks"),
        ({"fc1": Ancestry("fc1", (0, 1, -2))}, "fc1 names a unit that fc1 lacks"),
        ({"fc1": Ancestry("", (0, 1, NEW))}, "fc1 names a unit that nothing lacks"),
        ({"fc1": Ancestry("ghost", (0, 1, NEW))}, "fc1 names .*ghost"),
        ({"fc1": Ancestry("fc1", (0, 1, 2)), "ghost": Ancestry("fc1", (0,))}, "ghost"),
    ],
)
def test_origins_that_cannot_be_are_refused(changed: Mapping[str, Ancestry], law: str) -> None:
    """A size that changed without an ancestry, or an ancestor that is not there, is named."""
    with pytest.raises(InputError, match=law) as caught:
        morph(MLP, MLP.edit(widths={"fc1": 3}), changed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["lacking", "additional"])
def test_every_symbol_has_one_origin(change: str) -> None:
    """The constructor takes origins for exactly the symbols after, kernels too."""
    origin = dict(same(MLP).origin)
    if change == "lacking":
        del origin["fc2"]
    else:
        origin["fc3"] = Ancestry("", ())
    with pytest.raises(InputError, match=r"differ in \['fc[23]'\]"):
        Morph(MLP, MLP, origin)
    image = ARCHITECTURES["convnet"]((1, 4, 4), 2, (2,))
    assert same(image).origin["conv1.kernel"] == Ancestry("conv1.kernel", (0, 1, 2))


def test_origin_cannot_change() -> None:
    """A morph copies the origin it is given and shows it read-only."""
    origin = dict(same(MLP).origin)
    change = Morph(MLP, MLP, origin)
    origin["fc1"] = Ancestry("", (NEW,) * 4)
    assert change == same(MLP)
    with pytest.raises(TypeError):
        change.origin["fc1"] = origin["fc1"]  # type: ignore[index]


def test_morphs_that_do_not_meet_are_refused() -> None:
    """A second morph that starts elsewhere has no ancestors in the first."""
    other = ARCHITECTURES["mlp"]((3,), 2, (4, 6))
    with pytest.raises(InputError, match="does not start where the first ends"):
        compose(same(MLP), same(other))


def test_a_name_does_not_come_back() -> None:
    """Tensors are known by name: one removed and added anew would inherit from the removed one."""
    normed = MLP.edit({"n": Layer("batchnorm", ("fc1",)), "fc1_relu": Layer("relu", ("n",))})
    with pytest.raises(InputError, match=r"n\.weight"):
        compose(morph(normed, MLP, {}), morph(MLP, normed, {}))
