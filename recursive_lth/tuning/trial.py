"""One trial: the runs of `grow` that its values ask for, recalled where they are finished."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from filelock import FileLock, Timeout
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from recursive_lth.config import Experiment
from recursive_lth.files import write_atomic
from recursive_lth.running.progress import Watch
from recursive_lth.running.run_folder import run_folder
from recursive_lth.search.generation import read_lineage
from recursive_lth.search.run import grow
from recursive_lth.tuning.desk import GRACE, Desk
from recursive_lth.tuning.objectives import summarise_run
from recursive_lth.tuning.pulse import Lost, Pulse
from recursive_lth.tuning.queue import REACHED, Claim
from recursive_lth.tuning.undisturbed import undisturbed
from recursive_lth.tuning_file import tuned

POLL = 0.5  # seconds between looks at a lock


def experiments(desk: Desk, claim: Claim) -> list[Experiment]:
    """The experiments of `grow` that a trial runs: one for each selection seed."""
    first = tuned(desk.experiment, claim.values)
    return [replace(first, seed=first.seed + r) for r in range(desk.experiment.tune.seeds)]


def perform(
    desk: Desk,
    claim: Claim,
    folder: Path,
    *,
    data_dir: Path | None,
    device: str,
    watch: Callable[[int, Any], None],
) -> list[dict[str, Any]]:
    """The runs of a trial in numbers. `watch` hears of the progress of each.

    A run that another attempt or another trial of the same values left in the folder goes on where
    it stands; one that is finished is not computed again. Raises `Lost` where others have taken the
    trial over, and what `grow` raises.
    """
    wanted = experiments(desk, claim)
    reached, found = 0, []
    with Pulse(desk, claim) as pulse, _alone(desk, claim, pulse, folder, wanted[0]) as out:
        for number, experiment in enumerate(wanted):
            for _ in grow(
                experiment,
                data_dir=data_dir,
                out=out,
                device=device,
                watch=_watching(pulse, watch, number),
            ):
                pulse.check()
                reached += 1
                _note(claim, reached)
            run = run_folder(experiment, out)
            path = run.path.relative_to(folder).as_posix()
            found.append(summarise_run(read_lineage(run), experiment.seed, path))
        pulse.check()
    return found


def _watching(pulse: Pulse, watch: Callable[[int, Any], None], number: int) -> Watch:
    def listen(progress: Any) -> None:
        pulse.check()
        watch(number, progress)

    return listen


def _note(claim: Claim, reached: int) -> None:
    """Record how far a trial has come, so that a kill can be told from a trial that kills.

    A stop waits until it is written: amid that it would leave the database locked to this worker
    itself, which could not give its trial back.
    """
    try:
        with undisturbed():
            claim.trial.set_user_attr(REACHED, reached)
    except UpdateFinishedTrialError:
        raise Lost from None


@contextmanager
def _alone(
    desk: Desk, claim: Claim, pulse: Pulse, folder: Path, experiment: Experiment
) -> Iterator[Path]:
    """The folder for a trial's runs, where nobody else is at work on the same ones.

    Where another trial has the same values, this waits until it has ended, and will find its runs
    finished. A worker that was taken for dead and only sleeps may hold them too: after the grace of
    a heartbeat it is passed by, with runs of our own. Who holds them stands beside the lock.
    """
    shared = folder / "trials"
    locks = shared / ".taken"
    locks.mkdir(parents=True, exist_ok=True)
    lock, began = FileLock(locks / experiment.folder_name), monotonic()
    holder = locks / f"{experiment.folder_name}.holder"
    while True:
        try:
            lock.acquire(timeout=POLL)
            break
        except Timeout:
            pulse.check()
        if _is_running(desk, holder):
            began = monotonic()
        elif monotonic() - began > GRACE * desk.heartbeat:
            yield folder / "trials" / f"attempt-{claim.trial.number}"
            return
    try:
        write_atomic(holder, str(claim.trial.number))
        yield shared
    finally:
        lock.release()


def _is_running(desk: Desk, holder: Path) -> bool:
    """True iff the attempt whose number is written there is running."""
    number = holder.read_text("utf-8") if holder.exists() else ""
    running = desk.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return number in {str(trial.number) for trial in running}
