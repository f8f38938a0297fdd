"""The queue of a tuning: whatever is killed wherever, each trial ends once, as it was proposed."""

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from tiny import clean_environment
from tuning_desks import (
    TWO,
    age,
    check_whole,
    desk_in,
    heartbeat,
    pretended,
    small_tuning,
    work_off,
    write_experiment,
)

from recursive_lth.errors import InputError
from recursive_lth.tuning import queue
from recursive_lth.tuning.desk import Desk, parse_url
from recursive_lth.tuning.pulse import Lost, Pulse
from recursive_lth.tuning.samplers import SAMPLERS
from recursive_lth.tuning.study import opened
from recursive_lth.tuning.summary import importances, rows

WRITES = (
    *("create_new_trial", "set_trial_param", "set_trial_user_attr", "set_trial_system_attr"),
    *("set_trial_state_values", "record_heartbeat"),
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A fresh study of three trials."""
    with desk_in(tmp_path, small_tuning()) as opened:
        yield opened


def take(desk: Desk) -> queue.Claim:
    """A trial that is there to take."""
    claim = queue.take(desk)
    assert claim is not None
    return claim


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("objectives", ["['val_accuracy']", "['val_accuracy', 'training_cost']"])
def test_every_sampler_proposes_within_the_space(
    sampler: str, objectives: str, tmp_path: Path
) -> None:
    """One battery for all: whole proposals, in bounds, exactly as many as asked for."""
    experiment = small_tuning(
        f"tune.sampler={sampler}", "tune.trials=7", f"tune.objectives={objectives}"
    )
    with desk_in(tmp_path, experiment) as desk:
        assert work_off(desk) == list(range(7))
        check_whole(desk)
        for row in rows(desk):
            values = row["values"]
            assert values["growth.candidates"] in {1, 2, 3, 4}
            assert type(values["growth.candidates"]) is int
            assert values["space.operator"] in (("widen",), ("deepen",), ("widen", "deepen"))
            assert 0.1 <= values["pruning.target_density"] <= 0.5
        for shares in importances(desk).values():
            assert sum(shares.values()) == pytest.approx(1)


def test_a_lone_worker_proposes_the_same_whether_or_not_it_was_stopped(tmp_path: Path) -> None:
    """A proposal depends on the seed, its slot and what was finished before it."""
    found = []
    for stops, name in ((False, "whole"), (True, "stopped")):
        (tmp_path / name).mkdir()
        for _ in range(4 if stops else 1):
            with desk_in(tmp_path / name, small_tuning("tune.trials=5")) as desk:
                if stops:
                    queue.finish(desk, claim := take(desk), pretended(claim))
                else:
                    work_off(desk)
        with desk_in(tmp_path / name, small_tuning("tune.trials=5")) as desk:
            work_off(desk)
            found.append([row["values"] for row in rows(desk)])
    assert found[0] == found[1]


@pytest.mark.parametrize("operation", ["take", "finish", "mend", "give_back"])
def test_a_kill_at_any_write_leaves_nothing_stuck_lost_or_doubled(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may die before each of its writes to the database; the lock falls with it.

    Each write in turn is the one that does not come any more. The next worker finds what was left,
    and in the end every trial has ended once, with the values that were first proposed.
    """
    experiment = small_tuning(TWO, "tune.trials=2", "tune.sampler=random")
    for last in itertools.count():
        folder = tmp_path / f"{operation}-{last}"
        folder.mkdir()
        with desk_in(folder, experiment) as desk:
            claim = take(desk)
            if operation == "mend":
                age(desk)
            with monkeypatch.context() as patch:
                count_writes(patch, last)
                try:
                    if operation == "finish":
                        queue.finish(desk, claim, pretended(claim))
                    elif operation == "give_back":
                        queue.give_back(desk, claim)
                    else:
                        queue.take(desk)
                    is_through = True
                except KilledError:
                    is_through = False
        with desk_in(folder, experiment) as desk:
            assert queue.take(desk) is not None or is_through
            age(desk)
            work_off(desk)
            check_whole(desk)
            assert all(row["state"] == "complete" for row in rows(desk))
        if is_through:
            break
    assert last > 1


class KilledError(Exception):
    """Stands for a SIGKILL."""


def count_writes(patch: pytest.MonkeyPatch, last: int) -> None:
    """Let so many writes to the database pass, and then none."""
    counter = itertools.count()

    def guarded(write: Any) -> Any:
        def replacement(*arguments: Any, **named: Any) -> Any:
            if next(counter) >= last:
                raise KilledError
            return write(*arguments, **named)

        return replacement

    for name in WRITES:
        patch.setattr(RDBStorage, name, guarded(getattr(RDBStorage, name)))


def test_a_worker_that_lost_its_trial_does_not_tell(desk: Desk) -> None:
    """Taken for dead, it finds its attempt ended, and what it says is not heard."""
    slow = take(desk)
    age(desk)
    other = take(desk)
    assert other.slot == slow.slot
    assert other.params == slow.params
    assert not queue.finish(desk, slow, pretended(slow))
    assert not queue.fail(desk, slow, "no")
    assert not queue.give_back(desk, slow)
    assert queue.finish(desk, other, pretended(other))
    work_off(desk)
    check_whole(desk)


def test_the_pulse_keeps_a_trial_and_tells_when_it_is_lost(desk: Desk) -> None:
    claim = take(desk)
    with Pulse(desk, claim) as pulse:
        age(desk)
        wait_for_beat(desk, claim)
        assert take(desk).slot == 1  # the first is alive again
        pulse.check()
        desk.study.tell(claim.trial.number, state=TrialState.FAIL)
        pulse._thread.join(10)
        with pytest.raises(Lost):
            pulse.check()


def wait_for_beat(desk: Desk, claim: queue.Claim) -> None:
    """Until the heartbeat that `age` set back has come again."""
    for _ in range(100):
        if not heartbeat(desk, claim).startswith("2000"):
            return
        time.sleep(0.1)
    raise AssertionError("no heartbeat came")


def test_what_is_lost_three_times_at_one_place_is_quarantined(desk: Desk) -> None:
    """The third loss in a row without progress ends a trial; progress and stops begin anew."""
    for loss in range(3):
        claim = take(desk)
        assert claim.slot == 0
        assert queue.give_back(desk, claim, error=f"RuntimeError: {loss}")
    first, *_ = queue.slots(desk).values()
    assert queue.standing(first) == "quarantined"
    assert work_off(desk) == [1, 2]
    row = rows(desk)[0]
    assert row["state"] == "quarantined"
    assert row["objectives"] is None
    assert "3 times in a row" in row["reason"]
    assert "RuntimeError: 2" in row["reason"]
    check_whole(desk)


def test_stops_and_progress_quarantine_nothing(desk: Desk) -> None:
    for reached in range(6):
        claim = take(desk)
        assert claim.slot == 0
        claim.trial.set_user_attr(queue.REACHED, reached // 2)
        age(desk)
    for _ in range(4):
        claim = take(desk)
        assert claim.slot == 0
        queue.give_back(desk, claim)  # a user stops it
    assert work_off(desk) == [0, 1, 2]
    assert rows(desk)[0]["attempts"] == 11


def test_a_trial_that_cannot_be_run_fails_once_with_its_reason(desk: Desk) -> None:
    claim = take(desk)
    assert queue.fail(desk, claim, "the start network diverges")
    assert work_off(desk) == [1, 2]
    row = rows(desk)[0]
    assert (row["state"], row["reason"]) == ("failed", "the start network diverges")
    check_whole(desk)


def test_workers_race_for_the_last_trials(tmp_path: Path) -> None:
    """Three processes and five trials: none is taken twice, none too many is made."""
    experiment = small_tuning("tune.trials=5", "tune.sampler=random")
    write_experiment(tmp_path, experiment)
    with desk_in(tmp_path, experiment) as desk:
        url = desk.url.render_as_string(hide_password=False)
        script = str(Path(__file__).with_name("tuning_desks.py"))
        racing = [
            subprocess.Popen(
                [sys.executable, script, str(tmp_path), url, "0"], env=clean_environment()
            )
            for _ in range(3)
        ]
        assert [process.wait(120) for process in racing] == [0, 0, 0]
        check_whole(desk)
        assert all(row["attempts"] == 1 for row in rows(desk))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nonsense", "is no address of a database"),
        ("mysql://me@host/db", "names no file or database that workers can share"),
        ("sqlite://", "names no file or database that workers can share"),
    ],
)
def test_a_wrong_database_is_refused(url: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_url(url)


def test_a_database_out_of_reach_is_said_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/db"
    with pytest.raises(InputError) as caught, desk_in(tmp_path, small_tuning(), url):
        pass
    assert "secret" not in str(caught.value)
    assert "cannot open" in str(caught.value)


def test_a_study_is_joined_under_its_own_terms(tmp_path: Path) -> None:
    with desk_in(tmp_path, small_tuning()) as desk:
        url = desk.url
    with (
        pytest.raises(InputError, match="another device"),
        opened(url, small_tuning(), {"device": "cuda"}, is_joining=True),
    ):
        pass
    with (
        pytest.raises(InputError, match="--heartbeat 1: leave the option out"),
        opened(url, small_tuning(), {"device": "cpu"}, heartbeat=7),
    ):
        pass
    with (
        pytest.raises(InputError, match="has no study"),
        opened(url, small_tuning("tune.trials=9"), {"device": "cpu"}, is_joining=True),
    ):
        pass
