"""Work side by side: functions run until each waits for a training, and go on once it is done.

A voice is a function in a greenlet: it stops where it asks for a training, deep inside, and goes on
there with the result. Voices never run at the same time, so nothing about them is left to chance.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from greenlet import greenlet

from recursive_lth.running.crew import Crew
from recursive_lth.running.fit import Fitted, Stop
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.trainings import Trainings
from recursive_lth.running.wanted import Wanted
from recursive_lth.ticket.ticket import Ticket


class Voice:
    """A function that runs beside others; `result` is there once it `is_done`.

    One that `is_aside` trains once, and nothing follows from it.
    """

    def __init__(self, function: Callable[[], Any], *, is_aside: bool = False) -> None:
        self.result: Any = None
        self.is_aside = is_aside
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

    def __init__(self, crew: Crew | None = None) -> None:
        self._crew = crew
        self._ready: deque[tuple[Voice, Fitted | None]] = deque()
        self._waiting: dict[str, list[Voice]] = {}  # by the name of the job

    def add(self, function: Callable[[], Any], *, is_aside: bool = False) -> Voice:
        """A new voice, which begins at the next turn."""
        voice = Voice(function, is_aside=is_aside)
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
        """Run all voices to their ends, handing over each time that all of them wait."""
        trainings = Trainings(self._crew)
        while self._ready:
            trainings.want(self._sing())
            yield
            if trainings:
                for name, fitted in trainings.next().items():
                    self._ready.extend((voice, fitted) for voice in self._waiting.pop(name))

    def _sing(self) -> list[Wanted]:
        """Let all go on that can; what they want."""
        freed: list[Wanted] = []
        while self._ready:
            voice, fitted = self._ready.popleft()
            wanted = voice.go_on(fitted)
            if wanted is not None:
                freed.append(replace(wanted, is_aside=voice.is_aside))
                self._waiting.setdefault(wanted.job.name, []).append(voice)
        return freed


def gather(items: list[Any], lines: Iterator[Any]) -> None:
    """Put what comes on a list, one by one: it is taken from while later ones are in training."""
    while (item := next(lines, None)) is not None:
        items.append(item)
