"""The zoo beside torchvision's networks and hand-written ones: same counts, same functions."""

import math

import pytest
import torchvision
from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual, MobileNetV2
from torchvision.ops import Conv2dNormActivation
from zoo_twins import (
    CifarResNet,
    WideResNet,
    assert_same_network,
    conv_mixer,
    parameters,
    resnet_names,
)

from recursive_lth.architecture.cost import cost
from recursive_lth.architecture.zoo import (
    ARCHITECTURES,
    convmixer,
    lenet_5,
    mobilenet,
    resnet_18,
)

IMAGENET = (3, 64, 64)
CIFAR = (3, 32, 32)


def test_resnet_18_is_torchvisions() -> None:
    """He et al. 2016, table 1: 11,689,512 parameters at 1000 classes, and the same logits."""
    architecture, theirs = resnet_18(IMAGENET, 1000, ()), torchvision.models.resnet18()
    assert cost(architecture).parameters == parameters(theirs) == 11_689_512
    assert architecture.depth == 18
    assert_same_network(architecture, theirs, resnet_names(4, 2))


def test_resnet_18_reaches_its_last_stage_as_the_paper_says() -> None:
    """Table 1: 224 pixels become 112, then 56, 28, 14 and 7."""
    shapes = resnet_18((3, 224, 224), 1000, ()).shapes
    assert shapes["stem"] == (64, 112, 112)
    pixels = [shapes[f"s{stage}b2_relu2"] for stage in (1, 2, 3, 4)]
    assert pixels == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]


@pytest.mark.parametrize(("name", "depth"), [("vgg-11", 11), ("vgg-16", 16)])
def test_vgg_features_are_torchvisions(name: str, depth: int) -> None:
    """The features of vgg11_bn and vgg16_bn before the fifth pool, their biases taken away.

    BatchNorm subtracts a convolution's bias again, so ours have none; the head is our own.
    """
    build = {11: torchvision.models.vgg11_bn, 16: torchvision.models.vgg16_bn}[depth]
    features = build(num_classes=2).features[:-1]
    convolutions = [i for i, m in enumerate(features) if isinstance(m, nn.Conv2d)]
    for i in convolutions:
        features[i].bias = None
    theirs = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    architecture = ARCHITECTURES[name](CIFAR, 10, ())
    assert cost(architecture).parameters == parameters(theirs)
    assert architecture.depth == len(convolutions) + 1
    ours = [n for n in architecture.order if architecture.layers[n].operation == "conv"]
    names = {n: f"0.{i}" for n, i in zip(ours, convolutions, strict=True)}
    norms = {f"{n}_norm": f"0.{i + 1}" for n, i in zip(ours, convolutions, strict=True)}
    assert_same_network(architecture, theirs, {**names, **norms, "output": "3"})


@pytest.mark.parametrize(("depth", "printed"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_resnets_for_cifar(depth: int, printed: float) -> None:
    """He et al. 2016, table 6: millions of parameters; theirs have no weights in shortcuts.

    Ours: 16 x 32 + 32 x 64 weights of 1x1 convolutions, and two numbers for each channel of norm.
    """
    architecture = ARCHITECTURES[f"resnet-{depth}"](CIFAR, 10, ())
    twin = CifarResNet((depth - 2) // 6, (16, 32, 64), 10)
    assert cost(architecture).parameters == parameters(twin)
    shortcuts = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert round((parameters(twin) - shortcuts) / 1e6, 2) == printed
    assert architecture.depth == depth
    assert_same_network(architecture, twin, resnet_names(3, (depth - 2) // 6))


def test_resnets_for_cifar_take_other_widths() -> None:
    """Three widths, one for each stage, in ours as in the twin."""
    architecture = ARCHITECTURES["resnet-32"](CIFAR, 7, (5, 4, 6))
    assert_same_network(architecture, CifarResNet(5, (5, 4, 6), 7), resnet_names(3, 5))


@pytest.mark.parametrize(
    ("depth", "factor", "millions"), [(28, 1, 0.4), (22, 2, 1.1), (16, 4, 2.7)]
)
def test_wide_resnets(depth: int, factor: int, millions: float) -> None:
    """Zagoruyko & Komodakis 2016: millions of parameters at 10 classes, and the twin's logits."""
    blocks = (depth - 4) // 6
    architecture = ARCHITECTURES[f"wrn-{depth}-{factor}"](CIFAR, 10, ())
    twin = WideResNet(blocks, factor, 10)
    assert cost(architecture).parameters == parameters(twin)
    assert round(parameters(twin) / 1e6, 1) == millions
    assert_same_network(architecture, twin, wide_names(blocks))


def wide_names(blocks: int) -> dict[str, str]:
    names = {"stem": "conv1", "last_norm": "bn", "output": "fc"}
    for i in range(3 * blocks):
        ours = f"s{i // blocks + 1}b{i % blocks + 1}"
        for j in (1, 2):
            names |= {f"{ours}_conv{j}": f"blocks.{i}.conv{j}"}
            names |= {f"{ours}_norm{j}": f"blocks.{i}.bn{j}"}
        names |= {f"{ours}_short": f"blocks.{i}.short"}
    return names


def test_the_widest_resnet_has_the_papers_size() -> None:
    """WRN-28-10, table 4: 36.5M parameters, as its twin; a stem of 16 and a 160-channel stage."""
    architecture = ARCHITECTURES["wrn-28-10"](CIFAR, 10, ())
    assert cost(architecture).parameters == parameters(WideResNet(4, 10, 10)) == 36_479_194
    assert (architecture.widths["stem"], architecture.widths["stream1"]) == (16, 160)


def test_the_narrow_wide_resnet_goes_on_with_its_stem() -> None:
    """Factor 1: sixteen channels come in and go out, so the first shortcut is the identity."""
    architecture = ARCHITECTURES["wrn-28-1"](CIFAR, 10, ())
    assert architecture.layers["stem"].width == "stream1"
    shortcuts = {n for n in architecture.layers if n.endswith("_short")}
    assert shortcuts == {"s2b1_short", "s3b1_short"}


SETTING = [[1, 16, 1, 1], [6, 24, 2, 1], [6, 32, 3, 2], [6, 64, 4, 2]]


def test_mobilenet_is_torchvisions_with_four_stages() -> None:
    """MobileNetV2 of these stages; the stem's stride is 1 and the last convolution has 4 x 64."""
    twin = MobileNetV2(num_classes=10, inverted_residual_setting=SETTING, dropout=0.0)
    twin.features[0][0].stride = (1, 1)
    last = len(twin.features) - 1
    twin.features[last] = Conv2dNormActivation(64, 256, 1, activation_layer=nn.ReLU6)
    twin.classifier[1] = nn.Linear(256, 10)
    architecture = mobilenet(CIFAR, 10, ())
    assert cost(architecture).parameters == parameters(twin)
    assert architecture.shapes["head"] == (256, 8, 8)
    names = {"stem": "features.0.0", "stem_norm": "features.0.1", "output": "classifier.1"}
    names |= {"head": f"features.{last}.0", "head_norm": f"features.{last}.1"}
    blocks = [(i, m) for i, m in enumerate(twin.features) if isinstance(m, InvertedResidual)]
    ours = [f"s{s}b{b}" for s, row in enumerate(SETTING, 1) for b in range(1, row[2] + 1)]
    for name, (i, module) in zip(ours, blocks, strict=True):
        parts = ["expand", "depthwise"] if len(module.conv) == 4 else ["depthwise"]
        for j, part in enumerate(parts):
            names |= {f"{name}_{part}": f"features.{i}.conv.{j}.0"}
            names |= {f"{name}_{part}_norm": f"features.{i}.conv.{j}.1"}
        names |= {f"{name}_project": f"features.{i}.conv.{len(parts)}"}
        names |= {f"{name}_project_norm": f"features.{i}.conv.{len(parts) + 1}"}
    assert_same_network(architecture, twin, names)


@pytest.mark.parametrize(("hidden", "units"), [((), 128), ((6,), 6)])
def test_convmixer(hidden: tuple[int, ...], units: int) -> None:
    """Trockman & Kolter 2022: h (c p^2 + d (k^2 + h + 2 + 4) + 3) + (h + 1) n parameters.

    Patch embedding with bias and norm, d blocks of two biases and two norms, n classes.
    """
    architecture, twin = convmixer(CIFAR, 10, hidden), conv_mixer(units, 4, 5, 2, 10)
    formula = units * (3 * 2**2 + 4 * (5**2 + units + 2 + 4) + 3) + (units + 1) * 10
    assert cost(architecture).parameters == parameters(twin) == formula
    names = {"patch": "0.0", "patch_norm": "0.2", "output": "4"}
    for i in range(4):
        for j, part in enumerate(("depthwise", "pointwise"), start=1):
            names |= {f"{part}{i + 1}": f"1.{i}.{part}", f"{part}{i + 1}_norm": f"1.{i}.bn{j}"}
    assert_same_network(architecture, twin, names)


@pytest.mark.parametrize(
    ("shape", "padding", "count"),
    [
        ((1, 32, 32), 0, 61_706),
        ((1, 28, 28), 2, 61_706),
        ((3, 32, 32), 0, 61_706 + 2 * 6 * 25),
        ((1, 16, 16), 2, 61_706 - 16 * (25 - 4) * 120),
    ],
)
def test_lenet_5(shape: tuple[int, ...], padding: int, count: int) -> None:
    """156 + 2,416 + 48,120 + 10,164 + 850 parameters where 5x5 pixels are left, as from 32x32.

    Two more channels come with 2 x 6 x 25 weights; 16x16 pixels leave 2x2 of the 5x5.
    """
    pixels = ((shape[1] + 2 * padding - 4) // 2 - 4) // 2
    twin = nn.Sequential(
        nn.Conv2d(shape[0], 6, 5, padding=padding),
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(6, 16, 5),
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        nn.Linear(16 * pixels**2, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
    architecture = lenet_5(shape, 10, ())
    assert cost(architecture).parameters == parameters(twin) == count
    ours = ("conv1", "conv2", "fc1", "fc2", "output")
    assert_same_network(architecture, twin, dict(zip(ours, ("0", "2", "4", "6", "8"), strict=True)))
    assert architecture.depth == 5


def test_lenet_5_pads_what_is_too_small_for_it() -> None:
    """8x8: 5x5 with padding 2 leaves 8, pooled to 4; 5x5 needs padding again: 4, pooled to 2."""
    architecture = lenet_5((1, 8, 8), 10, ())
    assert architecture.shapes["pool1"] == (6, 4, 4)
    assert architecture.shapes["pool2"] == (16, 2, 2)
    assert math.prod(architecture.shape("fc1.weight")) == 16 * 2 * 2 * 120
