"""Densities from shapes: exact totals, published formulas, no layer above what it has."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures, kept_counts

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.errors import InputError
from recursive_lth.pruning.distribution import SHARES, layer_targets, least_of


def sizes(architecture: Architecture) -> dict[str, int]:
    return {name: math.prod(architecture.shape(name)) for name in architecture.prunable}


@pytest.mark.parametrize("scope", SHARES)
@given(data=st.data())
def test_targets_sum_up_within_their_bounds(scope: str, data: st.DataObject) -> None:
    """Any total between the least and the most is met to the weight, whatever was cut before."""
    architecture = data.draw(architectures())
    most = data.draw(kept_counts(architecture))
    floor = data.draw(st.integers(0, 3))
    low = least_of(architecture, scope, most, floor)
    keep = data.draw(st.integers(sum(low.values()), sum(most.values())))
    found = layer_targets(architecture, scope, keep, most=most, floor=floor)
    assert sum(found.values()) == keep
    assert all(low[name] <= found[name] <= most[name] for name in most)


def slow_erk(shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """The solve of Evci et al.: layers that would be more than dense are made dense, then again."""
    whole: set[str] = set()
    while True:
        budget = density * sum(map(math.prod, shapes.values()))
        budget -= sum(math.prod(shapes[name]) for name in whole)
        raw = {n: sum(s) / math.prod(s) for n, s in shapes.items() if n not in whole}
        factor = budget / sum(raw[n] * math.prod(shapes[n]) for n in raw)
        over = {n for n in raw if factor * raw[n] > 1}
        if not over:
            return {n: 1.0 if n in whole else factor * raw[n] for n in shapes}
        whole.add(max(over, key=lambda n: raw[n]))


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", ["lenet-300-100", "conv-4", "resnet-20"])
def test_erk_is_the_published_solve(name: str, density: float) -> None:
    architecture = ARCHITECTURES[name]((3, 32, 32), 10, ())
    most = sizes(architecture)
    found = layer_targets(architecture, "erk", round(density * sum(most.values())), most=most)
    wanted = slow_erk({n: architecture.shape(n) for n in most}, density)
    for layer, n in found.items():
        assert abs(n - wanted[layer] * most[layer]) <= 1.5


def test_uniform_plus_spares_the_ends() -> None:
    """The first convolution stays dense, the output keeps a fifth, the others share one density."""
    architecture = ARCHITECTURES["convnet"]((3, 16, 16), 10, (8, 16, 32))
    most = sizes(architecture)
    keep = round(0.1 * sum(most.values()))
    found = layer_targets(architecture, "uniform_plus", keep, most=most)
    assert found["conv1.weight"] == most["conv1.weight"]
    assert found["output.weight"] == math.ceil(0.2 * most["output.weight"])
    densities = [found[n] / most[n] for n in ("conv2.weight", "conv3.weight")]
    assert densities[0] == pytest.approx(densities[1], abs=1e-3)
    plain = layer_targets(mlp((20,), 10, (30,)), "uniform_plus", 450,
                          most={"fc1.weight": 600, "output.weight": 300})  # fmt: skip
    assert plain == {"fc1.weight": 300, "output.weight": 150}, "a first linear layer is not spared"


def test_what_does_not_fit_is_an_error() -> None:
    architecture = mlp((4,), 2, (3,))
    most = sizes(architecture)
    for keep in (0, 19):
        with pytest.raises(InputError, match="change the density or layer_floor"):
            layer_targets(architecture, "erk", keep, most=most, floor=1)
