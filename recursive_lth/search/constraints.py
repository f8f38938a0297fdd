"""How large a grown network may become: its sizes, and by how much they exceed a space's limits."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from recursive_lth.architecture.cost import training_memory
from recursive_lth.config import Experiment, Space, Training
from recursive_lth.search.generation import Candidate
from recursive_lth.ticket.ticket import Ticket

LIMITS: Mapping[str, str] = MappingProxyType(  # key of [space] -> the size that it bounds
    {
        "max_parameters": "parameters",
        "max_multiply_adds": "multiply_adds",
        "max_depth": "depth",
        "max_memory": "memory",
    }
)
MOMENTS: Mapping[str, int] = MappingProxyType(  # tensors that an optimizer keeps of each, at most
    {"sgd": 1, "adam": 2, "adamw": 2}
)


def sizes(ticket: Ticket, recipe: Training) -> dict[str, int]:
    """What a ticket weighs as it stands, right after growth.

    `weights`, `parameters` and `multiply_adds` (a forward pass of one sample) are those that
    remain, by the convention of `architecture.cost`; `depth` counts layers with weights on the
    longest path; `memory` is the bytes that training it takes, dense, since masked weights are
    held too.
    """
    spent = ticket.cost
    return {
        "weights": spent.remaining_weights,
        "parameters": spent.remaining_parameters,
        "multiply_adds": spent.remaining_multiply_adds,
        "depth": ticket.architecture.depth,
        "memory": training_memory(
            ticket.architecture, batch=recipe.batch_size, moments=MOMENTS[recipe.optimizer]
        ),
    }


def sized(experiment: Experiment, candidate: Candidate, ticket: Ticket) -> Candidate:
    """The candidate with the sizes of its ticket; infeasible where a growth breaks a limit."""
    found = sizes(ticket, experiment.training)
    known = replace(candidate, sizes=found, constraints=violations(experiment.space, found))
    reason = why_infeasible(experiment.space, found)
    is_growth = candidate.asked is not None
    return replace(known, status="infeasible", reason=reason) if reason and is_growth else known


def violations(space: Space, sizes: Mapping[str, int]) -> dict[str, float]:
    """For each limit that a space sets, by what share of it a network exceeds it; <= 0 is feasible.

    Shares, so that amounts of unlike limits can be added up, as samplers do.

    >>> violations(Space(max_depth=4), {"depth": 5})
    {'max_depth': 0.25}
    """
    limits = {name: getattr(space, name) for name in LIMITS}
    return {name: sizes[LIMITS[name]] / limit - 1 for name, limit in limits.items() if limit}


def why_infeasible(space: Space, sizes: Mapping[str, int]) -> str:
    """The first limit that is broken, in words; empty where none is."""
    for name, amount in violations(space, sizes).items():
        if amount > 0:
            return f"{sizes[LIMITS[name]]} {LIMITS[name]}, space.{name} is {getattr(space, name)}"
    return ""
