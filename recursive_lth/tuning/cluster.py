"""Workers of a tuning on a Dask cluster: whoever is there runs trials, one at a time.

What a killed worker had in hand is no task of Dask's but a trial of the queue: its heartbeats end,
and the next worker to look takes it over.
"""

import asyncio
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from sqlalchemy.engine import URL

from recursive_lth.errors import InputError
from recursive_lth.tuning.crew import SECONDS_TO_STOP, STOPPED, Strikes

GONE = (OSError, RuntimeError)  # what a client raises without its scheduler, and once it gave up
Leave = Callable[[Any], None]  # raises `SystemExit` once a worker is no longer wanted
Stint = Callable[[Leave], None]  # runs trials until it is to leave

_at_work = Lock()  # held by the thread of this process that runs trials: PyTorch's settings are one


class Cluster:
    """A task for each worker of the cluster; `tend` gives one to those that are new."""

    def __init__(self, client: Any, serve: Stint) -> None:
        self._client, self._serve = client, serve
        self._tasks: dict[str, Any] = {}  # futures by their workers' addresses
        self._strikes, self._size = Strikes(), 0

    def tend(self, taken: int) -> None:
        """Have every worker at work; `taken` is how many attempts the study has so far.

        Raises `InputError` where a worker cannot join, where workers end before they take a trial,
        or where the scheduler is gone.
        """
        there = self._workers()
        self._size = max(self._size, len(there))
        self._strikes.begin(taken)
        for address, task in list(self._tasks.items()):
            if address in there and not task.done():
                continue
            error = task.exception() if task.status == "error" else None
            if isinstance(error, InputError):
                raise InputError(f"the worker at {address} cannot run trials: {error}")
            self._client.cancel([self._tasks.pop(address)], force=True)
            self._strikes.add(address not in there or error is not None)
            if self._strikes.are_too_many(self._size):
                why = "killed" if error is None else f"{type(error).__name__}: {error}"
                raise InputError(f"the cluster's workers end before they take a trial ({why})")
        for address in sorted(there - set(self._tasks)):
            self._tasks[address] = self._client.submit(
                _travel, self._serve, workers=[address], pure=False
            )

    def stop(self) -> None:
        """Send all workers away; each gives its trial back."""
        tasks = list(self._tasks.values())
        with suppress(*GONE):  # without a scheduler there is nobody left to wait for
            self._client.cancel(tasks, force=True)
            keys = [task.key for task in tasks]
            self._client.run(_rested, keys, workers=list(self._tasks), on_error="ignore")

    def _workers(self) -> set[str]:
        try:
            return set(self._client.nthreads())
        except GONE:
            raise InputError(
                "the Dask scheduler is gone: start it again, then the same command goes on"
            ) from None


@contextmanager
def cluster(client: Any, serve: Stint) -> Iterator[Cluster]:
    """The workers of a cluster, sent away at the end, whatever the end is."""
    members = Cluster(client, serve)
    try:
        yield members
    finally:
        members.stop()


def check_shared(url: URL, home: str) -> None:
    """Raise `InputError` where this machine is to share a SQLite file with another, `home`."""
    here = platform.node()
    if url.get_backend_name() == "sqlite" and here != home:
        raise InputError(
            f"{here} cannot share a SQLite file with {home}: name a database that both reach, "
            "--storage postgresql+psycopg://USER@HOST/DATABASE"
        )


def check_folder(path: Path) -> None:
    """Make a tuning's folder on a worker's machine. Raises `InputError` where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {path} on {platform.node()}: {error.strerror}; choose another folder "
            "with --out"
        ) from None


def _travel(serve: Stint) -> None:
    """Runs in the worker: trials, one at a time however many threads it has."""
    from distributed import Status, get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def leave(place: Any = None) -> None:
        task = worker.state.tasks.get(key)
        is_wanted = task is not None and task.state == "executing"  # or its coordinator is gone
        if not is_wanted or worker.status not in (Status.running, Status.paused):
            raise SystemExit(STOPPED)

    with _at_work, suppress(SystemExit):
        leave()
        serve(leave)


async def _rested(keys: Sequence[str], dask_worker: Any) -> None:
    """Runs in the worker, beside its tasks: ends when these are gone, their trials given back."""
    ends = monotonic() + SECONDS_TO_STOP
    while any(key in dask_worker.state.tasks for key in keys) and monotonic() < ends:
        await asyncio.sleep(0.05)
