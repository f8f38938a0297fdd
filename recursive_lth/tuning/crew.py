"""Workers of a tuning as processes of this machine; who dies is replaced."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import Any

from sqlalchemy.engine import URL

from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError
from recursive_lth.tuning.desk import Desk
from recursive_lth.tuning.study import opened

STOPPED, REFUSED = 128 + signal.SIGTERM, 2
STRIKES = 4  # workers in a row that ended before any of them took a trial
SECONDS_TO_STOP = 30
Serve = Callable[[Desk], None]


@dataclass(frozen=True)
class Work:
    """All that a worker process needs, in a form that can be handed to it."""

    serve: Serve
    url: URL
    experiment: TuningExperiment
    origin: Mapping[str, Any]


class Strikes:
    """How many workers have ended since one last took a trial."""

    def __init__(self) -> None:
        self._count, self._taken = 0, -1

    def begin(self, taken: int) -> None:
        """Count anew where more attempts are taken than when this was last told."""
        if taken > self._taken:
            self._count, self._taken = 0, taken

    def add(self, ended: int) -> None:
        """So many more have."""
        self._count += ended

    def are_too_many(self, size: int) -> bool:
        """True iff that is more than `size` workers may; of none nobody can."""
        return size > 0 and self._count >= STRIKES * size


class Crew:
    """So many worker processes; `tend` puts another in the place of each that has died."""

    def __init__(self, size: int, work: Work) -> None:
        self._work, self._size = work, size
        self._context = multiprocessing.get_context("spawn")
        self._members: list[SpawnProcess] = []
        self._strikes = Strikes()

    def tend(self, taken: int) -> None:
        """Bring the crew to its size; `taken` is how many attempts the study has so far.

        Raises `InputError` where workers end before they take a trial.
        """
        dead = [member for member in self._members if not member.is_alive()]
        self._members = [member for member in self._members if member.is_alive()]
        self._strikes.begin(taken)
        self._strikes.add(sum(member.exitcode != 0 for member in dead))
        if self._strikes.are_too_many(self._size):
            raise InputError(
                "workers end before they take a trial; `recursive-lth worker FOLDER --debug` shows "
                "why"
            )
        while len(self._members) < self._size:
            member = self._context.Process(target=_serve, args=(self._work,), daemon=True)
            with _deaf_to_interrupts():
                member.start()
            self._members.append(member)

    def stop(self) -> None:
        """End all workers; each gives its trial back."""
        for member in self._members:
            member.terminate()
        for member in self._members:
            member.join(SECONDS_TO_STOP)
            if member.is_alive():
                member.kill()
                member.join()


@contextmanager
def crew(size: int, work: Work) -> Iterator[Crew]:
    """A crew that is stopped at the end, whatever the end is."""
    members = Crew(size, work)
    try:
        yield members
    finally:
        members.stop()


def _serve(work: Work) -> None:
    """A worker process: serves until the study is finished, or its coordinator is gone."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the trial is being given back
        raise SystemExit(STOPPED)

    signal.signal(signal.SIGTERM, stop)
    Thread(target=_follow_parent, daemon=True).start()
    status = 0
    try:
        with opened(work.url, work.experiment, work.origin, is_joining=True) as desk:
            work.serve(desk)
    except SystemExit:
        status = STOPPED
    except InputError as error:
        status = REFUSED
        print(f"recursive-lth worker: {error}", file=sys.stderr, flush=True)
    os._exit(status)  # all is closed; PyTorch would take itself apart for seconds


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Workers begun inside do not hear Ctrl-C, which goes to all: their coordinator stops them."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _follow_parent() -> None:
    """End this process, as a user would, once its coordinator has died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
