"""Where a run of ticket finding stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LevelProgress:
    """A moment of a run. `done` is the share of the planned training, never falling."""

    replicate: int = 0
    replicates: int = 0
    arm: str = ""
    level: int = 0
    levels: int = 0
    variant: str = ""
    step: int = 0
    steps: int = 0
    loss: float | None = None
    val_accuracy: float | None = None
    remaining_weights: int = 0
    depth: int = 0
    done: float = 0.0
