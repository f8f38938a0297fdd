"""The database that a tuning's workers share: how it is opened, and the lock on its queue."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from recursive_lth import seeds
from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError

optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own progress display speaks

PATIENCE = 120  # seconds that a process waits for the lock; it is held for fractions of one
GRACE = 6  # heartbeats that may be missed before a worker is taken for dead
LOCK_KEY = seeds.derive(0, "recursive-lth", "tune")  # one for all studies of a PostgreSQL database
KINDS = "give sqlite:///FILE.db or postgresql+psycopg://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Desk:
    """A study in its database, and what all who work at it agree on.

    `heartbeat` is the number of seconds between two signs of life of a running trial.
    """

    url: URL
    storage: RDBStorage
    study: optuna.Study
    experiment: TuningExperiment
    heartbeat: int


def sqlite_url(folder: Path) -> str:
    """Where a tuning on one machine keeps its study."""
    return f"sqlite:///{(folder / 'study.db').resolve().as_posix()}"


def parse_url(url: str) -> URL:
    """A database's address. Raises `InputError` unless it is SQLite's or PostgreSQL's."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(f"--storage {url!r} is no address of a database: {KINDS}") from None
    if parsed.get_backend_name() not in {"sqlite", "postgresql"} or not parsed.database:
        raise InputError(
            f"--storage {hidden(parsed)} names no file or database that workers can share: {KINDS}"
        )
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def check_url(url: str) -> None:
    """Raise `InputError` where a database cannot be used, before anything is written for it."""
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":  # a file would be made by opening it
        with opened_storage(parsed):
            pass


def absolute(url: URL) -> URL:
    """The same database for a process that works in another folder."""
    if url.get_backend_name() != "sqlite":
        return url
    return url.set(database=Path(url.database or "").absolute().as_posix())


def hidden(url: URL) -> str:
    """An address without its password, for files and messages."""
    return url.render_as_string(hide_password=True)


@contextmanager
def locked(url: URL) -> Iterator[None]:
    """While the block runs no other process is in such a block on this database.

    The lock is the operating system's (SQLite) or the server's (PostgreSQL): it falls with the
    process that holds it, and on PostgreSQL also when that is silent for two minutes.
    """
    if url.get_backend_name() == "sqlite":
        lock = FileLock(f"{url.database}.lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise InputError(
                f"another process has held {url.database}.lock for {PATIENCE} s: end that process"
            ) from None
        except OSError as error:
            raise InputError(f"cannot write {url.database}: {error.strerror}") from None
        try:
            yield
        finally:
            lock.release()
        return
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}s'"))
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{PATIENCE}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        yield


@contextmanager
def opened_storage(url: URL) -> Iterator[RDBStorage]:
    """The database, its tables made where they are missing; closed at the end.

    Raises `InputError` where it cannot be reached.
    """
    options: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}}
    if url.get_backend_name() != "sqlite":  # heartbeats are compared: one clock, one time zone
        options = {"pool_pre_ping": True, "connect_args": {"options": "-c timezone=UTC"}}
    try:
        with locked(url):
            storage = RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=options)
    except (ImportError, NoSuchModuleError):
        raise InputError(
            f"no driver for {hidden(url)}: pip install 'recursive-lth[postgres]' and write "
            "postgresql+psycopg://..."
        ) from None
    except DBAPIError as error:
        raise InputError(f"cannot open {hidden(url)}: {str(error.orig).splitlines()[0]}") from None
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's remarks that heartbeats are experimental, and meant for `optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")
        yield
