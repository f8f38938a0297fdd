"""Workers: processes beside this one, or machines of a cluster, that do trainings for a run.

What is trained where changes no bit: companies are formed before, each pins its own number of
threads, and what follows from a company depends on it alone. A killed worker's errand is done again
by another; one that has killed several is handed back as such (`trainings.Trainings`).
"""

import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from multiprocessing import forkserver
from typing import Any

from recursive_lth.errors import InputError
from recursive_lth.running.crew import Crew, Found, Here, fit_here
from recursive_lth.running.errand import Brought, Errand, errand_of, make_ready, perform
from recursive_lth.running.job import Source
from recursive_lth.running.wanted import Company

MOST_WORKERS = 1024
MOST_KILLED = 3  # workers that one errand may take down
TOPIC = "recursive-lth"
# Dask's own has memory given back at every step; and so would the arena of the thread of an errand
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
PATIENCE = "24h"  # with a worker that is gone: Dask's 15 s give one up whose start takes longer
SECONDS_BETWEEN = 0.5
SECONDS_TO_ANSWER = 10
FORKED = "forkserver"
IMPORTED = ("distributed", "recursive_lth.running.workers")
ADDRESSES = ("tcp://", "tls://", "ucx://")


def prepare(workers: str) -> None:
    """Begin to import what the workers of this machine need, beside this process, which goes on.

    Raises `InputError` where `--workers` is neither a number nor an address.
    """
    if is_address(workers) or number_of(workers, least=1) == 1 or _method() != FORKED:
        return
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)  # as a nanny does, in time for what is imported
    try:
        forkserver.ensure_running()
    finally:
        for name in ENVIRONMENT:
            os.environ.pop(name)
        os.environ.update(before)


@contextmanager
def crew_of(workers: str, source: Source[Any] | None = None, *, most: int = 0) -> Iterator[Crew]:
    """The crew that `--workers` names: "1" is this process, "4" as many more, tcp://... a cluster.

    The data of a `source` are loaded by the `most` workers that will be wanted at once, while this
    process goes on.
    Raises `InputError` where it is neither a number nor an address, or nobody answers there.
    """
    if workers == "1":
        yield Here()
        return
    size = 0 if is_address(workers) else number_of(workers, least=1)
    import dask

    quiet: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": MOST_KILLED,
        "distributed.admin.large-graph-warning-threshold": "1GiB",
        "distributed.admin.tick.interval": "1s",  # by default clocks take hundredths of a core
        "distributed.admin.system-monitor.interval": "10s",
        "distributed.deploy.lost-worker-timeout": PATIENCE,
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
        "distributed.worker.profile.enabled": False,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
    }
    if size:
        quiet["distributed.worker.multiprocessing-method"] = _method()
    with dask.config.set(quiet), ExitStack() as stack:
        place = stack.enter_context(closing(_local(size))) if size else workers
        client = stack.enter_context(connected(place))
        readied = [] if source is None else _readied(client, source, most)
        crew = _Dask(client)
        stack.callback(crew.cancel)
        yield crew
        client.cancel(readied)


def is_address(workers: str) -> bool:
    """True iff `--workers` names a Dask scheduler."""
    return workers.startswith(ADDRESSES)


def number_of(workers: str, *, least: int) -> int:
    """The number that `--workers` is. Raises `InputError` where it is none, or below the least."""
    if not (workers.isdecimal() and least <= int(workers) <= MOST_WORKERS):
        raise InputError(
            f"--workers takes a number from {least} to {MOST_WORKERS} or a Dask scheduler's "
            f"address such as tcp://127.0.0.1:8786, got {workers!r}"
        )
    return int(workers)


@contextmanager
def connected(place: Any) -> Iterator[Any]:
    """A client of a Dask cluster, or of the scheduler at an address, closed at the end.

    Raises `InputError` where nobody answers there.
    """
    from distributed import Client

    try:
        client = Client(place, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except OSError:
        raise InputError(
            f"no Dask scheduler answers at {place}: start one with `dask scheduler`"
        ) from None
    try:
        yield client
    finally:
        client.close()


def _local(workers: int) -> Any:
    """A cluster of processes beside this one; a worker killed as it starts is started again.

    Raises `InputError` where none can be started.
    """
    from distributed import LocalCluster

    for _ in range(MOST_KILLED):
        try:
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError as error:
            reason = error
    raise InputError(
        f"{workers} workers cannot be started ({reason}): use fewer --workers; a script needs "
        '`if __name__ == "__main__":` around what starts them'
    )


def _readied(client: Any, source: Source[Any], most: int) -> list[Any]:
    """Errands to make ready, each pinned to a worker, for at most so many of them.

    What goes wrong there, trainings will say. The list keeps them wanted.
    """
    return [
        client.submit(make_ready, source, workers=[address], pure=False)
        for address in islice(client.nthreads(), most)
    ]


def _method() -> str:
    """How processes are started: as copies of one that has imported, once, what all of them need.

    Where the system cannot, each imports for itself, which takes seconds.
    """
    if FORKED not in multiprocessing.get_all_start_methods():
        return "spawn"
    import dask
    from distributed.utils import get_mp_context

    with dask.config.set({"distributed.worker.multiprocessing-method": FORKED}):
        get_mp_context()  # has imports of its own in mind, but only the first time
    multiprocessing.get_context(FORKED).set_forkserver_preload(list(IMPORTED))
    return FORKED


class _Dask:
    """A crew of Dask workers; what cannot travel is done here meanwhile."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._waiting, self._staying = deque[Company](), deque[Company]()
        self._away = dict[Any, Company]()
        self._ahead = dict[str, float]()
        self._news: deque[tuple[str, float, dict[str, Any]]] = deque()
        client.subscribe_topic(TOPIC, lambda event: self._news.append(event[1]))

    def begin(self, company: Company) -> None:
        """Hand it out as soon as a worker is free."""
        can_travel = all(one.is_portable for one in company.members)
        (self._waiting if can_travel else self._staying).append(company)
        self._hand_out()

    def next(self) -> tuple[Company, Found]:
        """What must stay is done first; then take what comes back."""
        from distributed import wait

        self._hand_out()
        if self._staying:
            company = self._staying.popleft()
            return company, fit_here(company)
        while True:
            try:
                with self._client.as_current():
                    wait(list(self._away), timeout=SECONDS_BETWEEN, return_when="FIRST_COMPLETED")
            except TimeoutError:
                self._tell(next(iter(self._away.values())))
                self._hand_out()  # workers may have joined
                continue
            future = next((future for future in self._away if future.done()), None)
            if future is None:  # what it had found was lost with its worker
                continue
            company = self._away.pop(future)
            self._ahead.pop(future.key, None)
            self._hand_out()
            return company, _brought(company, future)

    def cancel(self) -> None:
        """Nobody waits for what is still away."""
        self._client.cancel(list(self._away), force=True)

    def _hand_out(self) -> None:
        """One errand for each thread of a worker, so that whoever is free first takes the next.

        All of them where this process is about to be busy itself.
        """
        if not self._waiting:
            return
        threads = max(1, sum(self._client.nthreads().values()))
        while self._waiting and (self._staying or len(self._away) < threads):
            company = self._waiting.popleft()
            self._away[self._client.submit(_travel, errand_of(company), pure=False)] = company

    def _tell(self, company: Company) -> None:
        """Tell the run's watcher what the workers have told."""
        changes: dict[str, Any] = {}
        away = {future.key for future in self._away}
        while self._news:
            name, epochs, what = self._news.popleft()
            if name in away:
                self._ahead[name] = epochs
                changes |= what
        if changes:
            company.members[0].bench.meter.tell(ahead=sum(self._ahead.values()), **changes)


def _travel(errand: Errand) -> Brought:
    """Runs in the worker."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    return perform(errand, lambda ahead, what: worker.log_event(TOPIC, (key, ahead, what)))


def _brought(company: Company, future: Any) -> Found:
    """What an errand has brought; its epochs and seconds are booked as the run's own."""
    from distributed.scheduler import KilledWorker

    bench = company.members[0].bench
    try:
        brought: Brought = future.result()
    except KilledWorker as error:
        return error.allowed_failures + 1
    for activity, seconds in brought.seconds.items():
        bench.clock.add(activity, seconds)
    for one, fitted in zip(company.members, brought.fits, strict=True):
        bench.meter.trained(fitted.steps / one.bench.per_epoch(one.job.recipe))
    return brought.fits
