"""What a trial of a tuning is judged by: one number out of a finished run of `grow`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any, Literal

from recursive_lth.errors import InputError
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import best


@dataclass(frozen=True)
class Objective:
    """Which way is better, and the number, of the lineage and its best ticket by validation."""

    direction: Literal["maximize", "minimize"]
    measure: Callable[[Sequence[Generation], Generation], float]


def summarise_run(lineage: Sequence[Generation], seed: int, folder: str) -> dict[str, Any]:
    """One finished run of `grow` in numbers: its best ticket by validation, and its whole cost.

    The test accuracy is reported and decides nothing. Raises `InputError` where no ticket was
    accepted.
    """
    ticket = best(lineage)
    if ticket is None:
        raise InputError(
            f"no ticket was accepted with seed {seed}: see {folder}, raise acceptance.margin or "
            "train for longer"
        )
    found = {name: o.measure(lineage, ticket) for name, o in OBJECTIVES.items()}
    return {
        "seed": seed,
        "folder": folder,
        "ticket": ticket.digest,
        "generation": ticket.generation,
        "depth": ticket.depth,
        "test_accuracy": ticket.test_accuracy,
        "seconds": sum(turn.seconds for turn in lineage),
        **found,
    }


def values(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[float]:
    """The objectives of a trial: means over its runs."""
    return [fmean(run[name] for run in runs) for name in names]


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "val_accuracy": Objective("maximize", lambda lineage, ticket: ticket.val_accuracy),
        "remaining_weights": Objective(
            "minimize", lambda lineage, ticket: ticket.remaining_weights
        ),
        "training_cost": Objective("minimize", lambda lineage, ticket: lineage[-1].training_cost),
    }
)
