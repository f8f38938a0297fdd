"""What a tuning tells while it works: how many trials are done, and where this one stands."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TuneProgress:
    """A moment of a tuning; `inner` is the progress of the run at hand, None in a coordinator.

    `done` is the share of the trials that are finished, with what this process has of its own.
    """

    finished: int
    trials: int
    running: int
    trial: int | None = None
    run: int = 0
    runs: int = 1
    inner: Any = None

    @property
    def done(self) -> float:
        """The share of all trials, for a bar."""
        part = 0.0 if self.inner is None else (self.run + self.inner.done) / self.runs
        return min(1.0, (self.finished + part) / self.trials)
