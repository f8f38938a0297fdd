"""Hand-written modules of networks in the zoo, and what it means that ours is the same network."""

from collections.abc import Mapping

import torch
from strategies import random_batch
from torch import Tensor, nn

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network

SAMPLES = 3
TOLERANCE = 1e-10


class BasicBlock(nn.Module):
    """He et al. 2016, figure 2: 3x3, 3x3, and the input added before the last ReLU."""

    def __init__(self, before: int, units: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, units, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(units)
        self.conv2 = nn.Conv2d(units, units, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(units)
        self.downsample = nn.Sequential()
        if stride == 2:
            shortcut = nn.Conv2d(before, units, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(units))

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


class CifarResNet(nn.Module):
    """Section 4.2 of the same paper, with 1x1 convolutions where the channels change."""

    def __init__(self, blocks: int, widths: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = self.stage(widths[0], widths[0], blocks, 1)
        self.layer2 = self.stage(widths[0], widths[1], blocks, 2)
        self.layer3 = self.stage(widths[1], widths[2], blocks, 2)
        self.fc = nn.Linear(widths[2], classes)

    @staticmethod
    def stage(before: int, units: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [BasicBlock(units, units, 1) for _ in range(blocks - 1)]
        return nn.Sequential(BasicBlock(before, units, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        logits: Tensor = self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))
        return logits


def resnet_names(stages: int, blocks: int) -> dict[str, str]:
    """Our layers -> those of `CifarResNet`, which are called as in torchvision's resnets."""
    names = {"stem": "conv1", "stem_norm": "bn1", "output": "fc"}
    for stage in range(1, stages + 1):
        for block in range(blocks):
            ours, theirs = f"s{stage}b{block + 1}", f"layer{stage}.{block}"
            for i in (1, 2):
                names |= {f"{ours}_conv{i}": f"{theirs}.conv{i}"}
                names |= {f"{ours}_norm{i}": f"{theirs}.bn{i}"}
            if stage > 1 and block == 0:
                names |= {f"{ours}_short": f"{theirs}.downsample.0"}
                names |= {f"{ours}_short_norm": f"{theirs}.downsample.1"}
    return names


class WideBlock(nn.Module):
    """Zagoruyko & Komodakis 2016, figure 1a, pre-activated; 1x1 where the channels change."""

    def __init__(self, before: int, units: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, units, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(units)
        self.conv2 = nn.Conv2d(units, units, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(before, units, 1, stride, bias=False) if before != units else None

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.bn1(x))
        inner: Tensor = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        shortcut: Tensor = x if self.short is None else self.short(active)
        return inner + shortcut


class WideResNet(nn.Module):
    """WRN of depth 6 * blocks + 4; table 1 of the same paper."""

    def __init__(self, blocks: int, factor: int, classes: int) -> None:
        super().__init__()
        widths = [16, 16 * factor, 32 * factor, 64 * factor]
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.blocks = nn.Sequential()
        for stage in (1, 2, 3):
            for block in range(blocks):
                before = widths[stage - 1] if block == 0 else widths[stage]
                stride = 2 if stage > 1 and block == 0 else 1
                self.blocks.append(WideBlock(before, widths[stage], stride))
        self.bn = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.blocks(self.conv1(x))))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class Mix(nn.Module):
    """Trockman & Kolter 2022, section 2: over pixels with a residual, then over channels."""

    def __init__(self, units: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(units, units, kernel, groups=units, padding="same")
        self.bn1 = nn.BatchNorm2d(units)
        self.pointwise = nn.Conv2d(units, units, 1)
        self.bn2 = nn.BatchNorm2d(units)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.bn1(self.gelu(self.depthwise(x)))
        mixed: Tensor = self.bn2(self.gelu(self.pointwise(x)))
        return mixed


def conv_mixer(units: int, blocks: int, kernel: int, patch: int, classes: int) -> nn.Sequential:
    """The whole ConvMixer of the same section."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, units, patch, patch), nn.GELU(), nn.BatchNorm2d(units)),
        nn.Sequential(*(Mix(units, kernel) for _ in range(blocks))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(units, classes),
    )


def drawn(module: nn.Module, batch: Tensor, seed: int) -> nn.Module:
    """The module in float64: He's weights, random biases and norms, statistics of other data."""
    generator = torch.Generator().manual_seed(seed)
    module.double().train()
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for tensor in module.parameters():
            spread = (2 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.1
            tensor.copy_(torch.randn(tensor.shape, generator=generator).double() * spread)
        for norm in norms:
            norm.weight.copy_(torch.rand(norm.num_features, generator=generator) + 0.5)
            norm.momentum = 1.0  # statistics become those of the batch
        module(batch.flip(-1) * 1.5)
    for norm in norms:
        norm.momentum = 0.1
    return module


def assert_same_network(
    architecture: Architecture, module: nn.Module, names: Mapping[str, str]
) -> None:
    """With the module's weights, ours gives its logits in both modes, and its next statistics.

    `names` leads from each of our layers with tensors to the module's; every tensor of ours must
    find one there. Of two roundings of one sum neither is right: 1e-10 of the largest value.
    """
    batch = random_batch(architecture, SAMPLES, 0)
    module = drawn(module, batch, 1)
    weights = found(architecture, module, names)
    forward = network(architecture)
    with torch.no_grad():
        assert_near(forward(weights, batch)[0], module.eval()(batch))
        logits, statistics = forward(weights, batch, training=True)
        assert_near(logits, module.train()(batch))
    after = found(architecture, module, names)
    assert set(statistics) == {n for n in architecture.tensors if "running" in n}
    for name, tensor in statistics.items():
        assert_near(tensor, after[name])


def found(
    architecture: Architecture, module: nn.Module, names: Mapping[str, str]
) -> dict[str, Tensor]:
    """A copy of the module's tensors under our names, shape by shape."""
    theirs = module.state_dict()
    tensors = {}
    for name in architecture.tensors:
        layer, _, field = name.rpartition(".")
        tensors[name] = theirs[f"{names[layer]}.{field}"].clone()
        assert tuple(tensors[name].shape) == architecture.shape(name)
    return tensors


def assert_near(ours: Tensor, theirs: Tensor) -> None:
    scale = max(1.0, float(theirs.abs().max()))
    assert float((ours - theirs).abs().max()) <= TOLERANCE * scale


def parameters(module: nn.Module) -> int:
    """All that an optimizer would move."""
    return sum(p.numel() for p in module.parameters())
