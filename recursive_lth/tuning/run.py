"""A whole tuning: the study, the workers, and at the end the summary."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError
from recursive_lth.files import read_json, write_json
from recursive_lth.running.progress import Watch
from recursive_lth.running.run_folder import Resume
from recursive_lth.running.workers import connected, is_address, number_of
from recursive_lth.training import device as devices
from recursive_lth.training.datasets import DEFAULT_FOLDER
from recursive_lth.tuning import queue
from recursive_lth.tuning.cluster import Cluster, check_shared, cluster
from recursive_lth.tuning.crew import Crew, Work, crew
from recursive_lth.tuning.desk import absolute, check_url, locked
from recursive_lth.tuning.folder import TuningFolder, coordinated, joined
from recursive_lth.tuning.ranking import Row
from recursive_lth.tuning.serve import Place, origin_of, progress, serve, serve_far, work_once
from recursive_lth.tuning.study import opened
from recursive_lth.tuning.summary import rows, summarise

POLL = 0.5  # seconds between looks at the study


def tune(
    experiment: TuningExperiment,
    *,
    data_dir: Path | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    workers: str = "1",
    storage: str | None = None,
    heartbeat: int | None = None,
    resume: Resume = "auto",
    watch: Watch | None = None,
) -> Iterator[Row]:
    """Search over expansion policies: yield the row of each trial once it has ended.

    One worker is this process; more are processes of their own, a Dask scheduler's address means
    the workers of its cluster, and 0 leaves the work to those that join with `work`. A worker that
    is silent for six `heartbeat`s loses its trial to another. What was stopped goes on, a finished
    tuning only hands out what it found. At the end `summary.json` is written. Raises `InputError`
    where something does not fit.
    """
    size = None if is_address(workers) else number_of(workers, least=0)
    if heartbeat is not None and heartbeat < 1:
        raise InputError(f"--heartbeat must be at least 1 second, got {heartbeat}")
    if storage is not None:
        check_url(storage)
    stored = TuningFolder(out / experiment.folder_name)
    if resume != "never" and stored.is_finished:
        yield from read_json(stored.summary)["trials"]
        return
    origin = origin_of(experiment, data_dir, device)
    told: set[int] = set()
    with ExitStack() as stack:
        client = stack.enter_context(connected(workers)) if size is None else None
        if client is not None:
            client.run(check_shared, stored.url(storage), platform.node())
        folder, url = stack.enter_context(coordinated(experiment, out, storage, resume))
        desk = stack.enter_context(opened(url, experiment, origin, heartbeat=heartbeat))
        place = Place(desk, folder, data_dir, device)
        if size == 1:
            yield from _work(place, told, watch)
        else:
            with _members(place, size, origin, client) as members:
                yield from _follow(place, told, members, watch)
        _finish(place)


def work(
    path: Path,
    *,
    storage: str | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    watch: Watch | None = None,
) -> Iterator[Row]:
    """Join the tuning of a folder: run trials until the study has its number, yield their rows.

    The folder need not be on this machine where `storage` names the database. Whoever sees the
    last trial end writes the summary, so that no coordinator is needed.
    """
    folder, experiment, url = joined(path, storage)
    origin = origin_of(experiment, data_dir, device)
    with opened(url, experiment, origin, is_joining=True) as desk:
        place = Place(desk, folder, data_dir, device)
        told = {row["trial"] for row in rows(desk)}
        yield from _work(place, told, watch)
        if not folder.is_finished:
            _finish(place)


def _members(
    place: Place, size: int | None, origin: Mapping[str, Any], client: Any
) -> AbstractContextManager[Crew | Cluster]:
    """Those who work at a tuning: so many processes, or where no size is given a cluster's."""
    desk = place.desk
    if size is not None:
        here = partial(serve, folder=place.folder, data_dir=place.data_dir, device=place.device)
        return crew(size, Work(here, desk.url, desk.experiment, origin))
    return cluster(
        client,
        partial(
            serve_far,
            url=absolute(desk.url),
            home=platform.node(),
            experiment=desk.experiment,
            path=place.folder.path.absolute(),
            data_dir=(place.data_dir or DEFAULT_FOLDER).absolute(),
            device=place.device,
        ),
    )


def _work(place: Place, told: set[int], watch: Watch | None) -> Iterator[Row]:
    while not queue.is_finished(place.desk):
        work_once(place, watch)
        yield from _news(place, told)
    yield from _news(place, told)


def _follow(
    place: Place, told: set[int], members: Crew | Cluster, watch: Watch | None
) -> Iterator[Row]:
    """The news of a study that others work at; dead members of the crew are replaced."""
    desk = place.desk
    while not queue.is_finished(desk):
        members.tend(sum(map(len, queue.slots(desk).values())))
        yield from _news(place, told)
        if watch is not None:
            watch(progress(desk))
        sleep(POLL)
    yield from _news(place, told)


def _news(place: Place, told: set[int]) -> Iterator[Row]:
    """The rows of trials that have ended and were not told yet; the folder shows them too."""
    new = [row for row in rows(place.desk) if row["trial"] not in told]
    if new:
        with locked(place.desk.url):  # or an older view could be written over a newer one
            place.folder.show_trials(rows(place.desk))
    told |= {row["trial"] for row in new}
    yield from new


def _finish(place: Place) -> None:
    place.folder.show_trials(rows(place.desk))
    write_json(place.folder.summary, summarise(place.desk, devices.choose(place.device).type))
