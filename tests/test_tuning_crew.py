"""A crew of worker processes: who dies is replaced, what kills is set aside."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tuning_desks import ORIGIN, SWITCH, age, desk_in, pretended, small_tuning

from recursive_lth.errors import InputError
from recursive_lth.tuning import queue
from recursive_lth.tuning.crew import Crew, Work, crew
from recursive_lth.tuning.desk import Desk
from recursive_lth.tuning.summary import rows

ONE = small_tuning(SWITCH, "tune.trials=1")


def die_with_a_trial(desk: Desk) -> None:
    """A trial that ends its worker, wherever it is tried."""
    if queue.take(desk) is not None:
        os._exit(9)


def die_before(desk: Desk) -> None:
    """A worker that cannot work at all."""
    os._exit(9)


def sleep_on(desk: Desk) -> None:
    """A worker in the midst of a trial; told to stop, it gives the trial back."""
    claim = queue.take(desk)
    assert claim is not None
    try:
        time.sleep(600)
    finally:
        queue.give_back(desk, claim)


def work_of(serve: Callable[[Desk], None], desk: Desk) -> Work:
    return Work(serve, desk.url, ONE, ORIGIN)


def test_a_trial_that_kills_three_workers_is_quarantined(tmp_path: Path) -> None:
    with desk_in(tmp_path, ONE) as desk, crew(1, work_of(die_with_a_trial, desk)) as members:
        while not queue.is_finished(desk):
            members.tend(sum(map(len, queue.slots(desk).values())))
            age(desk)
            time.sleep(0.1)
        (row,) = rows(desk)
    assert (row["state"], row["attempts"], row["losses"]) == ("quarantined", 3, 3)
    assert "its worker was killed" in row["reason"]


def test_workers_that_cannot_begin_are_not_replaced_for_ever(tmp_path: Path) -> None:
    with (
        desk_in(tmp_path, ONE) as desk,
        crew(1, work_of(die_before, desk)) as members,
        pytest.raises(InputError, match="before they take a trial"),
    ):
        tend_for_ever(members)


def tend_for_ever(members: Crew) -> None:
    while True:
        members.tend(0)
        time.sleep(0.1)


def test_a_stopped_crew_gives_its_trials_back(tmp_path: Path) -> None:
    with desk_in(tmp_path, ONE) as desk:
        with crew(1, work_of(sleep_on, desk)) as members:
            while not queue.slots(desk) or queue.standing(queue.slots(desk)[0]) != "running":
                members.tend(0)
                time.sleep(0.1)
            time.sleep(0.5)  # from the state to the worker's name
        (attempts,) = queue.slots(desk).values()
        assert queue.standing(attempts) == "lost"
        assert queue.losses(attempts) == 0
        claim = queue.take(desk)
        assert claim is not None
        assert queue.finish(desk, claim, pretended(claim))
        assert rows(desk)[0]["attempts"] == 2
