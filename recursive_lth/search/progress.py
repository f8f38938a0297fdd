"""What a run tells while it works: where it stands and how much of it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

SECONDS_BETWEEN = 0.2


@dataclass(frozen=True)
class Progress:
    """A moment of a run. `done` is the share of the planned training, never falling."""

    generation: int = 0
    generations: int = 0
    phase: str = ""
    candidate: int | None = None
    candidates: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    val_accuracy: float | None = None
    remaining_weights: int = 0
    depth: int = 0
    done: float = 0.0


Watch = Callable[[Progress], None]


class Meter:
    """Counts trained epochs against the plan and tells the watcher, at most five times a second."""

    def __init__(self, watch: Watch | None, planned: Sequence[float]) -> None:
        self._watch = watch
        self._planned = planned
        self._trained = 0.0  # epochs of this generation
        self._told = 0.0
        self.now = Progress(generations=len(planned) - 1)

    def begin(self, generation: int) -> None:
        """A new generation starts."""
        self._trained = 0.0
        self.tell(generation=generation, phase="begin", candidate=None)

    def trained(self, epochs: float) -> None:
        """So many more epochs of this generation are done."""
        self._trained += epochs

    @property
    def is_due(self) -> bool:
        """True iff the watcher wants news."""
        return self._watch is not None and perf_counter() - self._told > SECONDS_BETWEEN

    def tell(self, *, ahead: float = 0.0, **changes: object) -> None:
        """Tell what has changed; `ahead` are epochs trained that `trained` has not heard of yet."""
        if self._watch is None:
            return
        self.now = replace(self.now, **changes)  # type: ignore[arg-type]
        here = self._planned[self.now.generation : self.now.generation + 1]
        before = sum(self._planned[: self.now.generation])
        current = min(sum(here), self._trained + ahead)
        done = (before + current) / (sum(self._planned) or 1.0)
        self.now = replace(self.now, done=max(self.now.done, min(1.0, done)))
        self._told = perf_counter()
        self._watch(self.now)
