"""What a run tells while it works: where it stands and how much of it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol

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


Watch = Callable[[Any], None]


class Told(Protocol):
    """What a training tells of itself to."""

    def begin(self, part: int, **changes: Any) -> None: ...

    @property
    def is_due(self) -> bool: ...
    def trained(self, epochs: float, /) -> None: ...
    def tell(self, *, ahead: float = 0.0, **changes: Any) -> None: ...


class Meter:
    """Counts trained epochs against the plan and tells the watcher, at most five times a second.

    `planned` are the epochs of each part of the run in turn (a generation, a level); `now` is a
    frozen dataclass that has at least `done`, and a field for whatever is told.
    """

    def __init__(
        self, watch: Watch | None, planned: Sequence[float], now: Any | None = None
    ) -> None:
        self.is_in_turn = True  # false where parts go on side by side
        self._all = 0.0  # epochs of all parts
        self._watch = watch
        self._planned = planned
        self._part = 0
        self._trained = 0.0  # epochs of this part
        self._told = 0.0
        self.now = Progress(generations=len(planned) - 1) if now is None else now

    def begin(self, part: int, **changes: Any) -> None:
        """A new part starts."""
        self._part, self._trained = part, 0.0
        self.tell(**changes)

    def trained(self, epochs: float) -> None:
        """So many more epochs of this part are done."""
        self._trained += epochs
        self._all += epochs

    @property
    def is_due(self) -> bool:
        """True iff the watcher wants news."""
        return self._watch is not None and perf_counter() - self._told > SECONDS_BETWEEN

    def tell(self, *, ahead: float = 0.0, **changes: Any) -> None:
        """Tell what has changed; `ahead` are epochs trained that `trained` has not heard of yet."""
        if self._watch is None:
            return
        here = sum(self._planned[self._part : self._part + 1])
        before = sum(self._planned[: self._part])
        reached = (
            before + min(here, self._trained + ahead) if self.is_in_turn else self._all + ahead
        )
        done = reached / (sum(self._planned) or 1.0)
        self.now = replace(self.now, **changes, done=max(self.now.done, min(1.0, done)))
        self._told = perf_counter()
        self._watch(self.now)
