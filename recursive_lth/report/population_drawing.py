"""A population drawn: the front of accuracy and size that it keeps, and who lived when."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recursive_lth.report.canvas import FULL_WIDTH, LIGHT, draw_svg, place_legend, point_key
from recursive_lth.report.population import Life, lives_drawn
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import Line, best, outcome, start
from recursive_lth.report.ticks import set_accuracies, set_numbers

ROW = 24  # pixels of a life


def draw_population(record: RunRecord, lives: Sequence[Life]) -> str | None:
    """SVG: every ticket by remaining weights and validation accuracy, the living filled.

    None for a single lineage, or before a ticket has won.
    """
    if not lives:
        return None
    rejected = [line for line in record.generations if outcome(line) == "rejected"]
    top = best(record)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", h_pad=0.1)
        axes = figure.subplots()
        axes.set_title("Validation accuracy")
        axes.set_xlabel("remaining weights")
        won = [life.line["val_accuracy"] for life in lives]
        span = max(max(won) - min(won), 0.002)
        tried = [line["val_accuracy"] for line in rejected]
        low = max(min([*won, *tried]), min(won) - span / 2)  # what collapsed must not flatten all
        set_accuracies(axes, low, max([*won, *tried]))
        sizes = [line["remaining_weights"] for line in (*(life.line for life in lives), *rejected)]
        set_numbers(axes, axes.xaxis, sizes, is_share=False)
        axes.grid(visible=True, axis="both")
        _paint_front(axes, lives)
        _paint_rejected(axes, rejected, low)
        for life in lives:
            _paint_life(
                axes, life, is_best=top is not None and life.line["digest"] == top["digest"]
            )
        dense = start(record.generations)
        if dense is not None and axes.get_ylim()[0] < dense["val_accuracy"] < axes.get_ylim()[1]:
            axes.axhline(dense["val_accuracy"], color=LIGHT["muted"], linewidth=1,
                         linestyle=(0, (4, 3)))  # fmt: skip
        place_legend(axes, [
            Line2D([], [], color=LIGHT["accent"], linewidth=1.3, label="front"),
            point_key("o", LIGHT["accent"], LIGHT["accent"], "alive"),
            point_key("o", LIGHT["paper"], LIGHT["accent"], "won, no longer alive"),
            point_key("o", LIGHT["paper"], LIGHT["muted"], "rejected", size=5),
        ])  # fmt: skip

    return draw_svg("the population's accuracy against weights", FULL_WIDTH, 430, paint)


def front_of(lives: Sequence[Life]) -> list[tuple[int, float]]:
    """(weights, accuracy) of the winning tickets that no smaller one equals in accuracy."""
    edge: list[tuple[int, float]] = []
    found = [(life.line["remaining_weights"], life.line["val_accuracy"]) for life in lives]
    for weights, accuracy in sorted(found, key=lambda point: (point[0], -point[1])):
        if not edge or accuracy > edge[-1][1]:
            edge.append((weights, accuracy))
    return edge


def _paint_front(axes: Axes, lives: Sequence[Life]) -> None:
    """The front as steps, from the least size that is shown to the largest."""
    edge = front_of(lives)
    right = axes.get_xlim()[1]
    x = [edge[0][0], *(weights for weights, _ in edge), right]
    y = [axes.get_ylim()[0], *(accuracy for _, accuracy in edge), edge[-1][1]]
    axes.plot(x, y, color=LIGHT["accent"], linewidth=1.3, alpha=0.7, drawstyle="steps-post",
              zorder=2)  # fmt: skip


def _paint_rejected(axes: Axes, rejected: Sequence[Line], low: float) -> None:
    """Small hollow points, or triangles at the foot where they lie below the frame."""
    for line in rejected:
        is_shown = line["val_accuracy"] >= low
        axes.scatter(line["remaining_weights"], max(line["val_accuracy"], low),
                     s=30 if is_shown else 22, marker="o" if is_shown else "v",
                     facecolors=LIGHT["paper"], edgecolors=LIGHT["muted"], linewidths=1.1,
                     zorder=3)  # fmt: skip


def _paint_life(axes: Axes, life: Life, *, is_best: bool) -> None:
    """A ticket as a point; the living bear the number of their generation."""
    x, y = life.line["remaining_weights"], life.line["val_accuracy"]
    colour = LIGHT["accent"]
    fill = colour if life.is_alive else LIGHT["paper"]
    axes.scatter(x, y, s=240 if life.is_alive else 46, facecolors=fill, edgecolors=colour,
                 linewidths=1.3, zorder=5 if life.is_alive else 4)  # fmt: skip
    if is_best:
        axes.scatter(x, y, s=420, facecolors="none", edgecolors=colour, zorder=5)
    if life.is_alive:
        axes.annotate(str(life.line["generation"]), (x, y), ha="center", va="center_baseline",
                      size=9.5, weight="bold", color=LIGHT["paper"], zorder=6)  # fmt: skip


def draw_lives(record: RunRecord, lives: Sequence[Life]) -> str | None:
    """SVG: a bar for each winning ticket while it was alive, with a mark for each child.

    Of many those of `lives_drawn`. None for a single lineage, or before a ticket has won.
    """
    if not lives:
        return None
    shown = lives_drawn(lives)
    last = len(record.generations) - 1

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained", h_pad=0.1)
        axes = figure.subplots()
        axes.set_title("Who was alive when")
        for row, life in enumerate(shown):
            _paint_bar(axes, row, life, last)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0.4, last + 1.2)
        axes.set_yticks(range(len(shown)), [life.name for life in shown])
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_xlabel("generation")
        place_legend(axes, [
            Line2D([], [], color=LIGHT["accent"], linewidth=7, label="still alive"),
            Line2D([], [], color=LIGHT["muted"], linewidth=7, alpha=0.4, label="was alive"),
            point_key("o", LIGHT["ink"], LIGHT["ink"], "a child that won", size=6),
            point_key("o", LIGHT["paper"], LIGHT["ink"], "was rejected", size=6),
        ])  # fmt: skip

    return draw_svg("which tickets were alive when", FULL_WIDTH, 96 + ROW * len(shown), paint)


def _paint_bar(axes: Axes, row: int, life: Life, last: int) -> None:
    colour = LIGHT["accent" if life.is_alive else "muted"]
    strength = 1.0 if life.is_alive else 0.4
    for first, end in life.spans:
        stop = last + 1.2 if end == last else end + 1
        axes.plot([first, stop], [row, row], color=colour, alpha=strength, linewidth=8,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
    born = life.line["generation"]
    axes.scatter(born, row, s=52, marker="|", color=colour, linewidths=2, zorder=3)
    for child in life.children:
        fill = LIGHT["ink" if child["accepted"] else "paper"]
        axes.scatter(child["generation"], row, s=34, facecolors=fill, edgecolors=LIGHT["ink"],
                     linewidths=1.2, zorder=4)  # fmt: skip
