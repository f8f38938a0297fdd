"""Trials that go wrong: refused, failed, quarantined, taken over, passed by."""

import signal
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from tuning_desks import SWITCH, TWO, age, desk_in, small_tuning

from recursive_lth import api
from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError
from recursive_lth.search import run as search_run
from recursive_lth.tuning import queue, serve, trial
from recursive_lth.tuning.desk import Desk
from recursive_lth.tuning_file import tuned

TINY = small_tuning(TWO)


def tune(experiment: TuningExperiment, out: Path, **options: Any) -> list[dict[str, Any]]:
    """All rows of a tuning in this process."""
    return list(api.tune(experiment, out=out, device="cpu", **options))


def test_a_run_that_cannot_be_made_fails_its_trial_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = search_run.grow

    def refusing(inner: Any, **options: Any) -> Any:
        if inner.growth.optimizer == "carry":
            raise InputError("the start network diverges: lower training.learning_rate")
        return real(inner, **options)

    monkeypatch.setattr(trial, "grow", refusing)
    rows = tune(small_tuning(SWITCH, "tune.trials=4", "tune.sampler=random"), tmp_path)
    assert {row["state"] for row in rows} == {"complete", "failed"}
    for row in rows:
        is_refused = row["values"]["growth.optimizer"] == "carry"
        assert ("diverges" in row["reason"]) == is_refused
        assert (row["objectives"] is None) == is_refused
        assert row["attempts"] == 1


def test_no_accepted_ticket_is_a_reason(tmp_path: Path) -> None:
    strict = small_tuning(SWITCH, "tune.trials=1", "base.acceptance.max_density=0.001")
    (row,) = tune(strict, tmp_path)
    assert row["state"] == "failed"
    assert "no ticket was accepted with seed 0" in row["reason"]


def test_an_error_ends_the_worker_and_the_third_one_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = small_tuning(SWITCH, "tune.trials=1")

    def broken(inner: Any, **options: Any) -> Any:
        raise MemoryError("too large")

    monkeypatch.setattr(trial, "grow", broken)
    for _ in range(3):
        with pytest.raises(MemoryError):
            tune(experiment, tmp_path)
    (row,) = tune(experiment, tmp_path)
    assert row["state"] == "quarantined"
    assert "MemoryError: too large" in row["reason"]


def test_a_full_disk_fails_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with the folder is not the trial's fault: it is given back."""
    experiment = small_tuning(SWITCH, "tune.trials=1")

    def full(*arguments: Any, **options: Any) -> Any:
        raise InputError("cannot write: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(trial, "grow", full)
        patch.setattr(serve, "write_atomic", full)
        with pytest.raises(InputError, match="No space left"):
            tune(experiment, tmp_path)
    (row,) = tune(experiment, tmp_path)
    assert (row["state"], row["attempts"]) == ("complete", 2)


def test_a_worker_taken_for_dead_leaves_its_trial_in_the_midst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swept while it trains, it stops at the next look, and the trial goes on where it stood."""
    swept: list[int] = []
    desks: list[Desk] = []
    take, note = queue.take, trial._note

    def taking(desk: Desk) -> queue.Claim | None:
        desks.append(desk)
        return take(desk)

    def noting(claim: queue.Claim, reached: int) -> None:
        if not swept:
            swept.append(claim.slot)
            age(desks[0])
            other = take(desks[0])
            assert other is not None
            assert other.slot == claim.slot
            queue.give_back(desks[0], other)
        note(claim, reached)

    monkeypatch.setattr(queue, "take", taking)
    monkeypatch.setattr(trial, "_note", noting)
    rows = tune(small_tuning(SWITCH, "tune.trials=1"), tmp_path)
    assert swept == [0]
    assert [(row["state"], row["attempts"]) for row in rows] == [("complete", 3)]


def test_a_sleeping_holder_of_a_run_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process keeps its lock: after the grace its trial is run beside it."""
    monkeypatch.setattr(trial, "GRACE", 0)
    experiment = small_tuning(SWITCH, "tune.trials=1", "tune.sampler=random")
    folder = tmp_path / experiment.folder_name
    locks = folder / "trials" / ".taken"
    locks.mkdir(parents=True)
    held = [
        FileLock(locks / tuned(experiment, {"growth.optimizer": choice}).folder_name)
        for choice in ("reset", "carry")
    ]
    for lock in held:
        lock.acquire()
    (row,) = tune(experiment, tmp_path)
    assert row["state"] == "complete"
    assert row["runs"][0]["folder"].startswith("trials/attempt-0/")
    for lock in held:
        lock.release()


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_holder_is_waited_for_as_long_as_its_trial_runs(
    is_alive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trials of the same values: the later waits, and finds the run of the first finished."""
    monkeypatch.setattr(trial, "GRACE", 0)
    experiment = small_tuning(SWITCH, "tune.trials=2")
    (tmp_path / "trials" / ".taken").mkdir(parents=True)
    with desk_in(tmp_path, experiment) as desk:
        first, second = queue.take(desk), queue.take(desk)
        assert first is not None
        assert second is not None
        if not is_alive:
            queue.give_back(desk, first)
        name = trial.experiments(desk, second)[0].folder_name
        lock = FileLock(tmp_path / "trials" / ".taken" / name, thread_local=False)
        lock.acquire()
        holder = tmp_path / "trials" / ".taken" / f"{name}.holder"
        holder.write_text(str(first.trial.number), "utf-8")
        later = Timer(4 * trial.POLL, lock.release)
        later.start()
        (found,) = trial.perform(
            desk, second, tmp_path, data_dir=None, device="cpu", watch=lambda number, inner: None
        )
        later.join()
    assert found["folder"].startswith("trials/attempt-") != is_alive


def test_a_stop_waits_until_how_far_a_trial_has_come_is_written() -> None:
    """Torn, the database would stay locked to the worker that is to give its trial back."""
    written = []

    def write(name: str, reached: int) -> None:
        signal.raise_signal(signal.SIGINT)
        written.append((name, reached))

    claim: Any = SimpleNamespace(trial=SimpleNamespace(set_user_attr=write))
    with pytest.raises(KeyboardInterrupt):
        trial._note(claim, 3)
    assert written == [(queue.REACHED, 3)]
