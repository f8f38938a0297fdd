"""What a module may not be is told before it is run: where, of what type, and what would help."""

from typing import Any

import pytest
import torch
from test_importer_errors import refused
from torch import Tensor, nn
from torch.nn.utils import prune, remove_spectral_norm, spectral_norm

from recursive_lth.architecture.importer import from_module
from recursive_lth.architecture.importing.door import FLOATS

FEATURES = torch.ones(2, 6)


def chain(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 4), *layers, nn.Linear(4, 2))


class Reads(nn.Module):
    """A linear layer, one that gives several tensors, and a linear layer."""

    def __init__(self, layer: nn.Module, copies: int) -> None:
        super().__init__()
        self.front, self.mix, self.head = nn.Linear(6, 4), layer, nn.Linear(4, 2)
        self.copies = copies

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.mix(*[self.front(x)] * self.copies)
        return self.head(y)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("layer", "copies"),
    [
        (nn.MultiheadAttention(4, 1), 3),
        (nn.GRU(4, 4), 1),
        (nn.LSTM(4, 4), 1),
        (nn.RNN(4, 4), 1),
        (nn.LSTMCell(4, 4), 1),
    ],
)
def test_what_works_along_a_sequence(layer: nn.Module, copies: int) -> None:
    """Path, type and cure, whatever the example looks like."""
    words = f"mix: {type(layer).__name__} is not among our layers: attention .* Replace it by"
    refused(Reads(layer, copies), words, FEATURES)
    refused(Reads(layer, copies), words, torch.ones(2, 5, 6))
    refused(layer, f"the module: {type(layer).__name__} is not among our layers", FEATURES)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_transformers() -> None:
    """The outermost part that is one is named, not the attention within."""
    layer = nn.TransformerEncoderLayer(4, 1, 4)
    refused(chain(layer), "1: TransformerEncoderLayer is not among", FEATURES)
    refused(chain(nn.TransformerEncoder(layer, 1)), "1: TransformerEncoder is not", FEATURES)
    refused(chain(nn.TransformerDecoderLayer(4, 1, 4)), "1: TransformerDecoderLayer is", FEATURES)
    refused(nn.Transformer(4, 1, 1, 1, 4), "the module: Transformer is not among", FEATURES)


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_a_spectral_norm_is_no_pruning() -> None:
    """Both keep the parameter as `weight_orig`; only pruning keeps a mask beside it."""
    module = chain(spectral_norm(nn.Linear(4, 4)))
    cure = r"1: has a spectral norm: call torch.nn.utils.remove_spectral_norm\(layer, 'weight'\)"
    refused(module, cure, FEATURES)
    remove_spectral_norm(module[1])
    assert from_module(module, FEATURES)[0].depth == 3
    prune.l1_unstructured(module[1], "bias", amount=0.5)
    refused(module, r"1: is pruned by .* call prune.remove\(layer, 'bias'\)", FEATURES)


def test_a_compiled_module() -> None:
    """Nothing is compiled before the first call, so that this costs nothing."""
    compiled: Any = torch.compile(chain(), backend="eager")
    refused(compiled, "the module: is made by torch.compile: .* module._orig_mod,", FEATURES)
    refused(chain(compiled), r"1: is made by torch.compile: .* module.1._orig_mod,", FEATURES)
    assert from_module(compiled._orig_mod, FEATURES)[0].depth == 2


def test_a_layer_alone_has_no_name() -> None:
    layer = nn.Linear(6, 2)
    refused(layer, r"is one layer, Linear, .* wrap it as nn.Sequential\(module\)", FEATURES)
    assert list(from_module(nn.Sequential(layer), FEATURES)[1]) == ["0.weight", "0.bias"]
    refused(nn.LayerNorm(6), "LayerNorm is not among our layers", FEATURES)


def test_floats() -> None:
    """Types that stay are kept, those of half precision are refused by the tensor's name."""
    for kind in FLOATS:
        weights = from_module(chain().to(kind), FEATURES)[1]
        assert {tensor.dtype for tensor in weights.values()} == {kind}
    for kind in (torch.float16, torch.bfloat16):
        module = chain(nn.BatchNorm1d(4)).to(kind)
        words = rf"0.weight must be of torch.float32 or torch.float64, got {kind}: call module.flo"
        refused(module, words, FEATURES)
        refused(chain(nn.Linear(4, 4).to(kind)), "1.weight must be of torch.float32", FEATURES)
        assert from_module(module.float(), FEATURES)[0].depth == 2


def test_frozen_parameters_train() -> None:
    """`requires_grad` is not read."""
    module = chain().requires_grad_(False)
    architecture, weights = from_module(module, FEATURES)
    assert set(architecture.trainable) == set(weights)
