"""Where the remaining weights lie: the density of each layer in each accepted ticket."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, bare_axes, draw_svg
from recursive_lth.report.quantities import percent
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import Line, accepted


def draw_density(record: RunRecord) -> str | None:
    """SVG: the share of each layer's weights that remains in each accepted ticket.

    None where there are no accepted tickets.
    """
    tickets = accepted(record.generations)
    if not tickets:
        return None
    names = _layer_names(tickets)
    left, top, row = 14 + 7.0 * max(len(n) for n in [*names, "all weights"]), 30, 24
    cell = min(84.0, max(22.0, (FULL_WIDTH - left) / len(tickets)))
    width, height = left + cell * len(tickets) + 4, top + row * (len(names) + 1) + 34

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, height)
        axes.text(0, 12, "Remaining share", weight="bold", size=12, va="center")
        for y, name in enumerate([*names, "all weights"]):
            base = top + y * row + (8 if name == "all weights" else 0)
            axes.text(left - 10, base + row / 2, name, ha="right", va="center", size=10.5)
            for x, line in enumerate(tickets):
                share = _share(line, name)
                if share is not None:
                    paint_share(axes, left + x * cell, base, cell, row, share)
        for x, line in enumerate(tickets):
            axes.text(left + (x + 0.5) * cell, height - 10, str(line["generation"]), ha="center",
                      va="center", size=10.5, color=LIGHT["muted"])  # fmt: skip
        axes.text(left - 10, height - 10, "generation", ha="right", va="center", size=10.5,
                  color=LIGHT["muted"])  # fmt: skip

    return draw_svg("density of each layer in each accepted ticket", width, height, paint)


def _layer_names(tickets: Sequence[Line]) -> list[str]:
    """Every layer any of the tickets has: the last one's order, then what only others had."""
    return list(dict.fromkeys(name for line in reversed(tickets) for name in line["layers"]))


def _share(line: Line, name: str) -> float | None:
    if name == "all weights":
        return float(line["density"])
    counts = line["layers"].get(name)
    return counts["remaining"] / max(counts["weights"], 1) if counts else None


def paint_share(axes: Axes, x: float, y: float, w: float, h: float, share: float) -> None:
    """A cell as dark as the share is large, with the share written in it where there is room.

    An empty layer's has an outline instead.
    """
    box = Rectangle((x + 1, y + 1), w - 2, h - 2, linewidth=0, alpha=0.05 + 0.65 * share**0.5)
    box.set_facecolor(LIGHT["accent"])
    if share == 0:
        box.set(facecolor="none", edgecolor=LIGHT["warning"], alpha=1.0, linewidth=1.2,
                linestyle=(0, (3, 2)))  # fmt: skip
    axes.add_patch(box)
    if w >= 40:
        digits = 0 if share >= 0.0995 or share == 0 else 1 if share >= 0.00095 else 2
        text = "< 0.01 %" if 0 < share < 0.00005 else percent(share, digits=digits)
        axes.text(x + w / 2, y + h / 2, text, ha="center", va="center", size=10,
                  color=LIGHT["warning" if share == 0 else "ink"])  # fmt: skip
