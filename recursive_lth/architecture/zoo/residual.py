"""ResNets of basic blocks (He et al. 2016, arXiv 1512.03385): those for CIFAR, and ResNet-18.

Each stage's residual stream is one width symbol. Where a stage begins with a stride, the shortcut
is a 1x1 convolution with BatchNorm.
"""

from recursive_lth.architecture.draft import Draft
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer, Shape
from recursive_lth.architecture.zoo.checks import Build, check_widths, need_images


def resnet(depth: int) -> Build:
    """The ResNet of He et al. for CIFAR with so many layers: 6n + 2, n blocks a stage."""
    name, blocks = f"resnet-{depth}", (depth - 2) // 6

    def build(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
        need_images(name, shape)
        check_widths(name, hidden, 3)
        draft, widths = Draft(shape, classes), hidden or (16, 32, 64)
        source = draft.conv("stem", "input", "stream1", widths[0], bias=False)
        source = draft.relu("stem_relu", draft.norm("stem_norm", source))
        return _finish_stages(draft, source, widths, blocks)

    build.__doc__ = (
        f"ResNet-{depth} (He et al. 2016): three stages of {blocks} basic blocks, 16-32-64 "
        "channels.\n\nA stage's first shortcut is a 1x1 convolution with BatchNorm, not He's "
        "padding with zeros."
    )
    return build


resnet_20 = resnet(20)


def resnet_18(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """ResNet-18 for ImageNet (He et al. 2016): four stages of two basic blocks, 64 to 512 channels.

    As torchvision has it, 11,689,512 parameters at 1000 classes: a 7x7 stem of stride 2, pooling
    of 3x3 by 2, no biases beside BatchNorm. Images of 224x224 reach the last stage with 7x7 pixels,
    CIFAR's with one.
    """
    need_images("resnet-18", shape)
    check_widths("resnet-18", hidden, 4)
    draft, widths = Draft(shape, classes), hidden or (64, 128, 256, 512)
    source = draft.conv("stem", "input", "stream1", widths[0], kernel=7, stride=2, bias=False)
    source = draft.relu("stem_relu", draft.norm("stem_norm", source))
    source = draft.plain("pool", Layer("maxpool", (source,), kernel=3, stride=2, padding=1))
    return _finish_stages(draft, source, widths, 2)


def _finish_stages(draft: Draft, source: str, widths: tuple[int, ...], blocks: int) -> Architecture:
    """Stages of so many basic blocks, halving the pixels from the second on, and the head."""
    for stage, units in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            source = _basic_block(
                draft, f"s{stage}b{block}", source, f"stream{stage}", units, stride
            )
    return draft.finish(draft.plain("mean", Layer("meanpool", (source,))))


def _basic_block(draft: Draft, name: str, source: str, stream: str, units: int, stride: int) -> str:
    x = draft.conv(f"{name}_conv1", source, f"{name}_conv1", units, stride=stride, bias=False)
    x = draft.relu(f"{name}_relu1", draft.norm(f"{name}_norm1", x))
    x = draft.norm(f"{name}_norm2", draft.conv(f"{name}_conv2", x, stream, units, bias=False))
    shortcut = source
    if stride > 1:
        shortcut = draft.conv(
            f"{name}_short", source, stream, units, kernel=1, stride=stride, bias=False
        )
        shortcut = draft.norm(f"{name}_short_norm", shortcut)
    joined = draft.plain(f"{name}_add", Layer("add", (x, shortcut)))
    return draft.relu(f"{name}_relu2", joined)
