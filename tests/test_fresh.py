"""Fresh values: each scheme has the distribution that its source names, all else the identity."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from strategies import SEEDS, architectures
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import SCHEMES, fresh

FAN_IN, FAN_OUT = 3 * 3 * 3, 500 * 3 * 3
VARIANCES: dict[str, float] = {
    "kaiming_normal": 2 / FAN_IN,
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "torch_uniform": 1 / (3 * FAN_IN),  # (2b)^2 / 12 with b = 1 / sqrt(fan in)
}
# the fourth moment over the variance's square: 3 for a normal, 9/5 for a uniform distribution
KURTOSES = {"kaiming_normal": 3.0, "glorot_normal": 3.0, "torch_uniform": 1.8}


def one_convolution() -> Architecture:
    """3 -> 500 channels, kernel 3: 13,500 weights of fan in 27 and fan out 4,500."""
    layers = {
        "input": Layer("input", width="input"),
        "conv": Layer("conv", ("input",), "units", kernel=3),
        "mean": Layer("meanpool", ("conv",)),
        "output": Layer("linear", ("mean",), "classes"),
    }
    return Architecture(layers, {"input": 3, "units": 500, "classes": 2}, (4, 4))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_distribution(scheme: str) -> None:
    """Mean 0, the variance of the source, and the kurtosis of its kind.

    For n = 13,500 draws the mean has deviation s / sqrt(n), the variance s^2 sqrt((k - 1) / n),
    the kurtosis of a normal sqrt(24 / n); all must lie within five of these.
    """
    drawn = fresh(one_convolution(), seeds.generator(0, "fresh"), scheme)["conv.weight"].double()
    n, variance, kurtosis = drawn.numel(), VARIANCES[scheme], KURTOSES[scheme]
    assert n == 13_500
    assert abs(float(drawn.mean())) < 5 * math.sqrt(variance / n)
    found = float(drawn.square().mean())
    assert abs(found / variance - 1) < 5 * math.sqrt((kurtosis - 1) / n)
    assert abs(float(drawn.pow(4).mean()) / found**2 - kurtosis) < 5 * math.sqrt(24 / n)


def test_torch_uniform_has_pytorchs_bounds() -> None:
    """The bound of `nn.Conv2d` at birth: kaiming_uniform with a = sqrt(5) is 1 / sqrt(fan in)."""
    torch.manual_seed(0)
    theirs = torch.nn.Conv2d(3, 500, 3).weight
    ours = fresh(one_convolution(), seeds.generator(0, "fresh"), "torch_uniform")["conv.weight"]
    bound = 1 / math.sqrt(FAN_IN)
    for weight in (theirs, ours):
        assert 0.99 * bound < float(weight.detach().abs().max()) <= bound


@pytest.mark.parametrize("scheme", SCHEMES)
@given(architecture=architectures(), seed=SEEDS)
def test_every_tensor_is_there(scheme: str, architecture: Architecture, seed: int) -> None:
    """float32 of the right shape: biases 0, norms x -> x with mean 0 and variance 1."""
    values = fresh(architecture, torch.Generator().manual_seed(seed), scheme)
    constants: dict[str, Callable[[Tensor], Tensor]] = {
        "bias": torch.zeros_like,
        "running_mean": torch.zeros_like,
        "running_var": torch.ones_like,
        "weight": torch.ones_like,
    }
    assert values.keys() == architecture.tensors.keys()
    for name, value in values.items():
        assert tuple(value.shape) == architecture.shape(name)
        assert value.dtype == torch.float32
        if name in architecture.prunable:
            assert len(value.unique()) == value.numel()
        else:
            assert torch.equal(value, constants[name.rpartition(".")[2]](value))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_draws_depend_on_the_generator_alone(scheme: str) -> None:
    """The same seed gives the same bits whatever the global generator; another gives others."""
    drawn = []
    for seed, noise in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(noise)
        drawn.append(fresh(one_convolution(), seeds.generator(seed), scheme)["conv.weight"])
    assert torch.equal(drawn[0], drawn[1])
    assert not bool((drawn[0] == drawn[2]).any())


def test_unknown_scheme() -> None:
    """The error names the nearest scheme there is."""
    with pytest.raises(InputError, match="did you mean 'glorot_normal'"):
        fresh(one_convolution(), torch.Generator(), "glorot")
