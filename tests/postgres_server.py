"""A PostgreSQL server of our own, as an ordinary user starts one; skips where none is installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

NAMES = ("postgres", "nobody")  # whom a server runs as where the tests run as root


@contextmanager
def server() -> Iterator[str]:
    """The address of an empty database, on a socket in a temporary folder; no network."""
    programs = _programs()
    if find_spec("psycopg") is None:
        pytest.skip("no psycopg: pip install 'recursive-lth[postgres]'")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a short path: sockets need one
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    data, control = folder / "data", [str(programs / "pg_ctl"), "-D", str(folder / "data")]
    setup = ["-U", "tuner", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    options = f"-c listen_addresses='' -c fsync=off -k {folder}"

    def run(*command: str) -> None:
        subprocess.run(
            command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=60
        )

    try:
        run(str(programs / "initdb"), "-D", str(data), *setup)
        run(*control, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tuner@/postgres?host={folder}"
        finally:
            run(*control, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of initdb and pg_ctl: on the path, or where Debian puts the newest."""
    found = shutil.which("initdb")
    known = [Path(found).parent] if found else []
    known += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    if not known:
        pytest.skip("no PostgreSQL here: initdb is neither on the path nor in /usr/lib/postgresql")
    return known[-1]


def _user() -> str | None:
    """Another user where this one is root, as whom PostgreSQL refuses to run; else None."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in NAMES if name in known)
