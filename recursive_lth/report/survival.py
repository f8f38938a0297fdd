"""How the weights of each generation fare: which of them remain after the prunings that follow."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, bare_axes, draw_svg, operator_colour
from recursive_lth.report.quantities import UNKNOWN, count, percent
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import Line, accepted
from recursive_lth.report.table import Table, describe_growth

LEFT, TOP, BAR, FOOT = 100, 52, 230, 30  # pixels


def told(record: RunRecord) -> list[Line]:
    """The accepted tickets whose lines say when their weights were born."""
    return [line for line in accepted(record.generations) if line.get("survivors")]


def draw_survival(record: RunRecord) -> str | None:
    """SVG: a bar for each accepted ticket, parted by the generation its weights were born in.

    None where the lineage does not say it.
    """
    tickets = told(record)
    if not tickets:
        return None
    operators = {str(line["generation"]): line["operator"] for line in record.generations}
    cell = min(84.0, max(22.0, (FULL_WIDTH - LEFT) / len(tickets)))
    width, height = LEFT + cell * len(tickets) + 4, TOP + BAR + FOOT

    def paint(figure: Figure) -> None:
        axes = bare_axes(figure, width, height)
        axes.text(0, 12, "Weights by the generation of their birth", weight="bold", size=12,
                  va="center")  # fmt: skip
        for y, words in ((TOP - 12, "weights"), (TOP + BAR + 16, "generation")):
            axes.text(LEFT - 10, y, words, ha="right", va="center", color=LIGHT["muted"])
        for x, line in enumerate(tickets):
            _paint_bar(axes, LEFT + x * cell, cell, line, operators)

    return draw_svg("remaining weights by the generation of their birth", width, height, paint)


def _paint_bar(axes: Axes, x: float, cell: float, line: Line, operators: dict[str, str]) -> None:
    """One ticket's bar, the oldest weights at its foot, its generation below, its size above."""
    total, y = sum(line["survivors"].values()), float(TOP + BAR)
    size = 10.5 if cell >= 40 else 8
    for birth, number in line["survivors"].items():
        h = BAR * number / total
        y -= h
        part = Rectangle((x + 2, y + 0.75), cell - 4, max(h - 1.5, 0.5), linewidth=0, alpha=0.42)
        part.set_facecolor(operator_colour(operators.get(birth, "none")))
        axes.add_patch(part)
        if h >= 14:
            share = f"{birth}: {percent(number / total, digits=0)}" if cell >= 66 else birth
            axes.text(x + cell / 2, y + h / 2, share, ha="center", va="center", size=size)
    for base, words in ((TOP - 12, count(total)), (TOP + BAR + 16, str(line["generation"]))):
        axes.text(x + cell / 2, base, words, ha="center", va="center", size=size,
                  color=LIGHT["muted"])  # fmt: skip


def survival_table(record: RunRecord) -> Table:
    """A row for each generation that brought weights: how many at birth, how many remain."""
    tickets = told(record)
    headers = ["born in", "by", "at birth", "in its ticket", "in the last ticket", "survived"]
    headers += ["share of the last ticket"]
    if not tickets:
        return Table(headers, [])
    last = tickets[-1]["survivors"]
    rows = []
    for line in tickets:
        if line["operator"] == "none":
            continue  # it has only pruned
        birth, born = str(line["generation"]), _at_birth(line)
        left = last.get(birth, 0)
        rows.append(
            [
                birth,
                describe_growth(line),
                UNKNOWN if born is None else count(born),
                count(line["survivors"].get(birth, 0)),
                count(left),
                percent(left / born if born else None, digits=1),
                percent(left / sum(last.values()), digits=1),
            ]
        )
    return Table(headers, rows)


def _at_birth(line: Line) -> int | None:
    """How many weights a generation brought, before any of them was pruned; None if not known."""
    if line["operator"] == "start":
        return int(line["remaining_weights"])
    born = line["growth"].get("born_weights")
    return None if born is None else int(born)
