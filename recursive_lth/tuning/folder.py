"""A tuning's folder: who coordinates in it, where its study lies, and what it shows of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy.engine import URL

from recursive_lth.config import TuningExperiment
from recursive_lth.config_file import experiment_to_toml, read_toml
from recursive_lth.errors import InputError
from recursive_lth.files import name_aside, read_json, write_atomic, write_json, write_lines
from recursive_lth.running.run_folder import Resume
from recursive_lth.tuning.desk import hidden, parse_url, sqlite_url
from recursive_lth.tuning.study import experiment_in, set_aside
from recursive_lth.tuning_file import tuning_experiment_from


class TuningFolder:
    """Paths of one tuning, `<out>/<name>-<digest>`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.experiment = path / "experiment.toml"
        self.summary = path / "summary.json"
        self._storage = path / "storage.json"
        self._trials = path / "trials.jsonl"

    @property
    def is_finished(self) -> bool:
        """True iff the summary is written."""
        return self.summary.exists()

    def show_trials(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the trials that have ended, for readers; the database is the truth."""
        write_lines(self._trials, rows)

    def url(self, given: str | None) -> URL:
        """The database of this tuning: the one given, the one it was begun with, or SQLite here.

        Raises `InputError` where it was begun with another than the one given.
        """
        begun = read_json(self._storage)["url"] if self._storage.exists() else None
        own = parse_url(sqlite_url(self.path))
        if given is None and begun is not None:
            found = parse_url(begun)
            if found.password is not None:
                raise InputError(f"{self.path} has its study in {begun}: name it with --storage")
            return found
        if given is None:
            return own
        found = parse_url(given)
        if begun is None and self.experiment.exists() and found != own:
            raise InputError(f"{self.path} has its study in {own.database}: leave out --storage")
        if begun is not None and hidden(found) != begun:
            raise InputError(f"{self.path} has its study in {begun}, not in {hidden(found)}")
        return found


@contextmanager
def coordinated(
    experiment: TuningExperiment, out: Path, storage: str | None, resume: Resume
) -> Iterator[tuple[TuningFolder, URL]]:
    """The tuning's folder and database; no other coordinator works there while the block runs.

    `never` sets folder and study aside under another name, `must` needs them. Raises `InputError`
    where the folder cannot be written or has another coordinator.
    """
    folder = TuningFolder(out / experiment.folder_name)
    if resume == "must" and not folder.experiment.exists():
        raise InputError(f"nothing to resume at {folder.path}: leave out --resume must")
    locks = out / ".locks"
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / experiment.folder_name)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another `tune` is at work in {folder.path}: join it with `recursive-lth worker "
            f"{folder.path}`"
        ) from None
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error}; choose another --out") from None
    try:
        if resume == "never" and folder.experiment.exists():
            _set_aside(folder, storage)
        url = folder.url(storage)
        folder.path.mkdir(parents=True, exist_ok=True)
        if storage is not None:
            write_json(folder.path / "storage.json", {"url": hidden(url)})
        write_atomic(folder.experiment, experiment_to_toml(experiment))
        yield folder, url
    finally:
        lock.release()


def _set_aside(folder: TuningFolder, storage: str | None) -> None:
    """Rename folder and study to the first free `<name>.old-N`."""
    target, url = name_aside(folder.path), folder.url(storage)
    if url.get_backend_name() != "sqlite" or Path(url.database or "").exists():
        set_aside(url, folder.path.name, target.name)
    folder.path.rename(target)


def joined(path: Path, storage: str | None) -> tuple[TuningFolder, TuningExperiment, URL]:
    """The folder of a tuning that a worker joins, its experiment and its database.

    Where the folder is not on this machine it is made, from the study in `storage` that has the
    folder's name. Raises `InputError` where there is neither.
    """
    folder = TuningFolder(path)
    if not folder.experiment.exists():
        if storage is None:
            raise InputError(
                f"{path} is no folder of a tuning: give the one that `tune` made, or name its "
                "database with --storage"
            )
        experiment = experiment_in(parse_url(storage), path.resolve().name)
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / "storage.json", {"url": hidden(parse_url(storage))})
        write_atomic(folder.experiment, experiment_to_toml(experiment))
    return folder, tuning_experiment_from(read_toml(folder.experiment)), folder.url(storage)
