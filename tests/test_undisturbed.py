"""A stop waits for what must not be torn: a trial is never taken without being known."""

import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from recursive_lth.tuning.undisturbed import STOPS, undisturbed


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_is_handled_at_the_end(number: signal.Signals) -> None:
    """Once, by the handler that was there before, which stands again afterwards."""
    done: list[str] = []

    def stop(number: int, frame: Any) -> None:
        done.append("stopped")
        raise SystemExit(number)

    def work() -> None:
        with undisturbed():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("whole")

    before = signal.signal(number, stop)
    try:
        with pytest.raises(SystemExit):
            work()
        assert done == ["whole", "stopped"]
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored_and_errors_pass() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with undisturbed():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(ValueError, match="own"), undisturbed():
            raise ValueError("its own")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_hear_no_signals_anyway(tmp_path: Path) -> None:
    found: list[bool] = []

    def work() -> None:
        with undisturbed():
            found.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]
