"""Networks of torchvision: imported with equal outputs, grown, pruned, and given back."""

import pytest
import torch
from test_importer import check_grows, check_returns, check_same, check_shrinks, drawn, lived_in
from torch import nn
from torchvision import models

from recursive_lth.architecture.importer import from_module
from recursive_lth.errors import InputError
from recursive_lth.pruning.units import remove_units
from recursive_lth.ticket.from_module import ticket_from_module


def model(name: str) -> nn.Module:
    """A fresh model with ten classes."""
    with torch.random.fork_rng():
        built: nn.Module = models.get_model(name, weights=None, num_classes=10)
    return built


def test_resnet18() -> None:
    """Each stage's stream is one symbol; widened, split, deepened and given blocks it is itself."""
    module, batch = lived_in(model("resnet18")), drawn(2, 3, 64, 64)
    ticket = ticket_from_module(module, batch)
    architecture = ticket.architecture
    assert architecture.depth == 18
    stages = ("conv1", "layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2")
    assert [architecture.widths[symbol] for symbol in stages] == [64, 128, 256, 512]
    assert len(architecture.free_symbols) == len(stages) + 8  # and one inside each block
    check_returns(module, model("resnet18"), ticket, batch)
    check_same(module, ticket, batch)


@pytest.mark.slow
def test_resnet18_changes() -> None:
    batch = drawn(2, 3, 64, 64)
    ticket = ticket_from_module(lived_in(model("resnet18")), batch)
    operators = {
        "widen": "zero_out",
        "split": "split_evenly",
        "deepen": "identity",
        "residual": "zero_gamma",
        "residual_pre": "zero_gamma",
    }
    check_grows(ticket, batch, operators)
    check_shrinks(ticket, batch)


@pytest.mark.slow
def test_vgg11_bn() -> None:
    """129 million weights: its classifier is cut to a sixteenth before it grows, for memory."""
    module, batch = lived_in(model("vgg11_bn")), drawn(2, 3, 64, 64)
    ticket = ticket_from_module(module, batch)
    assert ticket.architecture.depth == 11
    assert ticket.architecture.layers["avgpool"].operation == "adaptivepool"
    with torch.no_grad():
        torch.testing.assert_close(ticket.module().eval()(batch), module(batch))
    kept = {s: torch.arange(256) * 16 for s in ("classifier.0", "classifier.3")}
    small, _ = remove_units(ticket, kept)
    assert small.cost.parameters < ticket.cost.parameters / 8
    del module, ticket
    check_grows(small, batch, {"widen": "zero_out", "split": "split_evenly", "deepen": "identity"})
    check_shrinks(small, batch)


def test_mobilenet_v2() -> None:
    """Depthwise convolutions read a channel a group: expansion and filters are one width."""
    module, batch = lived_in(model("mobilenet_v2")), drawn(2, 3, 32, 32)
    ticket = ticket_from_module(module, batch)
    architecture = ticket.architecture
    operations = [layer.operation for layer in architecture.layers.values()]
    assert operations.count("groupconv") == 17
    assert operations.count("relu6") == 35
    assert architecture.widths["features.2.conv.0.0"] == 96
    assert len(architecture.free_symbols) == 25
    check_same(module, ticket, batch)


@pytest.mark.slow
def test_mobilenet_v2_changes() -> None:
    module, batch = lived_in(model("mobilenet_v2")), drawn(2, 3, 64, 64)
    ticket = ticket_from_module(module, batch)
    check_returns(module, model("mobilenet_v2"), ticket, batch)
    check_grows(ticket, batch, {"widen": "zero_out", "deepen": "identity"})
    check_shrinks(ticket, batch)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "depth"), [("densenet121", 121), ("resnext50_32x4d", 50), ("regnet_x_400mf", 68)]
)
def test_others(name: str, depth: int) -> None:
    module, batch = lived_in(model(name)), drawn(2, 3, 64, 64)
    ticket = ticket_from_module(module, batch)
    assert ticket.architecture.depth == depth
    check_same(module, ticket, batch)
    check_grows(ticket, batch, {"widen": "zero_out"}, places=(0.5,))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shufflenet_v2_x0_5", "in stage2.0: view from .* channels cannot be parted, shuffled"),
        ("squeezenet1_1", "features.2: ceil_mode must be False as in our layers, got True"),
        ("mnasnet0_5", "layers.1: momentum must be 0.1 as in our layers"),
        ("efficientnet_b0", r"in features.1.0.block.1: mul\(\) is not among our operations: gates"),
        ("mobilenet_v3_small", "eps must be 1e-05 as in our layers, got 0.001"),
    ],
)
def test_what_is_refused(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_module(model(name), drawn(2, 3, 64, 64))
