"""A run's folder: what is in it, what can be continued, and who may write to it. No torch here."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from recursive_lth.config import Experiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.files import (
    append_line,
    read_json,
    read_lines,
    write_atomic,
    write_json,
    write_lines,
)
from recursive_lth.search.generation import Generation

Resume = Literal["auto", "never", "must"]


class RunFolder:
    """Paths and files of one run, `<out>/<name>-<digest>`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.summary = path / "summary.json"
        self.origin = path / "origin.json"
        self._lineage = path / "lineage.jsonl"
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

    def lineage(self) -> list[Generation]:
        """The generations so far."""
        return [Generation.from_dict(row) for row in read_lines(self._lineage, is_appended=False)]

    def write_lineage(self, lineage: Sequence[Generation]) -> None:
        """The whole lineage anew, so that no kill can tear a line."""
        write_lines(self._lineage, (turn.to_dict() for turn in lineage))

    def add_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append curves."""
        for row in rows:
            append_line(self._metrics, row)

    def cut_metrics(self, generations: int) -> None:
        """Drop curves of generations that are not in the lineage: they will come again."""
        rows = read_lines(self._metrics)
        if not all(isinstance(row.get("generation"), int) for row in rows):
            raise DamagedFileError(
                f"{self._metrics} has a line without a generation: start anew with --resume never"
            )
        write_lines(self._metrics, (r for r in rows if r["generation"] < generations))


def run_folder(experiment: Experiment, out: Path) -> RunFolder:
    """The folder that this experiment's run has, there or not."""
    return RunFolder(out / experiment.folder_name)


@contextmanager
def opened(experiment: Experiment, out: Path, resume: Resume) -> Iterator[RunFolder]:
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
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(target)
    (path / "work").mkdir(parents=True)
