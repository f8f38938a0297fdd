"""The top of the house: a whole run of recursive ticket growth, with its report at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from recursive_lth.config import (
    AnyExperiment,
    Experiment,
    StudyExperiment,
    TicketExperiment,
    TuningExperiment,
)
from recursive_lth.lottery import run as tickets
from recursive_lth.report.page import write_report
from recursive_lth.report.study_page import write_study_report
from recursive_lth.report.tickets_page import write_tickets_report
from recursive_lth.report.tuning_page import write_tuning_report
from recursive_lth.running.progress import Watch
from recursive_lth.running.run_folder import run_folder as run_folder_in
from recursive_lth.search import run
from recursive_lth.search.generation import Generation
from recursive_lth.search.policies.catalogue import with_policy
from recursive_lth.search.policies.past import Policy
from recursive_lth.study import run as studies
from recursive_lth.tuning import run as tuning


def grow(
    experiment: Experiment,
    *,
    data_dir: Path | str | None = None,
    out: Path | str = Path("runs"),
    device: str = "auto",
    resume: Literal["auto", "never", "must"] = "auto",
    workers: str | int = 1,
    watch: Watch | None = None,
    policy: Policy | None = None,
) -> Iterator[Generation]:
    """The generations of a run, each as soon as it is judged; at the end its report is written.

    A run that was stopped goes on where it stopped, and a finished one only hands out what it
    found, unless `resume` is "never"; "must" refuses to begin a new one. `watch` is called with
    the progress within a generation. `workers` is a number of processes that train candidates side
    by side, or the address of a Dask scheduler; a script that asks for more than one needs the
    usual `if __name__ == "__main__":`. `policy` is one of your own, a function from `Past` to a
    `Proposal` or None (`search.policies.past`), recorded as `python:` and its name: a run goes on
    only with the same again. Raises `InputError` for what the experiment or the data lack,
    `DamagedFileError` for a file of the run that is not what was written.
    """
    experiment = with_policy(experiment, policy)
    yield from run.grow(
        experiment,
        data_dir=_path(data_dir),
        out=Path(out),
        device=device,
        resume=resume,
        workers=str(workers),
        watch=watch,
        policy=policy,
    )
    _report(run_folder(experiment, out), write_report)


def prune(
    experiment: TicketExperiment,
    *,
    data_dir: Path | str | None = None,
    out: Path | str = Path("runs"),
    device: str = "auto",
    resume: Literal["auto", "never", "must"] = "auto",
    workers: str | int = 1,
    watch: Watch | None = None,
) -> Iterator[dict[str, Any]]:
    """The line of each network of a run of classic ticket finding, as soon as it is trained.

    Resuming, watching, workers and errors are as for `grow`.
    """
    yield from tickets.prune(
        experiment,
        data_dir=_path(data_dir),
        out=Path(out),
        device=device,
        resume=resume,
        workers=str(workers),
        watch=watch,
    )
    _report(run_folder(experiment, out), write_tickets_report)


def run_study(
    experiment: StudyExperiment,
    *,
    data_dir: Path | str | None = None,
    out: Path | str = Path("runs"),
    device: str = "auto",
    resume: Literal["auto", "never", "must"] = "auto",
    workers: str | int = 1,
    watch: Watch | None = None,
) -> Iterator[dict[str, Any]]:
    """What a study reads, a line for each moment; its verdicts and report are written at the end.

    `resume`, `workers` and `watch` as for `grow`. Raises `InputError` too where the arms of a
    contrast are not held against each other fairly.
    """
    yield from studies.study(
        experiment,
        data_dir=_path(data_dir),
        out=Path(out),
        device=device,
        resume=resume,
        workers=str(workers),
        watch=watch,
    )
    _report(run_folder(experiment, out), write_study_report)


def tune(
    experiment: TuningExperiment,
    *,
    data_dir: Path | str | None = None,
    out: Path | str = Path("runs"),
    device: str = "auto",
    workers: str | int = 1,
    storage: str | None = None,
    heartbeat: int | None = None,
    resume: Literal["auto", "never", "must"] = "auto",
    watch: Watch | None = None,
) -> Iterator[dict[str, Any]]:
    """The row of each trial of a search over expansion policies, as soon as it has ended.

    Workers, storage and heartbeat are as for the command; resuming, watching and errors as for
    `grow`. A script that starts several workers needs `if __name__ == "__main__":` around the call.
    """
    yield from tuning.tune(
        experiment,
        data_dir=_path(data_dir),
        out=Path(out),
        device=device,
        workers=str(workers),
        storage=storage,
        heartbeat=heartbeat,
        resume=resume,
        watch=watch,
    )
    _report(run_folder(experiment, out), write_tuning_report)


def work(
    folder: Path | str,
    *,
    storage: str | None = None,
    data_dir: Path | str | None = None,
    device: str = "auto",
    watch: Watch | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of the trials that end while this process joins the tuning of a folder."""
    yield from tuning.work(
        Path(folder), storage=storage, data_dir=_path(data_dir), device=device, watch=watch
    )
    _report(Path(folder), write_tuning_report)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


def _report(folder: Path, write: Callable[[Path], object]) -> None:
    """Write a run's report where it is missing, or older than its summary."""
    report, summary = folder / "report.html", folder / "summary.json"
    if not report.exists() or report.stat().st_mtime_ns < summary.stat().st_mtime_ns:
        write(folder)


def run_folder(
    experiment: AnyExperiment | TuningExperiment,
    out: Path | str = Path("runs"),
    *,
    policy: Policy | None = None,
) -> Path:
    """The folder that this experiment's run has, there or not; `policy` as given to `grow`."""
    if isinstance(experiment, TuningExperiment):
        return Path(out) / experiment.folder_name
    if isinstance(experiment, Experiment):
        experiment = with_policy(experiment, policy)
    return run_folder_in(experiment, Path(out)).path
