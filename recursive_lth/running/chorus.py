"""Work side by side: functions run until each waits for a training, then all of these are trained.

A voice is a function in a greenlet: it stops where it asks for a training, deep inside, and goes on
there with the result. Voices never run at the same time, so nothing about them is left to chance.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from greenlet import greenlet

from recursive_lth.running.crew import Crew, here
from recursive_lth.running.fit import Fitted, Stop
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.train import fit_and_store
from recursive_lth.running.wanted import Wanted
from recursive_lth.ticket.ticket import Ticket


class Voice:
    """A function that runs beside others; `result` is there once it `is_done`."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self._greenlet = greenlet(self._sing)
        self._function = function

    def _sing(self) -> None:
        self.result = self._function()

    @property
    def is_done(self) -> bool:
        """True iff the function has returned."""
        return bool(self._greenlet.dead)

    def go_on(self, fitted: Fitted | None) -> Wanted | None:
        """Run until the next training is wanted; None at the end. Its errors are raised here."""
        self._greenlet.parent = greenlet.getcurrent()
        if self._greenlet:
            wanted: Wanted | None = self._greenlet.switch(fitted)
        else:
            wanted = self._greenlet.switch()
        return None if self.is_done else wanted


class Chorus:
    """Voices, and the trainings that they wait for."""

    def __init__(self, crew: Crew = here) -> None:
        self._crew = crew
        self._ready: deque[tuple[Voice, Fitted | None]] = deque()

    def add(self, function: Callable[[], Any]) -> Voice:
        """A new voice, which begins at the next turn."""
        voice = Voice(function)
        self._ready.append((voice, None))
        return voice

    def train(
        self, bench: Bench[Any], ticket: Ticket, job: Job, should_stop: Stop | None
    ) -> Fitted:
        """What `fit` gives, from within a voice: the others sing until it is there."""
        hub = greenlet.getcurrent().parent
        if hub is None:
            raise RuntimeError("a training of a chorus was asked for from outside any voice")
        fitted: Fitted = hub.switch(Wanted(bench, ticket, job, should_stop))
        return fitted

    def run(self) -> Iterator[None]:
        """Run all voices to their ends, handing over after each turn.

        What is trained in a turn is stored before any voice goes on, all or nothing: a run that is
        killed between trains the same company again, to the same bits.
        """
        while self._ready:
            waiting: list[tuple[Voice, Wanted]] = []
            while self._ready:
                voice, fitted = self._ready.popleft()
                wanted = voice.go_on(fitted)
                if wanted is not None:
                    waiting.append((voice, wanted))
            yield
            waiting.sort(key=lambda pair: _standing(pair[1].job))
            found = fit_and_store([wanted for _, wanted in waiting], self._crew)
            self._ready.extend(
                (voice, fitted) for (voice, _), fitted in zip(waiting, found, strict=True)
            )


def gather(items: list[Any], lines: Iterator[Any]) -> None:
    """Put what comes on a list, one by one: it is taken from while later ones are in training."""
    while (item := next(lines, None)) is not None:
        items.append(item)


def _standing(job: Job) -> tuple[str, ...]:
    """Where a training stands in its run, for an order that no resume changes."""
    return *(f"{value:>9}" for value in job.place.values()), job.name
