"""Wide residual networks (Zagoruyko & Komodakis 2016, arXiv 1605.07146)."""

from recursive_lth.architecture.draft import Draft
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer, Shape
from recursive_lth.architecture.zoo.checks import Build, check_widths, need_images

STEM = 16  # channels of the first convolution, whatever the factor


def wide_resnet(depth: int, factor: int) -> Build:
    """WRN-depth-factor: depth 6n + 4, n pre-activation blocks a stage of `factor` times 16-32-64.

    A stage whose stream is new begins with a 1x1 convolution beside its first block. Where the
    factor is 1, the first stage goes on with the stem's stream.
    """
    name, blocks = f"wrn-{depth}-{factor}", (depth - 4) // 6

    def build(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
        need_images(name, shape)
        check_widths(name, hidden, 3)
        draft = Draft(shape, classes)
        widths = hidden or (16 * factor, 32 * factor, 64 * factor)
        stream, units = ("stream1", widths[0]) if factor == 1 else ("stem", STEM)
        source = draft.conv("stem", "input", stream, units, bias=False)
        for stage, units in enumerate(widths, start=1):
            for block in range(1, blocks + 1):
                is_new, stream = stream != f"stream{stage}", f"stream{stage}"
                stride = 2 if stage > 1 and is_new else 1
                source = _preactivation_block(
                    draft, f"s{stage}b{block}", source, stream, units, stride, is_new=is_new
                )
        source = draft.relu("last_relu", draft.norm("last_norm", source))
        return draft.finish(draft.plain("mean", Layer("meanpool", (source,))))

    sizes = "-".join(str(n * factor) for n in (16, 32, 64))
    build.__doc__ = (
        f"Wide ResNet {depth}-{factor} (Zagoruyko & Komodakis 2016): three stages of {blocks} "
        f"pre-activation blocks, {sizes} channels.\n\n`hidden` gives the stages' channels; no "
        "dropout inside the blocks."
    )
    return build


def _preactivation_block(
    draft: Draft, name: str, source: str, stream: str, units: int, stride: int, *, is_new: bool
) -> str:
    """BatchNorm, ReLU, 3x3, twice, added to the stream; a new stream reads the first ReLU."""
    x = draft.relu(f"{name}_relu1", draft.norm(f"{name}_norm1", source))
    shortcut = source
    if is_new:
        shortcut = draft.conv(
            f"{name}_short", x, stream, units, kernel=1, stride=stride, bias=False
        )
    x = draft.conv(f"{name}_conv1", x, f"{name}_conv1", units, stride=stride, bias=False)
    x = draft.relu(f"{name}_relu2", draft.norm(f"{name}_norm2", x))
    x = draft.conv(f"{name}_conv2", x, stream, units, bias=False)
    return draft.plain(f"{name}_add", Layer("add", (x, shortcut)))
