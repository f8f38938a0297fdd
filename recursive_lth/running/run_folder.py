"""A run's folder: what is in it, what can be continued, and who may write to it. No torch here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from filelock import FileLock, Timeout

from recursive_lth.config import AnyExperiment, Experiment, StudyExperiment, TicketExperiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.files import (
    append_line,
    name_aside,
    read_json,
    read_lines,
    write_atomic,
    write_json,
    write_lines,
)

Resume = Literal["auto", "never", "must"]
LINES: Mapping[type, str] = MappingProxyType(
    {
        Experiment: "lineage.jsonl",
        TicketExperiment: "levels.jsonl",
        StudyExperiment: "readings.jsonl",
    }
)


class RunFolder:
    """Paths and files of one run, `<out>/<name>-<digest>`; `lines` is its file of results."""

    def __init__(self, path: Path, lines: str = "lineage.jsonl") -> None:
        self.path = path
        self.work = path / "work"
        self.summary = path / "summary.json"
        self.origin = path / "origin.json"
        self._lines = path / lines
        self._metrics = path / "metrics.jsonl"

    def ticket(self, digest: str) -> Path:
        """The file of a ticket."""
        return self.path / "tickets" / f"{digest}.safetensors"

    @property
    def is_finished(self) -> bool:
        """True iff the summary is written. Raises `InputError` where that cannot be seen."""
        return _exists(self.summary)

    @property
    def has_origin(self) -> bool:
        """True iff it is recorded under what the run was begun."""
        return self.origin.exists()

    def lines(self) -> list[dict[str, Any]]:
        """The results so far, one for each ticket."""
        return read_lines(self._lines, is_appended=False)

    def write_lines(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """All results anew, so that no kill can tear a line."""
        write_lines(self._lines, rows)

    def add_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append curves."""
        for row in rows:
            append_line(self._metrics, row)

    def cut_metrics(self, key: str, end: int) -> None:
        """Drop curves whose `key` is `end` or more: what is not in the results will come again."""
        rows = read_lines(self._metrics)
        if not all(isinstance(row.get(key), int) for row in rows):
            raise DamagedFileError(
                f"{self._metrics} has a line without a {key}: start anew with --resume never"
            )
        write_lines(self._metrics, (row for row in rows if row[key] < end))


def run_folder(experiment: AnyExperiment, out: Path) -> RunFolder:
    """The folder that this experiment's run has, there or not."""
    return RunFolder(out / experiment.folder_name, LINES[type(experiment)])


@contextmanager
def opened(experiment: AnyExperiment, out: Path, resume: Resume) -> Iterator[RunFolder]:
    """The run's folder, ours alone while the block runs, with the experiment written in it.

    `never` sets an earlier run aside under a new name, `must` needs one. Raises `InputError` where
    it cannot be written or another process works in it.
    """
    folder = run_folder(experiment, out)
    is_there = _exists(folder.path / "experiment.toml")
    if resume == "must" and not is_there:
        raise InputError(f"nothing to resume at {folder.path}: leave out --resume must")
    try:
        (out if folder.is_finished else folder.work).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {folder.path}: {error.strerror}; choose another folder with --out"
        ) from None
    locks = out / ".locks"
    try:
        locks.mkdir(exist_ok=True)
        lock = FileLock(locks / experiment.folder_name)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another process is at work in {folder.path}: wait for it or choose another --out"
        ) from None
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error}; choose another --out") from None
    try:
        if is_there and resume == "never":
            _set_aside(folder.path)
        for torn in folder.path.rglob(".*.tmp"):  # what a kill left half written
            torn.unlink()
        if not folder.is_finished:
            write_atomic(folder.path / "experiment.toml", experiment_to_toml(experiment))
        yield folder
    finally:
        lock.release()


def check_origin(folder: RunFolder, origin: Mapping[str, Any]) -> None:
    """Record at a run's start what is not part of the experiment and changes the bits.

    That is the content of the data, the device and versions. Raises `InputError` where the run was
    begun under others.
    """
    if not folder.has_origin:
        write_json(folder.origin, origin)
        return
    before = read_json(folder.origin)
    for key, value in origin.items():
        if before.get(key) != value:
            raise InputError(
                f"{folder.path} was begun with another {key} ({before.get(key)}, now {value}): "
                "give it back or start anew with --resume never"
            )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise InputError(
            f"cannot write {path.parent}: {error.strerror}; choose another folder with --out"
        ) from None


def _set_aside(path: Path) -> None:
    """Rename a run's folder to the first free `<name>.old-N`."""
    path.rename(name_aside(path))
    (path / "work").mkdir(parents=True)
