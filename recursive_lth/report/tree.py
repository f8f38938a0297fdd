"""The lineage as a tree: every ticket that was found, and which of them led on."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from recursive_lth.report.canvas import LIGHT, bare_axes, draw_svg, operator_colour
from recursive_lth.report.population import most_alive
from recursive_lth.report.quantities import percent
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import Line, best, outcome

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 92, 42, 26, 16, 6
LETTERS = 13  # of a title that fits into a box
Place = tuple[int, int]  # column, row


def place_tickets(generations: Sequence[Line]) -> dict[str, Place]:
    """Column and row of each ticket by digest: generations run right, side branches lie below.

    The line of descent of the last accepted ticket keeps row 0; a branch takes the first row in
    which every column from its parent on is free.
    """
    columns = {n: x for x, n in enumerate(sorted({g["generation"] for g in generations}))}
    trunk = _trunk(generations)
    places: dict[str, Place] = {}
    taken: set[Place] = set()
    for line in sorted(generations, key=lambda g: g["digest"] not in trunk):
        column = columns[line["generation"]]
        parent_column, parent_row = places.get(line["parent"], (column - 1, 0))
        span = range(parent_column + 1, column + 1)
        row = 0 if line["digest"] in trunk else max(parent_row, 1)
        while any((x, row) in taken for x in span):
            row += 1
        places[line["digest"]] = column, row
        taken |= {(x, row) for x in span} | {(column, row)}
    return places


def _trunk(generations: Sequence[Line]) -> set[str]:
    """Digests of the last accepted ticket and its ancestors."""
    by_digest = {line["digest"]: line for line in generations}
    digest = next((line["digest"] for line in reversed(generations) if line["accepted"]), "")
    found = set()
    while digest in by_digest and digest not in found:
        found.add(digest)
        digest = by_digest[digest]["parent"]
    return found


def draw_tree(record: RunRecord) -> str | None:
    """SVG: the lineage, accepted path strong, rejected branches faded, the best ticket filled.

    None for a population, which has no one path: see `descent`.
    """
    if most_alive(record) > 1:
        return None
    places = place_tickets(record.generations)
    trunk = _trunk(record.generations)
    top = best(record)
    width = 2 * MARGIN + (1 + max(x for x, _ in places.values())) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + (1 + max(y for _, y in places.values())) * (HEIGHT + GAP_Y) - GAP_Y

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, height)
        for line in record.generations:
            if line["parent"] in places:
                ends = places[line["parent"]], places[line["digest"]]
                _paint_edge(axes, *ends, on_trunk=line["digest"] in trunk)
        for line in record.generations:
            _paint_node(axes, places[line["digest"]], line, is_best=line is top)

    return draw_svg("lineage of the tickets", width, height, paint)


def _corner(place: Place) -> tuple[float, float]:
    return MARGIN + place[0] * (WIDTH + GAP_X), MARGIN + place[1] * (HEIGHT + GAP_Y)


def _paint_edge(axes: Axes, parent: Place, child: Place, *, on_trunk: bool) -> None:
    (x0, y0), (x1, y1) = _corner(parent), _corner(child)
    x0, y0, y1 = x0 + WIDTH, y0 + HEIGHT / 2, y1 + HEIGHT / 2
    bend = x0 + GAP_X
    corners = [(x0, y0), (x0 + GAP_X / 2, y0), (x0 + GAP_X / 2, y1), (bend, y1), (x1, y1)]
    path = Path(corners, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO])
    patch = PathPatch(path, fill=False, edgecolor=LIGHT["accent" if on_trunk else "muted"])
    patch.set_linewidth(2.6 if on_trunk else 1.1)
    patch.set_linestyle("solid" if on_trunk else (0, (3, 2.5)))
    axes.add_patch(patch)


def shorten(title: str, letters: int) -> str:
    """A title that fits into a box."""
    return title if len(title) <= letters else f"{title[: letters - 1]}…"


def _paint_node(axes: Axes, place: Place, line: Line, *, is_best: bool) -> None:
    x, y = _corner(place)
    colour = operator_colour(line["operator"])
    strength = 0.55 if outcome(line) == "rejected" else 1.0
    box = FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=7")
    box.set(facecolor=LIGHT["accent" if is_best else "paper"], alpha=strength)
    box.set(edgecolor=LIGHT["accent" if is_best else "faint"], linewidth=1.3)
    axes.add_patch(box)
    ink = LIGHT["paper" if is_best else "ink"]
    soft = LIGHT["paper"] if is_best else colour
    middle = x + WIDTH / 2
    title = shorten(f"{line['generation']} · {line['operator']}", LETTERS)
    axes.text(middle, y + 14, title, ha="center", va="center", size=10.5, weight="bold", color=soft,
              alpha=strength)  # fmt: skip
    words = percent(line["val_accuracy"])
    axes.text(middle, y + 29, words, ha="center", va="center", size=10.5, color=ink, alpha=strength)
