"""The sheet that every figure is drawn on: colours that follow the page's light or dark mode,
and SVG text that is the same bytes every time."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

FULL_WIDTH = 1040  # pixels of a figure that fills the page's column
LIGHT = {
    "ink": "#21242a",
    "muted": "#6a6f78",
    "faint": "#dfe1e5",
    "paper": "#fefefe",
    "wash": "#f4f5f6",
    "accent": "#1a7f56",
    "test": "#c4571b",
    "widen": "#2563b8",
    "deepen": "#b8430f",
    "residual": "#8340a8",
    "branch": "#a81e63",
    "other": "#7d6b0a",
    "warning": "#b3261e",
}
DARK = {
    "ink": "#e9eaec",
    "muted": "#9aa0aa",
    "faint": "#363a42",
    "paper": "#1b1d22",
    "wash": "#121418",
    "accent": "#4cc38a",
    "test": "#f0945d",
    "widen": "#77aaf5",
    "deepen": "#f5824a",
    "residual": "#c796ea",
    "branch": "#f08bb8",
    "other": "#d3bd4b",
    "warning": "#f2857c",
}
KINDS = {
    "widen": ("widen", "split", "enlarge_kernel"),
    "deepen": ("deepen", "stretch"),
    "residual": ("residual", "bottleneck", "residual_pre", "bottleneck_pre"),
    "branch": ("branch", "branch_concat", "skip", "skip_add"),
}
VARIABLES = {shade: name for name, shade in LIGHT.items()}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.parse_math": False,
    "text.color": LIGHT["ink"],
    "axes.edgecolor": LIGHT["faint"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": LIGHT["ink"],
    "axes.titlepad": 10,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": LIGHT["faint"],
    "grid.linewidth": 0.8,
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.labelcolor": LIGHT["muted"],
    "legend.fontsize": 10.5,
    "lines.solid_capstyle": "round",
}


def operator_colour(operator: str) -> str:
    """The colour of a growth operator's kind."""
    return LIGHT["muted" if operator in ("start", "none") else operator_kind(operator)]


def operator_kind(operator: str) -> str:
    """The key of `KINDS` that an operator belongs to; re-wiring and the user's own are "other"."""
    return next((kind for kind, names in KINDS.items() if operator in names), "other")


def draw_svg(name: str, width: float, height: float, paint: Callable[[Figure], None]) -> str:
    """The SVG text of what `paint` draws on a figure of `width` by `height` CSS pixels.

    `name` says what is shown, to readers who do not see it, and keeps the ids of two figures on
    one page apart. Colours of `LIGHT` become CSS variables, so that the page's mode decides them.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own matplotlibrc must not change a report
        matplotlib.rcParams.update(STYLE)
        matplotlib.rcParams["svg.hashsalt"] = name
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        paint(figure)
        sheet = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(sheet, format="svg", transparent=True, metadata=nothing)
    return _adapt(sheet.getvalue(), name, width, height)


def bare_axes(figure: Figure, width: float, height: float) -> Axes:
    """Axes without any frame over the whole figure, in pixels, y running down."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def point_key(marker: str, fill: str, edge: str, label: str, *, size: float = 8) -> Line2D:
    """A legend's entry for points."""
    key = Line2D([], [], linestyle="none", marker=marker, markersize=size, label=label)
    key.set(markerfacecolor=fill, markeredgecolor=edge, markeredgewidth=1.3)
    return key


def place_legend(axes: Axes, handles: Sequence[Artist]) -> None:
    """Put a legend in one row above the axes, at the right, where no curve can lie under it."""
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.99),
        ncols=len(handles),
        handlelength=1.3,
        handletextpad=0.5,
        columnspacing=1.4,
        borderaxespad=0.2,
    )


def _adapt(text: str, name: str, width: float, height: float) -> str:
    """The drawing alone, fit to stand inside a page beside others."""
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>\s*", "", text, flags=re.DOTALL)  # would leak into the page
    text = re.sub(r"<g id=\"[^\"]*\"", "<g", text)  # never referred to, and alike in all figures
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width:g} {height:g}" stroke-linejoin="round" '
        f'role="img" aria-label="{_quote(name)}" '
        f'style="width: 100%; max-width: {width:g}px; min-width: {0.72 * width:.0f}px">'
    )
    text = opening + text[text.index(">") + 1 :]
    return re.sub(r"(?<=: )#[0-9a-f]{6}\b", _variable, text)


def _variable(match: re.Match[str]) -> str:
    name = VARIABLES.get(match.group())
    return f"var(--{name}, {match.group()})" if name else match.group()


def _quote(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
