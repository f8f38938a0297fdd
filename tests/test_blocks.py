"""What operators put in, layer by layer: blocks as in their papers, branches, skips, coupling."""

import pytest
from hypothesis import given
from strategies import architectures
from test_operators import DEEPER, IMAGE, changes, where

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import WEIGHTED, Layer
from recursive_lth.architecture.zoo import convnet, mlp, resnet_20
from recursive_lth.growth.operators import OPERATORS, PLACES

INSERTED = ["deepen", "residual", "bottleneck", "residual_pre", "bottleneck_pre"]


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


@pytest.mark.parametrize("operator", INSERTED)
@given(architecture=architectures())
def test_new_layers_keep_every_shape(operator: str, architecture: Architecture) -> None:
    """What read the site reads the new layers' end, of the site's own shape; all else stays."""
    for change in changes(architecture, operator):
        before, after, site = change.before, change.after, where(operator, change)
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
        assert len(weighted) == DEEPER[operator][len(before.shapes[site]) == 3]


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
    assert where("deepen", inner) == "s1b1_relu1"
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


def test_pre_activation_blocks_end_in_an_addition() -> None:
    """norm-act-conv-norm-act-conv added to the site, nothing behind (arXiv 1603.05027).

    A bottleneck of 8 channels goes through 2.
    """
    change = OPERATORS["residual_pre"](convnet(IMAGE, 10, (8,)), place=0.0, ratio=1, label="g2")
    assert {name: change.after.layers[name] for name in change.new_layers} == {
        "g2_1_norm": Layer("batchnorm", ("conv1_relu",)),
        "g2_relu1": Layer("relu", ("g2_1_norm",)),
        "g2_1": Layer("conv", ("g2_relu1",), "g2", kernel=3, padding=1, bias=False),
        "g2_2_norm": Layer("batchnorm", ("g2_1",)),
        "g2_relu2": Layer("relu", ("g2_2_norm",)),
        "g2_2": Layer("conv", ("g2_relu2",), "conv1", kernel=3, padding=1, bias=False),
        "g2_add": Layer("add", ("g2_2", "conv1_relu")),
    }
    narrow = OPERATORS["bottleneck"](convnet(IMAGE, 10, (8,)), place=0.0, ratio=1, label="g2")
    made = [narrow.after.layers[f"g2_{i}"] for i in (1, 2, 3)]
    assert [(layer.width, layer.kernel) for layer in made] == [
        ("g2", 1),
        ("g2_mid", 3),
        ("conv1", 1),
    ]
    assert (narrow.after.widths["g2"], narrow.after.widths["g2_mid"]) == (2, 2)


@given(architecture=architectures())
def test_branches_stand_beside_a_layer(architecture: Architecture) -> None:
    """One reads what the layer reads and is added to it, or joined to it by units of its own."""
    for change in changes(architecture, "branch"):
        beside = where("branch", change)
        assert change.after.layers["new"] == change.before.layers[beside]
        assert change.after.layers["new_add"] == Layer("add", (beside, "new"))
        assert change.after.shapes["new_add"] == change.before.shapes[beside]
    for change in changes(architecture, "branch_concat"):
        beside = where("branch_concat", change)
        old, new = change.before.layers[beside], change.after.layers["new"]
        assert (new.inputs, new.width) == (old.inputs, "new")
        assert change.after.layers["new_concat"] == Layer("concat", (beside, "new"))
        channels = max(1, round(0.5 * change.before.widths[old.width])) * old.multiple
        shape = change.before.shapes[beside]
        assert change.after.shapes["new_concat"] == (shape[0] + channels, *shape[1:])


@pytest.mark.parametrize("operator", ["skip", "skip_add"])
@given(architecture=architectures())
def test_skips_come_from_earlier_activations(operator: str, architecture: Architecture) -> None:
    """The last one before of as many pixels that leads to the site; joined, or projected and added.

    Twin: of all activations before it in the order, by way of every path.
    """
    for change in changes(architecture, operator):
        before, after, site = change.before, change.after, where(operator, change)
        end = after.layers["new_concat" if operator == "skip" else "new_add"]
        source = end.inputs[1] if operator == "skip" else after.layers["new"].inputs[0]
        assert end.inputs[0] == site
        assert before.shapes[source][1:] == before.shapes[site][1:]
        ancestors = {site}
        for name in reversed(before.order):
            if any(name in before.layers[reader].inputs for reader in ancestors):
                ancestors.add(name)
        fitting = [
            name
            for name in PLACES["deepen"](before)
            if name in ancestors - {site}
            and before.shapes[name][1:] == before.shapes[site][1:]
            and len(before.shapes[name]) == len(before.shapes[site])
        ]
        assert source == fitting[-1]


def test_a_second_skip_does_not_take_the_weights_of_the_first() -> None:
    """Joined behind r3 are units of s already: r2's, of s too, would come before and be read first.

    Told apart by their order alone, the new stream would get the old one's weights.
    """
    layers = {"input": Layer("input", width="input")}
    source = "input"
    for i, symbol in enumerate(("s", "s", "t"), start=1):
        layers[f"c{i}"] = Layer("conv", (source,), symbol)
        layers[f"r{i}"] = Layer("relu", (f"c{i}",))
        source = f"r{i}"
    layers["joined"] = Layer("concat", ("r3", "r1"))
    layers["mean"] = Layer("meanpool", ("joined",))
    layers["output"] = Layer("linear", ("mean",), "classes")
    network = Architecture(layers, {"input": 2, "s": 3, "t": 2, "classes": 2}, (3, 3))
    assert PLACES["skip_add"](network) == ("r2", "r3")
    assert PLACES["skip"](network) == ("r2",)
    turned = network.edit({"joined": Layer("concat", ("r1", "r3"))})
    assert PLACES["skip"](turned) == ("r2", "r3")
