"""Where the seconds of a run go."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Clock:
    """Adds up seconds by activity; one activity runs at a time, another may interrupt it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = perf_counter()
        self._activity = ""
        self._since = self._began

    @property
    def total(self) -> float:
        """Seconds since the clock was made."""
        return perf_counter() - self._began

    def start(self, activity: str) -> None:
        """Count from here on as this activity."""
        self.stop()
        self._activity, self._since = activity, perf_counter()

    def stop(self) -> None:
        """Count no activity from here on."""
        if self._activity:
            self.add(self._activity, perf_counter() - self._since)
        self._activity = ""

    def add(self, activity: str, seconds: float) -> None:
        """Count seconds that another process has spent."""
        self.seconds[activity] = self.seconds.get(activity, 0.0) + seconds

    @contextmanager
    def inside(self, activity: str) -> Iterator[None]:
        """Count the block as this activity, then go on with the one that it interrupts."""
        interrupted = self._activity
        self.start(activity)
        try:
            yield
        finally:
            self.stop()
            if interrupted:
                self.start(interrupted)
