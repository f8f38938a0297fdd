"""The population of a run that keeps several lineages: who lived when, and with which children."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from recursive_lth.report.quantities import count, operations, percent
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import Line, accepted, grows_on
from recursive_lth.report.table import Table
from recursive_lth.search.generation import Generation
from recursive_lth.search.population import alive

MOST_TOLD = 6  # ancestors in a line of descent
MOST_DRAWN = 40  # lives in a figure that has a row or a box for each


@dataclass(frozen=True)
class Life:
    """A winning ticket, and what it was to its population.

    `spans` are the generations (first, last) after which it was alive: a child of the generation
    that follows could be its own. A ticket that others crowd out may return when they are beaten.
    """

    line: Line
    spans: tuple[tuple[int, int], ...]
    children: tuple[Line, ...]
    is_alive: bool

    @property
    def name(self) -> str:
        """Generation, accuracy and size."""
        line = self.line
        accuracy, weights = percent(line["val_accuracy"]), count(line["remaining_weights"])
        return f"{line['generation']} · {accuracy} · {weights}"


def most_alive(record: RunRecord) -> int:
    """How many tickets live on at most; 1 where a run has a single lineage."""
    return int(record.experiment.get("acceptance", {}).get("population", 1))


def read_lives(record: RunRecord) -> list[Life]:
    """The lives of a population's winning tickets in the order they were found.

    Who was alive is read off the lineage, as the search did. Empty for a single lineage.
    """
    most = most_alive(record)
    if most == 1:
        return []
    judged = rooted(record.generations)
    turns = [Generation.from_dict(line) for line in record.generations]
    front, living = list[Generation](), list[set[str]]()
    for turn in turns:
        front = alive([*front, turn], len(turns))  # who is beaten once is beaten for good
        living.append({one.digest for one in alive(front, most)})
    return [
        Life(
            line,
            _spans([n for n, those in enumerate(living) if line["digest"] in those]),
            tuple(child for child in judged if child["parent"] == line["digest"]),
            line["digest"] in living[-1],
        )
        for line in accepted(judged)
        if line["operator"] != "start"
    ]


def rooted(generations: Sequence[Line]) -> list[Line]:
    """What was judged, each below the ticket from which its row of growths began."""
    rows = {line["digest"]: line["parent"] for line in generations if grows_on(line)}
    found = []
    for line in generations:
        parent = line["parent"]
        while parent in rows:
            parent = rows[parent]
        if line["digest"] not in rows:
            found.append(line if parent == line["parent"] else {**line, "parent": parent})
    return found


def lives_drawn(lives: Sequence[Life]) -> list[Life]:
    """At most `MOST_DRAWN`, the living first and then the latest, in the order they were found."""
    ranked = sorted(lives, key=lambda life: (life.is_alive, life.line["generation"]), reverse=True)
    return sorted(ranked[:MOST_DRAWN], key=lambda life: life.line["generation"])


def _spans(present: list[int]) -> tuple[tuple[int, int], ...]:
    """Runs of neighbouring numbers, by their ends."""
    breaks = [(a, b) for a, b in pairwise(present) if b > a + 1]
    firsts = [*present[:1], *(b for _, b in breaks)]
    lasts = [*(a for a, _ in breaks), *present[-1:]]
    return tuple(zip(firsts, lasts, strict=True))


def living_table(record: RunRecord, lives: Sequence[Life]) -> Table:
    """A row for each living ticket, the most accurate first; `descent` are its latest ancestors."""
    headers = ["generation", "depth", "weights", "multiply-adds", "validation", "test"]
    living = [life for life in lives if life.is_alive]
    rows = []
    for life in sorted(living, key=lambda life: -life.line["val_accuracy"]):
        line = life.line
        won = sum(child["accepted"] for child in life.children)
        rows.append(
            [
                str(line["generation"]),
                str(line["depth"]),
                count(line["remaining_weights"]),
                operations(line["remaining_multiply_adds"]),
                percent(line["val_accuracy"]),
                percent(line["test_accuracy"]),
                f"{won} of {len(life.children)}",
                _descent(record, line),
            ]
        )
    return Table([*headers, "children won", "descent"], rows)


def _descent(record: RunRecord, line: Line) -> str:
    """A ticket and its ancestors by their generations, the oldest left out where there are many."""
    found, wanted = [line], line["parent"]
    for earlier in reversed(record.generations):  # parents come before their children
        if earlier["digest"] == wanted:
            found.append(earlier)
            wanted = earlier["parent"]
    path = [str(turn["generation"]) for turn in reversed(found)]
    return " → ".join(path if len(path) <= MOST_TOLD else ["…", *path[-MOST_TOLD:]])
