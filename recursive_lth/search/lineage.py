"""The lineage as a family tree, its front of best tickets, and where the next growth starts."""

from collections.abc import Sequence

import networkx as nx

from recursive_lth.search.generation import Generation

START = "start"


def tree(lineage: Sequence[Generation]) -> "nx.DiGraph[str]":
    """Tickets as nodes named by digest, with their `generation`; edges from parent to child."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for turn in lineage:
        graph.add_node(turn.digest, turn=turn)
        if turn.parent:
            graph.add_edge(turn.parent, turn.digest)
    return graph


def ancestors(lineage: Sequence[Generation], digest: str) -> list[Generation]:
    """The tickets from the first one to this one, along parents."""
    by_digest = {turn.digest: turn for turn in lineage}
    path = [*nx.ancestors(tree(lineage), digest), digest]
    return sorted((by_digest[d] for d in path), key=lambda turn: turn.generation)


def tickets(lineage: Sequence[Generation]) -> list[Generation]:
    """The winning tickets: accepted, and not the dense start network."""
    return [turn for turn in lineage if turn.accepted and turn.operator != START]


def last_accepted(lineage: Sequence[Generation]) -> Generation:
    """The ticket that the next generation grows from."""
    return [turn for turn in lineage if turn.accepted][-1]


def best(lineage: Sequence[Generation]) -> Generation | None:
    """The winning ticket of best validation accuracy; ties go to the lower calibrated loss."""
    return max(
        tickets(lineage), key=lambda t: (t.val_accuracy, -t.val_calibrated_loss), default=None
    )


def front(lineage: Sequence[Generation]) -> list[Generation]:
    """The winning tickets that no other beats in validation accuracy, remaining weights and depth.

    More accuracy, fewer weights and more depth are better.
    """

    def merits(turn: Generation) -> tuple[float, int, int]:
        return (turn.val_accuracy, -turn.remaining_weights, turn.depth)

    def is_beaten(turn: Generation, other: Generation) -> bool:
        pairs = list(zip(merits(turn), merits(other), strict=True))
        return all(b >= a for a, b in pairs) and any(b > a for a, b in pairs)

    found = tickets(lineage)
    return [turn for turn in found if not any(is_beaten(turn, other) for other in found)]


def rejected_in_a_row(lineage: Sequence[Generation]) -> int:
    """How many tickets at the end of the lineage were rejected."""
    count = 0
    for turn in reversed(lineage):
        if turn.accepted:
            break
        count += 1
    return count
