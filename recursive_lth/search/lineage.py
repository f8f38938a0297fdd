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


def next_parent(lineage: Sequence[Generation], backtrack: int = 0) -> Generation:
    """The ticket that the next generation grows from: the last accepted one, or an earlier one.

    After `backtrack` rejected tickets in a row (0 = never) a parent is spent, and growth goes on
    from the best winning ticket of the lineage that is not: of most validation accuracy, then of
    least calibrated loss. That may be a dead branch's end, or a ticket whose child was accepted and
    is spent now. Each ticket is spent once, so that growth cannot circle; where all are, or where
    nothing has won yet, the parent stays as it is. Only what is written in the lineage decides.
    """
    here, misses, spent = lineage[0], 0, set[str]()
    for number, turn in enumerate(lineage[1:], start=2):
        if turn.accepted:
            here, misses = turn, 0
        if turn.accepted or turn.grows_on:
            continue
        misses += 1
        if misses == backtrack:
            spent.add(here.digest)
            earlier = [past for past in lineage[:number] if past.digest not in spent]
            found = best(earlier)
            here, misses = (found, 0) if found else (here, misses)
    return here


def best(lineage: Sequence[Generation]) -> Generation | None:
    """The winning ticket of best validation accuracy; ties go to the lower calibrated loss."""
    return max(
        tickets(lineage), key=lambda t: (t.val_accuracy, -t.val_calibrated_loss), default=None
    )


def front(lineage: Sequence[Generation]) -> list[Generation]:
    """The winning tickets that no other beats in validation accuracy, remaining weights and depth.

    More accuracy, fewer weights and more depth are better.
    """

    found = tickets(lineage)
    merits = [(turn.val_accuracy, -turn.remaining_weights, turn.depth) for turn in found]
    return [found[i] for i in undominated(merits)]


def undominated(merits: Sequence[Sequence[float]]) -> list[int]:
    """The places of those that no other equals in every merit and exceeds in one.

    >>> undominated([(0.9, -100), (0.8, -100), (0.8, -50)])
    [0, 2]
    """

    def is_beaten(one: Sequence[float]) -> bool:
        return any(
            tuple(other) != tuple(one) and all(b >= a for a, b in zip(one, other, strict=True))
            for other in merits
        )

    return [i for i, one in enumerate(merits) if not is_beaten(one)]


def rejected_in_a_row(lineage: Sequence[Generation]) -> int:
    """How many tickets at the end of the lineage were rejected."""
    count = 0
    for turn in reversed(lineage):
        if turn.accepted:
            break
        count += not turn.grows_on
    return count
