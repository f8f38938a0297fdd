"""The descent of a population: its winning tickets as a tree of several parents."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from recursive_lth.report.canvas import LIGHT, bare_axes, draw_svg, operator_colour
from recursive_lth.report.population import Life, lives_drawn, most_alive
from recursive_lth.report.quantities import count, percent
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import best, start
from recursive_lth.report.tree import Place, shorten

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 222, 28, 14, 20, 6
LETTERS = 14  # of a title that fits into a box beside its numbers


def draw_descent(record: RunRecord, lives: Sequence[Life]) -> str | None:
    """SVG: ticket 0 and the winning tickets, children below their parents.

    The way to a living one is strong, the living are framed, the best is filled. Of many those of
    `lives_drawn`, below their nearest ancestors. None for a single lineage.
    """
    root = start(record.generations)
    if root is None or most_alive(record) == 1:
        return None
    shown = [Life(root, (), (), not lives), *bridged(lives_drawn(lives), lives)]
    lasting = lasting_lines(shown)
    places = place_winners(shown, lasting)
    edges = [
        (life.line["parent"], life.line["digest"])
        for life in shown
        if life.line["parent"] in places
    ]
    lanes = assign_heights(edges, places)
    width = 2 * MARGIN + (1 + max(x for x, _ in places.values())) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + (1 + max(y for _, y in places.values())) * (HEIGHT + GAP_Y) - GAP_Y
    top = best(record)

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, height)
        for parent, child in sorted(edges, key=lambda edge: edge[1] in lasting):
            ends = places[parent], places[child]
            _paint_edge(axes, *ends, lanes[parent], is_strong=child in lasting)
        for life in shown:
            is_best = top is not None and life.line["digest"] == top["digest"]
            _paint_node(axes, places[life.line["digest"]], life, is_best=is_best)

    return draw_svg("descent of the population's tickets", width, height, paint)


def bridged(kept: Sequence[Life], lives: Sequence[Life]) -> list[Life]:
    """Some of the lives, each with its nearest ancestor among them, or ticket 0, as its parent."""
    there = {life.line["digest"] for life in kept}
    skipped = [life.line for life in lives if life.line["digest"] not in there]
    parents = {line["digest"]: line["parent"] for line in skipped}
    found = []
    for life in kept:
        parent = life.line["parent"]
        while parent in parents:
            parent = parents[parent]
        found.append(replace(life, line={**life.line, "parent": parent}))
    return found


def lasting_lines(shown: Sequence[Life]) -> set[str]:
    """Digests of the living and of all their ancestors."""
    parents = {life.line["digest"]: life.line["parent"] for life in shown}
    found: set[str] = set()
    for life in shown:
        digest = life.line["digest"] if life.is_alive else ""
        while digest in parents and digest not in found:
            found.add(digest)
            digest = parents[digest]
    return found


def place_winners(shown: Sequence[Life], lasting: set[str]) -> dict[str, Place]:
    """Column and row of each ticket by digest; rows count ancestors, no two share a place.

    A ticket's first child stands right below it; every other begins the nearest column to the right
    in which its own first child, that one's, and so on have room. Those that lead to the living
    come first. The first that is shown is the root of all.
    """
    children: dict[str, list[str]] = {}
    for life in sorted(shown[1:], key=lambda life: life.line["digest"] not in lasting):
        children.setdefault(life.line["parent"], []).append(life.line["digest"])
    places: dict[str, Place] = {}
    taken: set[Place] = set()
    waiting: list[tuple[str, Place]] = [(shown[0].line["digest"], (0, 0))]
    while waiting:
        head, (column, row) = waiting.pop(0)
        chain = [head]
        while chain[-1] in children:
            chain.append(children[chain[-1]][0])
        while any((column, y) in taken for y in range(row, row + len(chain))):
            column += 1
        for y, digest in enumerate(chain, start=row):
            places[digest] = column, y
            taken.add((column, y))
            waiting += [(other, (column + 1, y + 1)) for other in children.get(digest, [])[1:]]
    return places


def _corner(place: Place) -> tuple[float, float]:
    return MARGIN + place[0] * (WIDTH + GAP_X), MARGIN + place[1] * (HEIGHT + GAP_Y)


def assign_heights(
    edges: Sequence[tuple[str, str]], places: Mapping[str, Place]
) -> dict[str, float]:
    """Where in the gap below it each parent's lines run across, from 0 to 1.

    Parents of one row that have children in other columns differ, so that what crosses is seen.
    """
    rows: dict[int, list[str]] = {}
    for parent, child in sorted(edges, key=lambda edge: places[edge[0]]):
        row = rows.setdefault(places[parent][1], [])
        if places[child][0] != places[parent][0] and parent not in row:
            row.append(parent)
    found = {parent: 0.5 for parent, _ in edges}
    for row in rows.values():
        found |= {parent: (n + 1) / (len(row) + 1) for n, parent in enumerate(row)}
    return found


def _paint_edge(axes: Axes, parent: Place, child: Place, height: float, *, is_strong: bool) -> None:
    """From the foot of a box to the head of another, across in the gap below the first."""
    (x0, y0), (x1, y1) = _corner(parent), _corner(child)
    x0, x1, y0 = x0 + WIDTH / 2, x1 + WIDTH / 2, y0 + HEIGHT
    across = y0 + GAP_Y * height
    axes.plot([x0, x0, x1, x1], [y0, across, across, y1], linewidth=2.6 if is_strong else 1.1,
              color=LIGHT["accent" if is_strong else "muted"], zorder=1)  # fmt: skip


def _paint_node(axes: Axes, place: Place, life: Life, *, is_best: bool) -> None:
    x, y = _corner(place)
    line = life.line
    box = FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=7")
    box.set(facecolor=LIGHT["accent" if is_best else "paper"])
    box.set(edgecolor=LIGHT["accent" if life.is_alive or is_best else "faint"])
    box.set_linewidth(2.4 if life.is_alive else 1.3)
    axes.add_patch(box)
    strength = 1.0 if life.is_alive or is_best else 0.75
    title = shorten(f"{line['generation']} · {line['operator']}", LETTERS)
    numbers = f"{percent(line['val_accuracy'])} · {count(line['remaining_weights'])}"
    paper, middle = LIGHT["paper"], y + HEIGHT / 2
    colour = paper if is_best else operator_colour(line["operator"])
    axes.text(x + 11, middle, title, va="center", size=10.5, weight="bold", color=colour,
              alpha=strength)  # fmt: skip
    axes.text(x + WIDTH - 11, middle, numbers, ha="right", va="center", size=10.5,
              color=paper if is_best else LIGHT["ink"], alpha=strength)  # fmt: skip
