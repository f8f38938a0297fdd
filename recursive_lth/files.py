"""Writing so that a kill at any moment leaves the old file or the new one, never a torn one."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recursive_lth.errors import DamagedFileError, InputError

ASIDE = ".old-"


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write `content` to `path`: temporary file beside it, flush, fsync, rename, fsync the folder.

    Raises `InputError` where the place cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; choose another folder with --out"
        ) from None
    return path


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # only POSIX lets a folder be opened for syncing
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN and infinity are refused with `ValueError`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_json(path: Path, value: Any) -> Path:
    """Write one JSON document, indented, keys as given."""
    return write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines, one row a line, the whole file at once."""
    return write_atomic(path, "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in rows))


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append one JSON line; a kill in between can tear this last line, which `read_lines` drops.

    A line torn earlier is cut off first, or the new one would be glued to it and both be lost.
    """
    line = f"{json.dumps(row, allow_nan=False)}\n".encode()
    try:
        with path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            if size and file.read() != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; free some room") from None


def read_json(path: Path) -> Any:
    """The JSON document in `path`. Raises `DamagedFileError` where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise DamagedFileError(f"{path} is not JSON: delete it and run again") from None


def read_lines(path: Path, *, is_appended: bool = True) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, [] where there is none.

    A file that `append_line` writes may end in a line torn by a kill, which is dropped. Raises
    `DamagedFileError` where any other line is not a JSON object.
    """
    if not path.exists():
        return []
    *lines, rest = path.read_bytes().split(b"\n")
    if rest and not is_appended:
        lines.append(rest)
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:  # neither UTF-8 nor JSON
            row = None
        if not isinstance(row, dict):
            raise DamagedFileError(
                f"{path} line {number} is not a JSON object: restore the file or start anew with "
                "--resume never"
            )
        rows.append(row)
    return rows


def name_aside(folder: Path) -> Path:
    """The first free `<name>.old-N`, which `--resume never` gives to what it begins anew."""
    number = 1
    while (target := folder.with_name(f"{folder.name}{ASIDE}{number}")).exists():
        number += 1
    return target


def is_set_aside(folder: Path) -> bool:
    """True iff a folder has such a name."""
    return ASIDE in folder.name
