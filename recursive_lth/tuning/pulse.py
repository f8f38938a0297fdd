"""The signs of life of a running trial, given beside its training."""

from threading import Event, Thread
from types import TracebackType

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from recursive_lth.tuning.desk import Desk
from recursive_lth.tuning.queue import Claim, is_ours


class Lost(Exception):
    """Others took this worker for dead and have its trial now."""


class Pulse:
    """While open, a thread that beats for a claim and sees whether it is still ours.

    A database out of reach is tried again at the next beat: it may come back before anybody has
    taken the trial over.
    """

    def __init__(self, desk: Desk, claim: Claim) -> None:
        self._desk, self._claim = desk, claim
        self._is_over, self._is_lost = Event(), Event()
        self._thread = Thread(target=self._beat, daemon=True, name=f"pulse of trial {claim.slot}")

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def check(self) -> None:
        """Raise `Lost` where the trial is no longer ours."""
        if self._is_lost.is_set():
            raise Lost

    def _beat(self) -> None:
        desk, claim = self._desk, self._claim
        while not self._is_over.wait(desk.heartbeat):
            try:
                desk.storage.record_heartbeat(claim.trial._trial_id)
                if not is_ours(desk, claim):
                    self._is_lost.set()
                    break
            except (SQLAlchemyError, StorageInternalError):
                continue
        desk.storage.remove_session()
