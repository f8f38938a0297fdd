"""How well short trainings rank growths, drawn: between seeds, and with the long training."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recursive_lth.files import write_atomic
from recursive_lth.report.canvas import LIGHT, draw_svg

SHOWN = {
    "val_calibrated_loss": ("calibrated loss", "accent"),
    "val_loss": ("loss", "widen"),
    "val_accuracy": ("accuracy", "test"),
}


def write_signal(folder: Path, found: Mapping[str, Any]) -> Path:
    """The path of `signal.svg`, written into the folder."""
    return write_atomic(folder / "signal.svg", draw_signal(found))


def draw_signal(found: Mapping[str, Any]) -> str:
    """SVG: rank correlations at each rung, one line a measure, every pair or seed a dot."""
    panels = {
        "between_seeds": "Between two seeds of the short training",
        "with_long": "Of one seed with the mean long training",
    }

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.12)
        sides = figure.subplots(1, 2, sharey=True)
        for axes, (key, title) in zip(sides, panels.items(), strict=True):
            axes.set_title(title)
            axes.set_xlabel("epochs of the short training")
            axes.axhline(0, color=LIGHT["muted"], linewidth=0.8)
            _paint(axes, found, key)
        sides[0].set_ylabel("Spearman rank correlation")
        sides[1].legend(loc="lower right")

    svg = draw_svg("signal of short trainings", 1040, 380, paint)
    begin = svg.index(">") + 1
    return f'{svg[:begin]}<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>{svg[begin:]}'


def _paint(axes: Axes, found: Mapping[str, Any], key: str) -> None:
    epochs = found["epochs"]
    width = 0.012 * (max(epochs) or 1.0)
    for place, (measure, (words, colour)) in enumerate(SHOWN.items()):
        values = found["measures"][measure][key]
        shifted = [epoch + (place - 1) * width for epoch in epochs]
        means = [fmean(some) for some in values]
        axes.plot(shifted, means, color=LIGHT[colour], marker="o", label=words)
        for x, some in zip(shifted, values, strict=True):
            axes.scatter([x] * len(some), some, s=12, color=LIGHT[colour], alpha=0.45, linewidths=0)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xticks(epochs, [f"{epoch:.3g}" for epoch in epochs])
