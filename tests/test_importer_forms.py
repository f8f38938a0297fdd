"""Forms that the importer reads: each activation, call and reshape as the operation it is."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from test_importer import drawn, own
from torch import Tensor, nn

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.importer import from_module


class Calls(nn.Module):
    """A convolution, any function, and a linear layer behind it."""

    def __init__(self, function: Callable[[Tensor], Tensor], features: int = 2) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(1, 2, 1), function
        self.head = nn.Linear(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.conv(x)))  # type: ignore[no-any-return]


def imported(function: Callable[[Tensor], Tensor], features: int = 2) -> Architecture:
    return from_module(Calls(function, features), drawn(2, 1, 4, 4))[0]


def operations(architecture: Architecture) -> list[str]:
    return [str(architecture.layers[name].operation) for name in architecture.order][2:-1]


def mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def then_mean(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return mean(function(x))


def pixel(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, 1)


ACTS: dict[str, list[Callable[[Tensor], Tensor]]] = {
    "relu": [F.relu, torch.relu, lambda x: x.relu(), lambda x: F.relu(x, inplace=True),
             lambda x: x.relu_(), torch.relu_, F.relu_, nn.ReLU(), nn.ReLU(inplace=True)],
    "relu6": [F.relu6, nn.ReLU6()],
    "leakyrelu": [F.leaky_relu, nn.LeakyReLU(), lambda x: F.leaky_relu(x, 0.01, True)],
    "gelu": [F.gelu, nn.GELU(), lambda x: F.gelu(x, approximate="none")],
    "silu": [F.silu, nn.SiLU()],
    "hardswish": [F.hardswish, nn.Hardswish()],
    "tanh": [F.tanh, torch.tanh, lambda x: x.tanh(), nn.Tanh(), lambda x: x.tanh_()],
    "sigmoid": [F.sigmoid, torch.sigmoid, lambda x: x.sigmoid(), nn.Sigmoid()],
}  # fmt: skip


@pytest.mark.parametrize("operation", ACTS)
def test_activations(operation: str) -> None:
    """As a module, a function or a method, in place or not."""
    for act in ACTS[operation]:
        if isinstance(act, nn.Module):
            found = imported(nn.Sequential(act, nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        else:
            found = imported(partial(then_mean, act))
        assert operations(found) == [operation, "meanpool"]


FORMS: list[tuple[Callable[[Tensor], Tensor], int, list[str]]] = [
    (lambda x: x.mean((-1, -2)), 2, ["meanpool"]),
    (lambda x: torch.mean(x, dim=[2, 3]), 2, ["meanpool"]),
    (lambda x: x.mean((2, 3), keepdim=True).flatten(1), 2, ["meanpool"]),
    (lambda x: torch.flatten(F.adaptive_avg_pool2d(x, 1), 1), 2, ["meanpool"]),
    (lambda x: F.adaptive_avg_pool2d(x, (1, 1)).squeeze(), 2, ["meanpool"]),
    (lambda x: pixel(x).squeeze(-1).squeeze(-1), 2, ["meanpool"]),
    (lambda x: torch.squeeze(pixel(x).squeeze(2), dim=2), 2, ["meanpool"]),
    (lambda x: pixel(x).squeeze((2, 3)), 2, ["meanpool"]),
    (lambda x: pixel(x)[:, :, 0, 0], 2, ["meanpool"]),
    (lambda x: pixel(x)[..., 0, -1], 2, ["meanpool"]),
    (lambda x: pixel(x)[..., 0][:, :, 0], 2, ["meanpool"]),
    (lambda x: pixel(x)[:, :, 0].flatten(1), 2, ["meanpool"]),
    (lambda x: F.max_pool2d(x, 4)[:, :, 0, 0], 2, ["maxpool", "flatten"]),
    (lambda x: F.relu(pixel(x).squeeze(3)).squeeze(2), 2, ["meanpool", "relu"]),
    (lambda x: torch.cat([pixel(x)[:, :, 0]] * 2, 1)[:, :, 0], 4, ["meanpool", "concat"]),
    (lambda x: F.avg_pool2d(x, x.size(3)).flatten(1), 2, ["avgpool", "flatten"]),
    (lambda x: F.adaptive_avg_pool2d(x, 2).view(x.size(0), -1), 8, ["adaptivepool", "flatten"]),
    (lambda x: F.max_pool2d(x, 2).view(-1, 8), 8, ["maxpool", "flatten"]),
    (lambda x: F.max_pool2d(x, 3, 2, padding=1).flatten(1), 8, ["maxpool", "flatten"]),
    (lambda x: F.avg_pool2d(x, 2, ceil_mode=False).flatten(1), 8, ["avgpool", "flatten"]),
    (lambda x: F.avg_pool2d(x, 2, count_include_pad=False).flatten(1), 8, ["avgpool", "flatten"]),
    (lambda x: x.reshape(x.shape[0], -1), 32, ["flatten"]),
    (lambda x: x.contiguous().view(x.shape[0], x.shape[1] * 16), 32, ["flatten"]),
    (lambda x: torch.flatten(x.flatten(1), 1), 32, ["flatten"]),
    (lambda x: mean(F.dropout(x, training=False)), 2, ["meanpool"]),
    (lambda x: mean(torch.add(x, x)), 2, ["add", "meanpool"]),
    (lambda x: mean(sum([x, x], start=x)), 2, ["add", "add", "meanpool"]),
    (lambda x: mean(0 + x), 2, ["meanpool"]),
    (lambda x: mean(torch.cat([x, x], dim=1)), 4, ["concat", "meanpool"]),
    (lambda x: mean(torch.cat([x], 1)), 2, ["meanpool"]),
]


@pytest.mark.parametrize(("function", "features", "expected"), FORMS)
def test_forms(function: Callable[[Tensor], Tensor], features: int, expected: list[str]) -> None:
    assert operations(imported(function, features)) == expected


IN_PLACE: list[tuple[Callable[[Tensor], Tensor], str]] = [
    (lambda x: F.relu(x, inplace=True), "relu"),
    (lambda x: F.relu(x, True), "relu"),
    (lambda x: F.relu(input=x, inplace=True), "relu"),
    (lambda x: F.leaky_relu(x, 0.01, True), "leakyrelu"),
    (lambda x: F.relu6(x, True), "relu6"),
    (lambda x: F.silu(x, True), "silu"),
    (lambda x: F.hardswish(x, True), "hardswish"),
    (torch.relu_, "relu"),
    (lambda x: x.sigmoid_(), "sigmoid"),
    (lambda x: F.leaky_relu(x, 0.01, False), "conv"),
    (lambda x: F.relu(x, False), "conv"),
]


@pytest.mark.parametrize(("act", "read"), IN_PLACE)
def test_what_is_read_after_work_in_place(act: Callable[[Tensor], Tensor], read: str) -> None:
    """A stream that an activation overwrites is read as overwritten, under its old name too."""
    architecture = imported(lambda x: mean(torch.tanh(act(x)) + x))
    assert architecture.layers["add"].inputs == ("tanh", read)


def test_one_function_is_called_for_lightness() -> None:
    module, batch = own("residual mlp")
    assert Architecture.from_module(module, batch)[0] == from_module(module, batch)[0]
