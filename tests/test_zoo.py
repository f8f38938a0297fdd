"""The zoo: sizes that the papers print, and every architecture runs on small inputs."""

import pytest
import torch
import torch.nn.functional as F
from strategies import normal_weights, random_batch
from torch import Tensor

from recursive_lth.architecture.cost import cost
from recursive_lth.architecture.layer import Shape
from recursive_lth.architecture.network import Weights, network
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.widths import widen
from recursive_lth.ticket.transplant import transplant

NARROW = {  # as they are, a step in float64 takes seconds
    "vgg-11": (16, 32, 64, 64, 64),
    "vgg-16": (16, 32, 64, 64, 64),
    "resnet-18": (16, 32, 64, 128),
    "wrn-28-10": (32, 64, 128),
}
COUNTS = {  # of the widths in `hidden`; the others have three stages
    "mlp": 2, "lenet-300-100": 2, "lenet-5": 4, "conv-2": 1, "conv-4": 2, "vgg-11": 5, "vgg-16": 5,
    "resnet-18": 4, "mobilenet": 4, "convmixer": 1, "paper-convnet": 1,
}  # fmt: skip
NEEDS_IMAGES = sorted(set(ARCHITECTURES) - {"mlp", "lenet-300-100"})


def convolutional_weights(pairs: tuple[int, ...]) -> int:
    """Conv-2/4/6 on CIFAR-10: pairs of 3x3, each pooled by 2, then 256-256-10."""
    weights, before, pixels = 0, 3, 32
    for units in pairs:
        weights += 9 * units * (before + units)
        before, pixels = units, pixels // 2
    return weights + before * pixels**2 * 256 + 256 * 256 + 256 * 10


@pytest.mark.parametrize(
    ("name", "shape", "weights", "depth"),
    [
        ("lenet-300-100", (1, 28, 28), 784 * 300 + 300 * 100 + 100 * 10, 3),
        ("conv-2", (3, 32, 32), convolutional_weights((64,)), 5),
        ("conv-4", (3, 32, 32), convolutional_weights((64, 128)), 7),
        ("conv-6", (3, 32, 32), convolutional_weights((64, 128, 256)), 9),
        ("mlp", (64,), 64 * 128 + 128 * 10, 2),
        ("convnet", (3, 32, 32), 9 * (3 * 16 + 16 * 32 + 32 * 64) + 64 * 10, 4),
        ("paper-convnet", (3, 32, 32), 49 * 3 * 8 + 8 * 64 * 10, 2),
    ],
)
def test_sizes_by_formula(name: str, shape: Shape, weights: int, depth: int) -> None:
    """Weights and depth as the papers describe the networks, worked out layer by layer."""
    architecture = ARCHITECTURES[name](shape, 10, ())
    assert cost(architecture).weights == weights
    assert architecture.depth == depth


def test_sizes_that_papers_print() -> None:
    """Frankle & Carbin 2019: 266,200 weights, and 4.3M and 2.4M for Conv-2 and Conv-4.

    Conv-6 as they describe it has 1.14M weights in its convolutions and 4096 x 256 + 256 x 256 +
    256 x 10 = 1.12M behind them: 2.3M, where their table prints 1.7M.
    """
    sizes = {
        name: cost(ARCHITECTURES[name](shape, 10, ())).weights
        for name, shape in [
            ("lenet-300-100", (1, 28, 28)),
            *((f"conv-{n}", (3, 32, 32)) for n in (2, 4, 6)),
        ]
    }
    assert sizes["lenet-300-100"] == 266_200
    assert [round(sizes[f"conv-{n}"] / 1e6, 1) for n in (2, 4, 6)] == [4.3, 2.4, 2.3]


def test_resnet_20() -> None:
    """He et al. 2016: 6n+2 layers, n = 3; .27M parameters, and here 2,560 + 192 of shortcuts.

    Stem 432; stages of 6 x 9 x 16^2, then 9 (16 x 32 + 5 x 32^2), then 9 (32 x 64 + 5 x 64^2);
    head 650; two numbers for each channel of a norm: 2 (7 x 16 + 7 x 32 + 7 x 64).
    """
    architecture = ARCHITECTURES["resnet-20"]((3, 32, 32), 10, ())
    stages = 9 * (6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2)
    found = cost(architecture)
    assert found.weights == 432 + stages + 640 + (16 * 32 + 32 * 64)
    assert found.parameters == found.weights + 10 + 2 * 7 * (16 + 32 + 64) == 272_474
    assert architecture.depth == 20
    assert architecture.shapes[architecture.layers["mean"].inputs[0]] == (64, 8, 8)
    assert {"stream1", "stream2", "stream3"} <= set(architecture.free_symbols)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_runs_on_small_images(name: str) -> None:
    """Digits of 8x8: the logits of each sample and class, and widths that can grow."""
    architecture = ARCHITECTURES[name]((1, 8, 8), 10, ())
    batch = random_batch(architecture, 2, 0)
    logits, _ = network(architecture)(normal_weights(architecture, 0), batch)
    assert logits.shape == (2, 10)
    assert architecture.classes == 10
    assert architecture.free_symbols
    assert "input" not in architecture.free_symbols
    assert "classes" not in architecture.free_symbols


def test_convnet_pools_while_there_are_pixels() -> None:
    """5x5 is halved to 2x2 and 1x1; the third and fourth widths are not pooled any more."""
    architecture = ARCHITECTURES["convnet"]((1, 5, 5), 3, (2, 2, 2, 2))
    pools = [n for n, layer in architecture.layers.items() if layer.operation == "maxpool"]
    assert pools == ["pool1", "pool2"]
    assert architecture.shapes["conv4_relu"] == (2, 1, 1)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=("mnist", "cifar10"))
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_one_step_learns(name: str, shape: Shape) -> None:
    """Every tensor has a gradient, and a small step against it lowers the loss of its batch.

    The slope along -g is -|g|^2, so a step of 1e-7 / |g|^2 lowers the loss by 1e-7 to first order.
    """
    architecture = ARCHITECTURES[name](shape, 10, NARROW.get(name, ()))
    drawn = fresh(architecture, torch.Generator().manual_seed(0), "kaiming_normal")
    weights = {n: t.double() for n, t in drawn.items()}
    batch, labels = random_batch(architecture, 4, 0), torch.arange(4)
    forward = network(architecture)

    def loss(moving: Weights) -> Tensor:
        logits, _ = forward({**weights, **moving}, batch, training=True)
        return F.cross_entropy(logits, labels)

    moving = {n: weights[n] for n in architecture.trainable}
    gradient, before = torch.func.grad_and_value(loss)(moving)
    assert all(g.isfinite().all() and g.any() for g in gradient.values())
    rate = 1e-7 / sum(float(g.square().sum()) for g in gradient.values())
    after = loss({n: moving[n] - rate * g for n, g in gradient.items()})
    assert float(before - after) == pytest.approx(1e-7, rel=0.01)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_free_symbol_can_be_widened(name: str) -> None:
    """Units whose weights, biases and norms are all zero give zeros, which nothing reads.

    Every activation of the zoo is zero at zero, so the logits stay what they were.
    """
    architecture = ARCHITECTURES[name]((1, 8, 8), 3, tuple(range(2, 2 + COUNTS.get(name, 3))))
    weights, batch = normal_weights(architecture, 0), random_batch(architecture, 2, 0)
    expected, _ = network(architecture)(weights, batch)
    count = len(architecture.free_symbols)
    for i, symbol in enumerate(architecture.free_symbols):
        change = widen(architecture, place=(i + 0.5) / count, ratio=0.001, label="")
        after = change.after
        assert after.widths[symbol] == architecture.widths[symbol] + 1
        zeros = {n: torch.zeros(after.shape(n), dtype=torch.float64) for n in after.tensors}
        logits, _ = network(after)(transplant(weights, change, zeros), batch)
        torch.testing.assert_close(logits, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("name", "hidden", "found"),
    [
        ("mlp", (5, 6), {"fc1": 5, "fc2": 6}),
        ("lenet-300-100", (7, 3), {"fc1": 7, "fc2": 3}),
        ("conv-2", (4,), {"conv1_1": 4, "conv1_2": 4, "fc1": 256, "fc2": 256}),
        ("convnet", (2, 3), {"conv1": 2, "conv2": 3}),
        ("paper-convnet", (5,), {"stream": 5}),
        ("lenet-5", (2, 3, 4, 5), {"conv1": 2, "conv2": 3, "fc1": 4, "fc2": 5}),
        ("convmixer", (5,), {"patch": 5, **{f"pointwise{i}": 5 for i in range(1, 5)}}),
    ],
)
def test_hidden_gives_the_widths(name: str, hidden: tuple[int, ...], found: dict[str, int]) -> None:
    """The widths asked for are the widths of the free symbols."""
    architecture = ARCHITECTURES[name]((1, 8, 8), 3, hidden)
    assert {s: architecture.widths[s] for s in architecture.free_symbols} == found


def test_hidden_gives_the_stages_of_a_resnet() -> None:
    """Every stream has its stage's width, and so have the inner convolutions."""
    architecture = ARCHITECTURES["resnet-20"]((1, 8, 8), 3, (2, 3, 4))
    for stage, units in enumerate((2, 3, 4), start=1):
        symbols = [f"stream{stage}", *(f"s{stage}b{block}_conv1" for block in (1, 2, 3))]
        assert [architecture.widths[s] for s in symbols] == [units] * 4


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"mlp", "convnet"}))
def test_as_many_widths_as_the_network_has(name: str) -> None:
    """One width too many is refused, and the answer says how many there are."""
    count = COUNTS.get(name, 3)
    with pytest.raises(InputError, match=rf"{name} takes {count} widths"):
        ARCHITECTURES[name]((1, 8, 8), 10, (2,) * (count + 1))


@pytest.mark.parametrize("name", NEEDS_IMAGES)
def test_flat_features_are_refused(name: str) -> None:
    """A convolutional network says what it needs and which network would do."""
    with pytest.raises(InputError, match=rf"{name} needs images .*use mlp"):
        ARCHITECTURES[name]((64,), 10, ())


def test_images_too_small_to_pool_are_refused_by_name() -> None:
    """Conv-6 halves three times: 4 pixels are too few, and the third pool says so."""
    with pytest.raises(InputError, match=r"layer pool3 .maxpool. kernel 2 does not fit"):
        ARCHITECTURES["conv-6"]((1, 4, 4), 10, ())
