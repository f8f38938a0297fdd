"""Which trials of a tuning are best, by its objectives; light enough for any reader."""

from collections.abc import Sequence
from typing import Any

from recursive_lth.search.lineage import undominated
from recursive_lth.tuning.objectives import OBJECTIVES

Row = dict[str, Any]  # a trial that has ended, as the folder shows it


def complete(found: Sequence[Row]) -> list[Row]:
    """The trials that have objectives."""
    return [row for row in found if row["objectives"] is not None]


def front(names: Sequence[str], found: Sequence[Row]) -> list[int]:
    """The trials that no other equals in every objective and exceeds in one."""
    done = complete(found)
    merits = [[sign(name) * row["objectives"][name] for name in names] for row in done]
    return [done[i]["trial"] for i in undominated(merits)]


def best(names: Sequence[str], found: Sequence[Row]) -> int | None:
    """The trial of best validation accuracy, or of the first objective without it; ties: first."""
    name, done = leading(names), complete(found)
    return (
        max(done, key=lambda row: sign(name) * row["objectives"][name])["trial"] if done else None
    )


def sign(name: str) -> int:
    """1 for an objective that had better be large, -1 for one that had better be small."""
    return 1 if OBJECTIVES[name].direction == "maximize" else -1


def leading(names: Sequence[str]) -> str:
    """The objective that the best trial is best in."""
    return "val_accuracy" if "val_accuracy" in names else names[0]
