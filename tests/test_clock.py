"""Where the seconds go: an invented clock that ticks when told to."""

from contextlib import suppress
from dataclasses import dataclass

import pytest

from recursive_lth.running import clock as clocks
from recursive_lth.running.clock import Clock


@dataclass
class Time:
    """A clock that stands still until a test moves it."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time that `Clock` reads."""
    time = Time()
    monkeypatch.setattr(clocks, "perf_counter", time)
    return time


def test_seconds_are_added_up_by_activity(time: Time) -> None:
    """Each second goes to the activity that runs; those of none are in the total alone."""
    clock = Clock()
    clock.start("training")
    time.now += 3
    clock.start("saving")
    time.now += 1
    clock.stop()
    time.now += 10
    clock.start("training")
    time.now += 2
    clock.stop()
    clock.stop()
    assert clock.seconds == {"training": 5, "saving": 1}
    assert clock.total == 16


def test_an_interruption_hands_back_to_what_it_interrupted(time: Time) -> None:
    """Nested blocks: no second is counted twice and none is lost, so they add up to the total."""
    clock = Clock()
    clock.start("training")
    time.now += 1
    with clock.inside("evaluation"):
        time.now += 2
        with clock.inside("saving"):
            time.now += 4
        time.now += 8
    time.now += 16
    clock.stop()
    assert clock.seconds == {"training": 17, "evaluation": 10, "saving": 4}
    assert sum(clock.seconds.values()) == clock.total


def test_an_error_inside_hands_back_too(time: Time) -> None:
    """A block left by an error is counted, and the interrupted activity goes on."""
    clock = Clock()
    clock.start("training")
    with suppress(RuntimeError), clock.inside("evaluation"):
        time.now += 2
        raise RuntimeError
    time.now += 5
    clock.stop()
    assert clock.seconds == {"training": 5, "evaluation": 2}


def test_nothing_interrupted_means_nothing_goes_on(time: Time) -> None:
    """After a block that interrupted nothing, no activity is counted."""
    clock = Clock()
    with clock.inside("data"):
        time.now += 1
    time.now += 7
    clock.stop()
    assert clock.seconds == {"data": 1}
