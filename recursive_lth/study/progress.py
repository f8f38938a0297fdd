"""Where a study stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StudyProgress:
    """A moment of a study. `done` is the share of the planned work, never falling.

    Work is passes through the data, by trainings and by measures; `read` of `readings` moments have
    been read.
    """

    phase: str = ""  # "arms", then "panel"
    seed: int = 0
    seeds: int = 0
    arm: str = ""
    training: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    val_accuracy: float | None = None
    remaining_weights: int = 0
    depth: int = 0
    read: int = 0
    readings: int = 0
    done: float = 0.0
