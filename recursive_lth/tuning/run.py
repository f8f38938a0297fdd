"""A whole tuning: the study, the workers, and at the end the summary."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError
from recursive_lth.files import read_json, write_atomic, write_json
from recursive_lth.running.machine import made_by
from recursive_lth.running.progress import Watch
from recursive_lth.running.run_folder import Resume
from recursive_lth.training import device as devices
from recursive_lth.tuning import queue
from recursive_lth.tuning.check import check_tuning
from recursive_lth.tuning.crew import Crew, Work, crew
from recursive_lth.tuning.desk import Desk, check_url, locked
from recursive_lth.tuning.folder import TuningFolder, coordinated, joined
from recursive_lth.tuning.progress import TuneProgress
from recursive_lth.tuning.pulse import Lost
from recursive_lth.tuning.ranking import Row
from recursive_lth.tuning.study import opened
from recursive_lth.tuning.summary import rows, summarise
from recursive_lth.tuning.trial import perform
from recursive_lth.tuning.undisturbed import undisturbed

POLL = 0.5  # seconds between looks at the study
PROBE = 2**20  # bytes that must have room in the folder


@dataclass(frozen=True)
class Place:
    """Where a process works at a tuning."""

    desk: Desk
    folder: TuningFolder
    data_dir: Path | None
    device: str


def tune(
    experiment: TuningExperiment,
    *,
    data_dir: Path | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    workers: int = 1,
    storage: str | None = None,
    heartbeat: int | None = None,
    resume: Resume = "auto",
    watch: Watch | None = None,
) -> Iterator[Row]:
    """Search over expansion policies: yield the row of each trial once it has ended.

    One worker is this process; more are processes of their own, and 0 leaves the work to those that
    join with `work`. A worker that is silent for six `heartbeat`s loses its trial to another. What
    was stopped goes on, a finished tuning only hands out what it found. At the end `summary.json`
    is written. Raises `InputError` where something does not fit.
    """
    if workers < 0:
        raise InputError(f"--workers must be 0 or more, got {workers}")
    if heartbeat is not None and heartbeat < 1:
        raise InputError(f"--heartbeat must be at least 1 second, got {heartbeat}")
    if storage is not None:
        check_url(storage)
    stored = TuningFolder(out / experiment.folder_name)
    if resume != "never" and stored.is_finished:
        yield from read_json(stored.summary)["trials"]
        return
    origin = _origin(experiment, data_dir, device)
    told: set[int] = set()
    with (
        coordinated(experiment, out, storage, resume) as (folder, url),
        opened(url, experiment, origin, heartbeat=heartbeat) as desk,
    ):
        place = Place(desk, folder, data_dir, device)
        if workers == 1:
            yield from _work(place, told, watch)
        else:
            serve = partial(_serve, folder=folder, data_dir=data_dir, device=device)
            with crew(workers, Work(serve, url, experiment, origin)) as members:
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
    origin = _origin(experiment, data_dir, device)
    with opened(url, experiment, origin, is_joining=True) as desk:
        place = Place(desk, folder, data_dir, device)
        told = {row["trial"] for row in rows(desk)}
        yield from _work(place, told, watch)
        if not folder.is_finished:
            _finish(place)


def _serve(desk: Desk, *, folder: TuningFolder, data_dir: Path | None, device: str) -> None:
    """What a worker process of a crew does; its coordinator tells what comes out."""
    while not queue.is_finished(desk):
        _work_once(Place(desk, folder, data_dir, device), None)


def _work(place: Place, told: set[int], watch: Watch | None) -> Iterator[Row]:
    while not queue.is_finished(place.desk):
        _work_once(place, watch)
        yield from _news(place, told)
    yield from _news(place, told)


def _follow(place: Place, told: set[int], members: Crew, watch: Watch | None) -> Iterator[Row]:
    """The news of a study that others work at; dead members of the crew are replaced."""
    desk = place.desk
    while not queue.is_finished(desk):
        members.tend(sum(map(len, queue.slots(desk).values())))
        yield from _news(place, told)
        if watch is not None:
            watch(_progress(desk))
        sleep(POLL)
    yield from _news(place, told)


def _work_once(place: Place, watch: Watch | None) -> None:
    """Take the next trial and run it; where none is free, wait a little."""
    desk, claim = place.desk, None
    try:
        with undisturbed():  # or a stop could come between taking a trial and knowing of it
            claim = queue.take(desk)
        if claim is None:
            sleep(desk.heartbeat / 4)
            return
        here = replace(_progress(desk), trial=claim.slot, runs=desk.experiment.tune.seeds)

        def listen(run: int, inner: Any) -> None:
            if watch is not None:
                watch(replace(here, run=run, inner=inner))

        runs = perform(
            desk,
            claim,
            place.folder.path,
            data_dir=place.data_dir,
            device=place.device,
            watch=listen,
        )
        with undisturbed():
            queue.finish(desk, claim, runs)
    except Lost:
        return
    except InputError as error:
        if claim is None:
            raise
        _refuse(place, claim, error)
    except (KeyboardInterrupt, SystemExit):
        if claim is not None:
            queue.give_back(desk, claim)
        raise
    except Exception as error:
        if claim is not None:
            queue.give_back(desk, claim, error=f"{type(error).__name__}: {error}")
        raise


def _refuse(place: Place, claim: queue.Claim, error: InputError) -> None:
    """Fail a trial that cannot be run; where the folder is at fault, give it back and stop."""
    probe = place.folder.path / f".probe-{claim.trial.number}"
    try:
        write_atomic(probe, bytes(PROBE)).unlink()
    except InputError:
        queue.give_back(place.desk, claim, error=str(error))
        raise
    queue.fail(place.desk, claim, str(error))


def _news(place: Place, told: set[int]) -> Iterator[Row]:
    """The rows of trials that have ended and were not told yet; the folder shows them too."""
    new = [row for row in rows(place.desk) if row["trial"] not in told]
    if new:
        with locked(place.desk.url):  # or an older view could be written over a newer one
            place.folder.show_trials(rows(place.desk))
    told |= {row["trial"] for row in new}
    yield from new


def _progress(desk: Desk) -> TuneProgress:
    standings = [queue.standing(attempts) for attempts in queue.slots(desk).values()]
    return TuneProgress(
        sum(standing in queue.FINISHED for standing in standings),
        desk.experiment.tune.trials,
        standings.count("running"),
    )


def _finish(place: Place) -> None:
    place.folder.show_trials(rows(place.desk))
    write_json(place.folder.summary, summarise(place.desk, devices.choose(place.device).type))


def _origin(experiment: TuningExperiment, data_dir: Path | None, device: str) -> dict[str, Any]:
    """What all workers must share; the experiment is checked on the way."""
    data = check_tuning(experiment, data_dir)
    return {"data": data.digest, **made_by(devices.choose(device).type)}
