"""A worker of a tuning, wherever it is: it takes trials and runs them until all have ended."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep
from typing import Any

from sqlalchemy.engine import URL

from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError
from recursive_lth.files import write_atomic
from recursive_lth.running.machine import made_by
from recursive_lth.running.progress import Watch
from recursive_lth.training import device as devices
from recursive_lth.tuning import queue
from recursive_lth.tuning.check import check_tuning
from recursive_lth.tuning.cluster import Leave, check_folder, check_shared
from recursive_lth.tuning.desk import Desk
from recursive_lth.tuning.folder import TuningFolder
from recursive_lth.tuning.progress import TuneProgress
from recursive_lth.tuning.pulse import Lost
from recursive_lth.tuning.study import opened
from recursive_lth.tuning.trial import perform
from recursive_lth.tuning.undisturbed import undisturbed

PROBE = 2**20  # bytes that must have room in the folder


@dataclass(frozen=True)
class Place:
    """Where a process works at a tuning."""

    desk: Desk
    folder: TuningFolder
    data_dir: Path | None
    device: str


def serve(desk: Desk, *, folder: TuningFolder, data_dir: Path | None, device: str) -> None:
    """What a worker process of a crew does; its coordinator tells what comes out."""
    while not queue.is_finished(desk):
        work_once(Place(desk, folder, data_dir, device), None)


def serve_far(
    leave: Leave,
    *,
    url: URL,
    home: str,
    experiment: TuningExperiment,
    path: Path,
    data_dir: Path,
    device: str,
) -> None:
    """What a worker of a cluster does: it checks for itself that it can, then works like others."""
    check_shared(url, home)
    check_folder(path)
    origin = origin_of(experiment, data_dir, device)
    with opened(url, experiment, origin, is_joining=True) as desk:
        place = Place(desk, TuningFolder(path), data_dir, device)
        while not queue.is_finished(desk):
            leave(None)
            work_once(place, leave)


def work_once(place: Place, watch: Watch | None) -> None:
    """Take the next trial and run it; where none is free, wait a little."""
    desk, claim = place.desk, None
    try:
        with undisturbed():  # or a stop could come between taking a trial and knowing of it
            claim = queue.take(desk)
        if claim is None:
            sleep(desk.heartbeat / 4)
            return
        here = replace(progress(desk), trial=claim.slot, runs=desk.experiment.tune.seeds)

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


def progress(desk: Desk) -> TuneProgress:
    """How many trials are finished, and how many run."""
    standings = [queue.standing(attempts) for attempts in queue.slots(desk).values()]
    return TuneProgress(
        sum(standing in queue.FINISHED for standing in standings),
        desk.experiment.tune.trials,
        standings.count("running"),
    )


def origin_of(experiment: TuningExperiment, data_dir: Path | None, device: str) -> dict[str, Any]:
    """What all workers must share; the experiment is checked on the way."""
    data = check_tuning(experiment, data_dir)
    return {"data": data.digest, **made_by(devices.choose(device).type)}
