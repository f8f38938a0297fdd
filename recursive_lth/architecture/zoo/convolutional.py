"""Convolutional networks without residual streams: LeNet-5, Conv-N, ConvNet, VGG."""

from recursive_lth.architecture.draft import Draft, dense_tail
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer, Shape
from recursive_lth.architecture.zoo.checks import Build, check_widths, need_images

LENET_PIXELS = 32  # LeCun et al. put MNIST's 28x28 into the middle of 32x32


def lenet_5(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling: 61,706 parameters on MNIST.

    5x5 convolutions of 6 and 16 channels, each pooled by 2, then 120-84; `hidden` gives these four.
    As in common use, and unlike the original: ReLU for the scaled tanh, max pooling for averages
    with a trained scale, every channel of the second convolution reads all of the first (there:
    three, four or all of them), and a linear layer gives the logits (there: distances to drawings
    of the characters). Images below 32x32 are padded by 2, and where 5x5 would not fit, again.
    """
    need_images("lenet-5", shape)
    check_widths("lenet-5", hidden, 4)
    widths = hidden or (6, 16, 120, 84)
    draft, source, pixels = Draft(shape, classes), "input", min(shape[1:])
    for i, units in enumerate(widths[:2], start=1):
        is_small = pixels < (LENET_PIXELS if i == 1 else 6)
        conv = draft.conv(
            f"conv{i}", source, f"conv{i}", units, kernel=5, padding=2 if is_small else 0
        )
        source = draft.pool(f"pool{i}", draft.relu(f"conv{i}_relu", conv))
        pixels = (pixels if is_small else pixels - 4) // 2
    return dense_tail(draft, draft.plain("flatten", Layer("flatten", (source,))), widths[2:])


def conv_n(pairs: int) -> Build:
    """Conv-2, Conv-4 or Conv-6, by the number of their pairs of convolutions."""

    def build(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
        need_images(f"conv-{2 * pairs}", shape)
        check_widths(f"conv-{2 * pairs}", hidden, pairs)
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
    need_images("convnet", shape)
    draft, source = Draft(shape, classes), "input"
    for i, units in enumerate(hidden or (16, 32, 64), start=1):
        source = draft.conv(f"conv{i}", source, f"conv{i}", units, bias=False)
        source = draft.relu(f"conv{i}_relu", draft.norm(f"conv{i}_norm", source))
        if min(draft.spatial) >> i >= 1:
            source = draft.pool(f"pool{i}", source)
    return draft.finish(draft.plain("mean", Layer("meanpool", (source,))))


def vgg(name: str, blocks: tuple[int, ...]) -> Build:
    """A VGG whose blocks have so many convolutions each."""
    widths = (64, 128, 256, 512, 512)

    def build(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
        need_images(name, shape)
        check_widths(name, hidden, len(blocks))
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


def paper_convnet(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """The start of arXiv 2109.03862 on CIFAR-10: a 7x7 stem to 8 channels, ready for blocks.

    The paper leaves stride and head open: here stride 2, pooling to a quarter, and one linear
    layer on all pixels.
    """
    need_images("paper-convnet", shape)
    check_widths("paper-convnet", hidden, 1)
    draft = Draft(shape, classes)
    units = (hidden or (8,))[0]
    x = draft.conv("stem", "input", "stream", units, kernel=7, stride=2, bias=False)
    x = draft.pool("pool", draft.relu("stem_relu", draft.norm("stem_norm", x)))
    return draft.finish(draft.plain("flatten", Layer("flatten", (x,))))
