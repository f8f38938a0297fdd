"""Every figure of a report, as SVG text."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from recursive_lth.report.candidates import draw_candidates
from recursive_lth.report.confirmation_drawing import draw_confirmations
from recursive_lth.report.curves import draw_curves
from recursive_lth.report.density import draw_density
from recursive_lth.report.descent import draw_descent
from recursive_lth.report.growth_drawing import draw_growth, draw_network
from recursive_lth.report.population import Life
from recursive_lth.report.population_drawing import draw_lives, draw_population
from recursive_lth.report.progress import draw_accuracy
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import Line, best, outcome
from recursive_lth.report.survival import draw_survival
from recursive_lth.report.table import describe_exchange, describe_growth
from recursive_lth.report.tree import draw_tree

MOST_OPEN = 3  # growths that a reader need not unfold


class GrowthFigure(NamedTuple):
    """One growth drawn; `is_open` says whether the page shows it unasked."""

    title: str
    badge: str  # what became of it, where it is no ticket
    is_open: bool
    svg: str


def draw_figures(record: RunRecord, lives: Sequence[Life]) -> dict[str, str]:
    """The SVG of each figure that has something to show; `lives` are those of a population."""
    if not record.generations:
        return {}
    drawn = {name: draw(record) for name, draw in FIGURES.items()}
    drawn |= {name: draw(record, lives) for name, draw in POPULATION_FIGURES.items()}
    return {name: svg for name, svg in drawn.items() if svg is not None}


def draw_growths(record: RunRecord) -> list[GrowthFigure]:
    """A drawing for each growth, in the order they were made; of one network where none grew."""
    by_digest = {line["digest"]: line for line in record.generations}
    grown = [line for line in record.generations if line["growth"] and line["parent"] in by_digest]
    newest = next((line for line in reversed(grown) if line["accepted"]), None)
    drawings = [
        GrowthFigure(
            title=" · ".join(
                words
                for words in (
                    f"Generation {line['generation']}: {describe_growth(line)}",
                    describe_exchange(line),
                )
                if words
            ),
            badge=_badge(line),
            is_open=line is newest or (line["accepted"] and len(grown) <= MOST_OPEN),
            svg=draw_growth(by_digest[line["parent"]], line),
        )
        for line in grown
    ]
    if not drawings and record.generations:
        line = best(record) or record.generations[0]
        title = f"Generation {line['generation']}: the network, which has not grown"
        drawings = [GrowthFigure(title, "", True, draw_network(line))]
    return drawings


def _badge(line: Line) -> str:
    return "" if line["accepted"] else outcome(line)


FIGURES: dict[str, Callable[[RunRecord], str | None]] = {
    "accuracy": draw_accuracy,
    "tree": draw_tree,
    "confirmations": draw_confirmations,
    "candidates": draw_candidates,
    "density": draw_density,
    "survival": draw_survival,
    "curves": draw_curves,
}
POPULATION_FIGURES: dict[str, Callable[[RunRecord, Sequence[Life]], str | None]] = {
    "population": draw_population,
    "lives": draw_lives,
    "descent": draw_descent,
}
