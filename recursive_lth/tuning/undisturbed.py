"""What must not be torn: a stretch of work that a stop waits for."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back while inside; the first that came is handled at the end.

    By handlers and not by masks, which other threads do not share. Only the main thread hears
    signals: elsewhere, and for a signal that is ignored, nothing changes.
    """
    if current_thread() is not main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)

    heard = {number: signal.getsignal(number) for number in STOPS}
    heard = {n: handler for n, handler in heard.items() if handler not in (signal.SIG_IGN, None)}
    for number in heard:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
