"""Growths drawn before and after: every operator, on networks that have grown many times."""

from itertools import pairwise

import numpy as np
import pytest
from fake_runs import Line, build_line
from hypothesis import given
from strategies import architectures
from test_grow import NETWORKS

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.errors import InputError
from recursive_lth.growth.operators import OPERATORS, PLACES
from recursive_lth.report.boxes import collapse, describe
from recursive_lth.report.canvas import DARK, KINDS, LIGHT, operator_colour
from recursive_lth.report.changes import tell_change
from recursive_lth.report.growth_drawing import draw_growth
from recursive_lth.report.layout import Layout, lay_out, stack_rows

RESNET = NETWORKS["resnet-20"]
MIXED = Architecture(
    {
        "image": Layer("input", width="colours"),
        "stem": Layer("conv", ("image",), "wide", 3, padding=1, bias=False),
        "stem_act": Layer("hardswish", ("stem",)),
        "depth": Layer("groupconv", ("stem_act",), kernel=3, stride=2, padding=1),
        "depth_norm": Layer("batchnorm", ("depth",)),
        "groups": Layer("groupconv", ("points",), kernel=3, padding=1),
        "points": Layer("conv", ("depth_norm",), "pairs", multiple=2),
        "mean": Layer("avgpool", ("groups",), kernel=2, stride=2),
        "most": Layer("maxpool", ("groups",), kernel=2, stride=2),
        "both": Layer("concat", ("mean", "most")),
        "both_act": Layer("leakyrelu", ("both",)),
        "few": Layer("adaptivepool", ("both_act",), kernel=2),
        "flat": Layer("flatten", ("few",)),
        "logits": Layer("linear", ("flat",), "classes"),
    },
    {"colours": 3, "wide": 4, "pairs": 3, "classes": 5},
    (8, 8),
)


def line_of(architecture: Architecture, generation: int = 0, parent: Line | None = None) -> Line:
    """A lineage line of the architecture with invented numbers."""
    return build_line(generation, parent, architecture, None, 0.5, 0.9)


def grow_often(architecture: Architecture, seed: int, times: int = 12) -> list[Architecture]:
    """The architecture after each of many random growths, it first."""
    draw = np.random.default_rng(seed)
    found = [architecture]
    for number in range(times):
        operator = OPERATORS[str(draw.choice(list(OPERATORS)))]
        try:
            change = operator(found[-1], place=draw.random(), ratio=0.5, label=f"g{number}")
        except InputError:
            continue  # no such place in this network
        found.append(change.after)
    return found


def boxes_crossed(layout: Layout) -> list[tuple[str, str, str]]:
    """Each edge that runs through the inside of a box, its own ends too, with that box."""
    tops, _ = stack_rows(layout)
    found = []
    for edge in layout.edges:
        for (x0, y0), (x1, y1) in pairwise(layout.corners(edge, tops)):
            for name in layout.boxes:
                x, y, w, h = layout.frame(name, tops)
                beside = max(x0, x1) <= x or min(x0, x1) >= x + w
                if not (beside or max(y0, y1) <= y or min(y0, y1) >= y + h):
                    found.append((*edge, name))
    return found


@given(architectures())
def test_no_edge_runs_through_a_box(architecture: Architecture) -> None:
    """Edges leave at the rim of their box and go round every other."""
    assert boxes_crossed(lay_out(line_of(architecture))) == []


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("seed", range(6))
def test_no_edge_of_a_grown_network_runs_through_a_box(kind: str, seed: int) -> None:
    """Branches beside branches, skips over blocks: whatever the operators have made."""
    for before, after in pairwise(grow_often(NETWORKS[kind], seed)):
        right = lay_out(line_of(after))
        left = lay_out(line_of(before), after=right)
        assert boxes_crossed(right) == []
        assert boxes_crossed(left) == []
        places = {(left.rows[n], left.columns[n]) for n in left.boxes}
        assert len(places) == len(left.boxes)


@pytest.mark.parametrize("operator", OPERATORS)
def test_what_is_new_is_marked(operator: str) -> None:
    """A box says that it is new, or what it has gained, iff the growth has brought it tensors."""
    change = OPERATORS[operator](RESNET, place=0.4, ratio=0.5, label="g2")
    before = line_of(RESNET)
    svg = draw_growth(before, line_of(change.after, 1, before))
    new = {n.rpartition(".")[0] for n in change.new_tensors}
    assert svg.count(">new<") == sum(
        box.members[0] in change.new_layers and not describe_sign(change.after, box.name)
        for box in collapse(change.after).values()
    )
    changed = {
        box.name: tell_change(change.before, change.after, box)
        for box in collapse(change.after).values()
        if box.name in change.before.layers
    }
    for name, words in changed.items():
        tensor = f"{name}.weight"
        if tensor in RESNET.tensors:
            assert (words != "") == (RESNET.shape(tensor) != change.after.shape(tensor))
            assert not words or f">{words}<" in svg
    assert new or any(changed.values()) or operator == "rewire"
    assert PLACES[operator](RESNET)


def describe_sign(architecture: Architecture, name: str) -> bool:
    """Whether a box is drawn as a sign."""
    return architecture.layers[name].operation in {"add", "concat"}


def test_changes_are_told_in_few_words() -> None:
    """Units, kernels, and inputs: each where it changed, first what the layer itself makes."""
    wide = RESNET.edit(widths={"s1b1_conv1": 5})
    boxes = collapse(RESNET)
    told = {n: tell_change(RESNET, wide, box) for n, box in boxes.items()}
    assert {n: words for n, words in told.items() if words} == {
        "s1b1_conv1": "+2 units",
        "s1b1_conv2": "reads +2",
    }
    large = OPERATORS["enlarge_kernel"](RESNET, place=0.0, ratio=0.5, label="g").after
    told = {n: tell_change(RESNET, large, box) for n, box in boxes.items()}
    assert [words for words in told.values() if words] == ["kernel 3→5"]
    boxes = collapse(MIXED)
    wide = MIXED.edit(widths={"wide": 6})
    told = {n: tell_change(MIXED, wide, box) for n, box in boxes.items()}
    assert {n: words for n, words in told.items() if words} == {
        "stem": "+2 units",
        "depth": "+2 units",
        "points": "reads +2",
    }


def test_a_rewired_network_is_drawn_once() -> None:
    """Its layers are what they were: only its weights have changed places."""
    before = line_of(RESNET)
    svg = draw_growth(before, line_of(RESNET, 1, before))
    assert svg.count(">stem<") == 1
    assert "the same layers before and after" in svg


def test_boxes_are_told_in_words() -> None:
    """Kinds of convolution and pooling by name; what follows a sign without the sign."""
    told = {name: describe(MIXED, box) for name, box in collapse(MIXED).items()}
    assert told == {
        "image": "input",
        "stem": "3×3 conv · hardswish",
        "depth": "3×3 depthwise conv /2 · norm",
        "points": "1×1 conv",
        "groups": "3×3 grouped conv",
        "mean": "2×2 mean pool /2",
        "most": "2×2 max pool /2",
        "both": "leakyrelu",
        "few": "mean pool to 2×2 · flatten",
        "logits": "linear",
    }
    svg = draw_growth(line_of(MIXED), line_of(MIXED.edit(widths={"wide": 6})))
    assert svg.count(">‖<") == 2


def test_a_convolution_takes_what_stands_before_it() -> None:
    """Pre-activation: norm, activation, convolution are one box, and the next begins anew."""
    grown = OPERATORS["residual_pre"](RESNET, place=0.0, ratio=0.5, label="g2").after
    boxes = collapse(grown)
    assert boxes["g2_1"].members == ("g2_1_norm", "g2_relu1", "g2_1")
    assert boxes["g2_2"].members == ("g2_2_norm", "g2_relu2", "g2_2")


def test_every_operator_has_a_colour_of_its_kind() -> None:
    """All kinds are colours of both modes; only re-wiring has no kind of its own."""
    assert LIGHT.keys() == DARK.keys()
    assert {*KINDS, "other"} <= LIGHT.keys()
    named = [name for names in KINDS.values() for name in names]
    assert sorted([*named, "rewire"]) == sorted(OPERATORS)
    assert operator_colour("mine") == operator_colour("rewire") == LIGHT["other"]
    assert operator_colour("start") == LIGHT["muted"]
