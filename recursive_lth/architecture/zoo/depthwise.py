"""Networks whose 3x3 (or larger) kernels see one channel each: MobileNet, ConvMixer."""

from typing import NamedTuple

from recursive_lth.architecture.draft import Draft
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Activation, Layer, Shape
from recursive_lth.architecture.zoo.checks import check_widths, need_images


class Stage(NamedTuple):
    """A row of MobileNetV2's table: `expansion` inner channels for each channel of the stream."""

    expansion: int
    blocks: int
    stride: int


STAGES = (Stage(1, 1, 1), Stage(6, 2, 1), Stage(6, 3, 2), Stage(6, 4, 2))
STEM_RATIO, HEAD_RATIO = 2, 4  # of the first and the last stream: the paper's 32:16 and 1280:320
PATCH, MIXERS, MIXER_KERNEL = 2, 4, 5  # pixels, blocks, pixels


def mobilenet(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """A small MobileNetV2 (Sandler et al. 2018) for 32x32: inverted residuals, 16 to 64 channels.

    The first four of the seven stages of arXiv 1801.04381, table 2, `hidden` channels each: a 1x1
    convolution expands the stream, a depthwise 3x3 reads it, both with ReLU6, and a 1x1
    convolution without activation goes back to the stream. Stem and second stage do not stride,
    since images are small: 32x32 ends with 8x8. Stem and last convolution keep the paper's
    proportion to the streams beside them, 2 and 4; no dropout before the head.
    """
    need_images("mobilenet", shape)
    check_widths("mobilenet", hidden, len(STAGES))
    draft, widths = Draft(shape, classes), hidden or (16, 24, 32, 64)
    before = STEM_RATIO * widths[0]
    source = draft.conv("stem", "input", "stem", before, bias=False)
    source = _norm_activate(draft, source, "relu6")
    for number, (stage, units) in enumerate(zip(STAGES, widths, strict=True), start=1):
        for block in range(1, stage.blocks + 1):
            name, stream = f"s{number}b{block}", f"stream{number}"
            stride = stage.stride if block == 1 else 1
            x = _widened(draft, name, source, stage.expansion, before)
            x = draft.depthwise(f"{name}_depthwise", x, stride=stride, bias=False)
            x = _norm_activate(draft, x, "relu6")
            x = draft.conv(f"{name}_project", x, stream, units, kernel=1, bias=False)
            x = draft.norm(f"{name}_project_norm", x)
            source = x if block == 1 else draft.plain(f"{name}_add", Layer("add", (source, x)))
            before = units
    head = draft.conv("head", source, "head", HEAD_RATIO * before, kernel=1, bias=False)
    source = _norm_activate(draft, head, "relu6")
    return draft.finish(draft.plain("mean", Layer("meanpool", (source,))))


def convmixer(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """A small ConvMixer (Trockman & Kolter 2022) of 128 channels: depthwise 5x5, pointwise, GELU.

    arXiv 2201.09792, section 2, with patches of 2x2 pixels and four blocks: GELU comes before
    BatchNorm, the depthwise convolution is added to what it reads, and all convolutions have
    biases. `hidden` is the one width; each pointwise convolution has a symbol of its own, so that
    widths may part as they grow.
    """
    need_images("convmixer", shape)
    check_widths("convmixer", hidden, 1)
    draft, units = Draft(shape, classes), (hidden or (128,))[0]
    source = draft.conv("patch", "input", "patch", units, kernel=PATCH, stride=PATCH, padding=0)
    source = _activate_norm(draft, source, "gelu")
    for i in range(1, MIXERS + 1):
        mixed = draft.depthwise(f"depthwise{i}", source, kernel=MIXER_KERNEL)
        mixed = _activate_norm(draft, mixed, "gelu")
        joined = draft.plain(f"add{i}", Layer("add", (mixed, source)))
        source = draft.conv(f"pointwise{i}", joined, f"pointwise{i}", units, kernel=1)
        source = _activate_norm(draft, source, "gelu")
    return draft.finish(draft.plain("mean", Layer("meanpool", (source,))))


def _widened(draft: Draft, name: str, source: str, expansion: int, units: int) -> str:
    """The inner channels of an inverted residual; without expansion they are the stream's own."""
    if expansion == 1:
        return source
    x = draft.conv(
        f"{name}_expand", source, f"{name}_expand", expansion * units, kernel=1, bias=False
    )
    return _norm_activate(draft, x, "relu6")


def _norm_activate(draft: Draft, name: str, activation: Activation) -> str:
    """BatchNorm and activation after layer `name`, called after it."""
    norm = draft.norm(f"{name}_norm", name)
    return draft.plain(f"{name}_{activation}", Layer(activation, (norm,)))


def _activate_norm(draft: Draft, name: str, activation: Activation) -> str:
    """Activation and BatchNorm after layer `name`, called after it."""
    active = draft.plain(f"{name}_{activation}", Layer(activation, (name,)))
    return draft.norm(f"{name}_norm", active)
