"""Ready architectures by name; each a function of the input shape, the classes and widths."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from recursive_lth.architecture.draft import Draft, dense_tail
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer, Shape
from recursive_lth.config import Start, pick
from recursive_lth.errors import InputError

Build = Callable[[Shape, int, tuple[int, ...]], Architecture]


def _need_images(name: str, shape: Shape) -> None:
    if len(shape) != 3:
        raise InputError(f"{name} needs images (channels, height, width), got {shape}: use mlp")


def _check_widths(name: str, hidden: tuple[int, ...], count: int) -> None:
    """Raise `InputError` unless as many widths are given as the network has, or none."""
    if hidden and len(hidden) != count:
        raise InputError(
            f"{name} takes {count} widths, got {list(hidden)}: start.hidden=[] gives it its own"
        )


def mlp(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """A multi-layer perceptron with ReLU; `hidden` gives the units of each hidden layer (128)."""
    draft = Draft(shape, classes)
    source = draft.plain("flatten", Layer("flatten", ("input",))) if len(shape) == 3 else "input"
    return dense_tail(draft, source, hidden or (128,))


def lenet_300_100(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """LeNet-300-100 (LeCun et al. 1998; Frankle & Carbin 2019): 266,200 weights on MNIST."""
    _check_widths("lenet-300-100", hidden, 2)
    return mlp(shape, classes, hidden or (300, 100))


def _conv_n(pairs: int) -> Build:
    def build(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
        _need_images(f"conv-{2 * pairs}", shape)
        _check_widths(f"conv-{2 * pairs}", hidden, pairs)
        draft, source = Draft(shape, classes), "input"
        for i, units in enumerate(hidden or (64, 128, 256)[:pairs], start=1):
            for j in (1, 2):
                source = draft.conv(f"conv{i}_{j}", source, f"conv{i}_{j}", units)
                source = draft.relu(f"conv{i}_{j}_relu", source)
            source = draft.pool(f"pool{i}", source)
        return dense_tail(draft, draft.plain("flatten", Layer("flatten", (source,))), (256, 256))

    build.__doc__ = (
        f"Conv-{2 * pairs} (Frankle & Carbin 2019, arXiv 1803.03635): pairs of 3x3 convolutions "
        "of `hidden` channels and pooling, then 256-256."
    )
    return build


def convnet(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """A small ConvNet: 3x3 convolution, BatchNorm, ReLU, pooling for each width in `hidden`."""
    _need_images("convnet", shape)
    draft, source = Draft(shape, classes), "input"
    for i, units in enumerate(hidden or (16, 32, 64), start=1):
        source = draft.conv(f"conv{i}", source, f"conv{i}", units, bias=False)
        source = draft.relu(f"conv{i}_relu", draft.norm(f"conv{i}_norm", source))
        if min(draft.spatial) >> i >= 1:
            source = draft.pool(f"pool{i}", source)
    return draft.finish(draft.plain("mean", Layer("meanpool", (source,))))


def _vgg(name: str, blocks: tuple[int, ...]) -> Build:
    widths = (64, 128, 256, 512, 512)

    def build(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
        _need_images(name, shape)
        _check_widths(name, hidden, len(blocks))
        draft, source = Draft(shape, classes), "input"
        for i, (count, units) in enumerate(zip(blocks, hidden or widths, strict=True), start=1):
            for j in range(1, count + 1):
                conv = draft.conv(f"conv{i}_{j}", source, f"conv{i}_{j}", units, bias=False)
                source = draft.relu(f"{conv}_relu", draft.norm(f"{conv}_norm", conv))
            if i < len(blocks) and min(draft.spatial) >> i >= 1:
                source = draft.pool(f"pool{i}", source)
        return draft.finish(draft.plain("mean", Layer("meanpool", (source,))))

    build.__doc__ = (
        f"{name.upper()} with BatchNorm and one linear layer (Simonyan & Zisserman 2015; Tanaka et "
        "al. 2020 on CIFAR-10): five blocks of 3x3 convolutions, `hidden` channels each."
    )
    return build


def resnet_20(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """ResNet-20 (He et al. 2016): three stages of three basic blocks, 16-32-64 channels.

    Each stage's residual stream is one width symbol. Where a stage begins with a stride, the
    shortcut is a 1x1 convolution with BatchNorm, not He's padding with zeros.
    """
    _need_images("resnet-20", shape)
    _check_widths("resnet-20", hidden, 3)
    draft = Draft(shape, classes)
    widths = hidden or (16, 32, 64)
    source = draft.conv("stem", "input", "stream1", widths[0], bias=False)
    source = draft.relu("stem_relu", draft.norm("stem_norm", source))
    for stage, units in enumerate(widths, start=1):
        for block in range(1, 4):
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


def paper_convnet(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """The start of arXiv 2109.03862 on CIFAR-10: a 7x7 stem to 8 channels, ready for blocks.

    The paper leaves stride and head open: here stride 2, pooling to a quarter, and one linear
    layer on all pixels.
    """
    _need_images("paper-convnet", shape)
    _check_widths("paper-convnet", hidden, 1)
    draft = Draft(shape, classes)
    units = (hidden or (8,))[0]
    x = draft.conv("stem", "input", "stream", units, kernel=7, stride=2, bias=False)
    x = draft.pool("pool", draft.relu("stem_relu", draft.norm("stem_norm", x)))
    return draft.finish(draft.plain("flatten", Layer("flatten", (x,))))


ARCHITECTURES: Mapping[str, Build] = MappingProxyType(
    {
        "mlp": mlp,
        "lenet-300-100": lenet_300_100,
        "conv-2": _conv_n(1),
        "conv-4": _conv_n(2),
        "conv-6": _conv_n(3),
        "convnet": convnet,
        "vgg-11": _vgg("vgg-11", (1, 1, 2, 2, 2)),
        "vgg-16": _vgg("vgg-16", (2, 2, 3, 3, 3)),
        "resnet-20": resnet_20,
        "paper-convnet": paper_convnet,
    }
)


def build(start: Start, shape: Shape, classes: int) -> Architecture:
    """The network that a run starts from."""
    made = pick(ARCHITECTURES, start.architecture, "architecture")
    return made(shape, classes, start.hidden)
