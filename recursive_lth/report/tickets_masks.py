"""Masks drawn: what each layer keeps at each level, and what the first layer keeps where."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, bare_axes, draw_svg
from recursive_lth.report.density import paint_share
from recursive_lth.report.tickets_record import TicketsRecord
from recursive_lth.report.tickets_table import density

Row = Mapping[str, Any]
INK = (0.16, 0.62, 0.42)  # a green that shows on white and on black
ALL = "all weights"
COLUMNS = 6
MOST_PICTURES = 18
MOST_ARMS = 6
LARGEST_KERNEL = 7
LINE = 22.0  # pixels from one layer to the next
HEAD = 30.0


def draw_layers(record: TicketsRecord) -> str | None:
    """SVG: the share of each layer that remains at each level, averaged over replicates.

    At most six arms are shown. None where nothing is trained.
    """
    tickets = [line for line in record.lines if line["variant"] == "ticket"]
    names = list(dict.fromkeys(line["arm"] for line in tickets))
    arms = names[:MOST_ARMS]
    blocks = {arm: shares_of([line for line in tickets if line["arm"] == arm]) for arm in arms}
    if not blocks:
        return None
    levels = max(len(shares) for block in blocks.values() for shares in block.values())
    left = 20 + 7.0 * max(len(name) for block in blocks.values() for name in block)
    wide = FULL_WIDTH if len(arms) == 1 else FULL_WIDTH / 2 - 20
    cell = min(84.0, max(44.0 if len(arms) > 1 else 22.0, (wide - left) / levels))
    block_width = left + cell * levels + 24
    beside = max(1, min(len(arms), int((FULL_WIDTH + 24) // block_width)))
    stacks = [arms[n : n + beside] for n in range(0, len(arms), beside)]
    heights = [max(LINE * len(blocks[arm]) for arm in stack) + HEAD + 44 for stack in stacks]

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, beside * block_width - 16, sum(heights))
        for number, stack in enumerate(stacks):
            for column, arm in enumerate(stack):
                title = "Remaining share" if len(names) == 1 else f"Remaining share: {arm}"
                corner = (column * block_width, sum(heights[:number]))
                _paint_block(axes, corner, title, blocks[arm], left, cell)

    width = beside * block_width - 16
    return draw_svg("density of each layer at each level", width, sum(heights), paint)


def _paint_block(
    axes: Axes,
    corner: tuple[float, float],
    title: str,
    block: Mapping[str, Sequence[float | None]],
    left: float,
    cell: float,
) -> None:
    x, y = corner
    axes.text(x, y + 12, title, weight="bold", size=12, va="center")
    y += HEAD
    for name, shares in block.items():
        y += 6 if name == ALL else 0
        axes.text(x + left - 10, y + LINE / 2, name, ha="right", va="center", size=10)
        for place, share in enumerate(shares):
            if share is not None:
                paint_share(axes, x + left + place * cell, y, cell, LINE, share)
        y += LINE
    levels = len(next(iter(block.values())))
    axes.text(x + left - 10, y + 14, "level", ha="right", va="center", size=10,
              color=LIGHT["muted"])  # fmt: skip
    for place in range(levels):
        axes.text(x + left + (place + 0.5) * cell, y + 14, str(place), ha="center", va="center",
                  size=10, color=LIGHT["muted"])  # fmt: skip


def shares_of(lines: Sequence[Row]) -> dict[str, list[float | None]]:
    """For each layer, and for all weights, the mean remaining share at each level; None where the
    layer is not there."""
    levels = range(max(line["level"] for line in lines) + 1)
    names = list(dict.fromkeys(name for line in lines for name in line["layers"]))
    found: dict[str, list[float | None]] = {name: [] for name in [*names, ALL]}
    for level in levels:
        here = [line for line in lines if line["level"] == level]
        for name in names:
            cells = [line["layers"][name] for line in here if name in line["layers"]]
            shares = [cell["remaining"] / max(1, cell["weights"]) for cell in cells]
            found[name].append(sum(shares) / len(shares) if shares else None)
        found[ALL].append(sum(line["density"] for line in here) / len(here) if here else None)
    return found


def draw_pictures(record: TicketsRecord) -> str | None:
    """SVG: how many weights of the first layer remain at each pixel, or place of its kernels.

    Levels of one arm in rows of six, or six levels each of up to six arms; None where the run has
    no pictures.
    """
    rows = pictures_by_row(record.pictures)
    if not rows:
        return None
    has_names = len({picture["arm"] for picture in record.pictures}) > 1
    left = 16 + 7.2 * max(len(row[0]["arm"]) for row in rows) if has_names else 0.0
    gap, room = 14.0, (FULL_WIDTH - left) / COLUMNS - 14.0
    is_kernel = max(rows[0][0]["height"], rows[0][0]["width"]) <= LARGEST_KERNEL
    size = min(84.0 if is_kernel else 150.0, room)
    width, tall = max(left + COLUMNS * (size + gap) - gap, 620.0), size + 30
    height = HEAD + tall * len(rows)

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, height)
        title = f"Weights of the first layer, {rows[0][0]['layer']}, that remain at each place"
        axes.text(0, 12, title, weight="bold", size=12, va="center")
        for number, row in enumerate(rows):
            y = HEAD + number * tall
            if has_names:
                axes.text(left - 12, y + 20 + size / 2, row[0]["arm"], ha="right", va="center",
                          size=10.5)  # fmt: skip
            for column, picture in enumerate(row):
                _paint_picture(axes, left + column * (size + gap), y, size, picture)

    return draw_svg("what the first layer keeps", width, height, paint)


def pictures_by_row(pictures: Sequence[Row]) -> list[list[Row]]:
    """Pictures of pruned layers as they are laid out: the levels of one arm, or one row an arm."""
    arms: dict[str, list[Row]] = {}
    for picture in pictures:
        arms.setdefault(picture["arm"], []).append(picture)
    if not arms:
        return []
    if len(arms) == 1:
        (some,) = arms.values()
        some = _choose([p for p in some if p["level"] > 0] or some, MOST_PICTURES)
        return [some[n : n + COLUMNS] for n in range(0, len(some), COLUMNS)]
    rows = list(arms.values())[:MOST_ARMS]
    return [_choose([p for p in row if p["level"] > 0] or row, COLUMNS) for row in rows]


def _choose(some: Sequence[Row], most: int) -> list[Row]:
    """At most so many, evenly from the first to the last."""
    if len(some) <= most:
        return list(some)
    return [some[round(n * (len(some) - 1) / (most - 1))] for n in range(most)]


def _paint_picture(axes: Axes, x: float, y: float, size: float, picture: Row) -> None:
    counts = np.array(picture["counts"], dtype=float)
    share = counts.sum() / (counts.size * picture["outgoing"])
    axes.text(x + size / 2, y + 8, f"level {picture['level']}: {density(share)}", ha="center",
              va="center", size=10, color=LIGHT["muted"])  # fmt: skip
    pixels = np.empty((*counts.shape, 4))
    pixels[..., :3] = INK
    pixels[..., 3] = counts / max(1.0, counts.max())
    tall = size * counts.shape[0] / counts.shape[1]
    high, wide = (size, size) if tall == size else (min(size, tall), size * min(1.0, size / tall))
    axes.imshow(pixels, extent=(x, x + wide, y + 20 + high, y + 20), interpolation="none",
                aspect="auto")  # fmt: skip
    frame = Rectangle((x, y + 20), wide, high, facecolor="none", linewidth=1)
    frame.set_edgecolor(LIGHT["faint"])
    axes.add_patch(frame)
