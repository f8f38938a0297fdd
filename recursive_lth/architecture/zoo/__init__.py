"""Ready architectures by name; each a function of the input shape, the classes and widths."""

from collections.abc import Mapping
from types import MappingProxyType

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Shape
from recursive_lth.architecture.zoo.checks import Build
from recursive_lth.architecture.zoo.convolutional import (
    conv_n,
    convnet,
    lenet_5,
    paper_convnet,
    vgg,
)
from recursive_lth.architecture.zoo.depthwise import convmixer, mobilenet
from recursive_lth.architecture.zoo.perceptrons import lenet_300_100, mlp
from recursive_lth.architecture.zoo.residual import resnet, resnet_18, resnet_20
from recursive_lth.architecture.zoo.wide import wide_resnet
from recursive_lth.config import Start, pick

__all__ = [
    "ARCHITECTURES",
    "Build",
    "build",
    "convmixer",
    "convnet",
    "lenet_5",
    "lenet_300_100",
    "mlp",
    "mobilenet",
    "paper_convnet",
    "resnet_18",
    "resnet_20",
]

ARCHITECTURES: Mapping[str, Build] = MappingProxyType(
    {
        "mlp": mlp,
        "lenet-300-100": lenet_300_100,
        "lenet-5": lenet_5,
        "conv-2": conv_n(1),
        "conv-4": conv_n(2),
        "conv-6": conv_n(3),
        "convnet": convnet,
        "vgg-11": vgg("vgg-11", (1, 1, 2, 2, 2)),
        "vgg-16": vgg("vgg-16", (2, 2, 3, 3, 3)),
        "resnet-18": resnet_18,
        "resnet-20": resnet_20,
        "resnet-32": resnet(32),
        "resnet-44": resnet(44),
        "resnet-56": resnet(56),
        "wrn-28-1": wide_resnet(28, 1),
        "wrn-22-2": wide_resnet(22, 2),
        "wrn-16-4": wide_resnet(16, 4),
        "wrn-28-10": wide_resnet(28, 10),
        "mobilenet": mobilenet,
        "convmixer": convmixer,
        "paper-convnet": paper_convnet,
    }
)


def build(start: Start, shape: Shape, classes: int) -> Architecture:
    """The network that a run starts from."""
    made = pick(ARCHITECTURES, start.architecture, "architecture")
    return made(shape, classes, start.hidden)
