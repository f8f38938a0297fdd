"""Files: the old content or the new, never a torn one, and what a kill can leave behind."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recursive_lth import files
from recursive_lth.errors import DamagedFileError, InputError

KEYS = st.text(max_size=3)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(KEYS, JSON, max_size=3), max_size=4)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("content", ["a\nü", b"\x00\xff\n", ""])
def test_write_atomic_writes_exactly(tmp_path: Path, content: str | bytes) -> None:
    """The file holds the bytes given (UTF-8 of a text), folders are made, nothing else is left."""
    path = tmp_path / "new" / "folder" / "file"
    assert files.write_atomic(path, content) == path
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize(
    ("stop", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left"), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_write_atomic_interrupted_keeps_the_old(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    stop: BaseException,
    raised: type[BaseException],
) -> None:
    """The name moves to the new content at the rename and not before; the temporary file goes."""
    path = files.write_atomic(tmp_path / "file", "old")

    def interrupted(*_: object) -> None:
        raise stop

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(raised) as caught:
        files.write_atomic(path, "new")
    monkeypatch.undo()
    if raised is InputError:
        assert str(path) in str(caught.value)
        assert "No space left" in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomic_syncs_before_it_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that reaches the disk before the data would leave an empty file at a power cut."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(handle: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        fsync(handle)

    def watched_replace(source: str, target: Path) -> None:
        assert Path(source).read_text() == "content"
        assert Path(source).parent == target.parent  # a rename across file systems is a copy
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    files.write_atomic(tmp_path / "file", "content")
    if os.path.isdir("/proc/self/fd"):
        assert calls == ["file", "rename", "folder"]
    else:
        assert calls.index("rename") >= 1


def test_unwritable_places_are_input_errors(tmp_path: Path) -> None:
    """A file where a folder is needed, or a folder where a file is: one line that names it."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "x", tmp_path / "folder"):
        with pytest.raises(InputError) as caught:
            files.write_atomic(path, "content")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="folder"):
        files.append_line(tmp_path / "folder", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@given(JSON)
@in_one_folder
def test_json_round_trip(tmp_path: Path, value: Any) -> None:
    """What is read is what was written; the canonical text is JSON of the same value."""
    assert files.read_json(files.write_json(tmp_path / "value.json", value)) == value
    assert json.loads(files.canonical_json(value)) == value


@given(st.dictionaries(KEYS, JSON, min_size=2, max_size=4), st.randoms())
def test_canonical_json_forgets_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    """Keys are sorted: every order of insertion has one text."""
    keys = list(value)
    random.shuffle(keys)
    assert files.canonical_json({key: value[key] for key in keys}) == files.canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_json_are_refused(tmp_path: Path, value: float) -> None:
    """RFC 8259 has no NaN and no infinity; nothing of such a row reaches the file."""
    path = tmp_path / "rows"
    files.append_line(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.canonical_json([value])
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.append_line(path, {"a": value})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_lines(path, [{"a": value}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": 1}}'])
def test_read_json_refuses_what_is_none(tmp_path: Path, content: bytes) -> None:
    """A torn or foreign file is named, in one line."""
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"^.*summary\.json is not JSON[^\n]*$"):
        files.read_json(path)


@given(ROWS, ROWS)
@in_one_folder
def test_lines_round_trip(tmp_path: Path, rows: list[dict[str, Any]], more: list[Any]) -> None:
    """Rows written at once and rows appended come back in order; no file is no rows."""
    path = tmp_path / "rows.jsonl"
    path.unlink(missing_ok=True)
    assert files.read_lines(path) == []
    files.write_lines(path, rows)
    for row in more:
        files.append_line(path, row)
    assert files.read_lines(path) == rows + more


@given(ROWS.filter(bool), st.dictionaries(KEYS, JSON, max_size=2))
@settings(parent=in_one_folder, max_examples=4)
def test_a_kill_costs_the_torn_line_alone(
    tmp_path: Path, rows: list[dict[str, Any]], new: dict[str, Any]
) -> None:
    """Cut anywhere, a file gives the rows whose newline it has, also after the next append."""
    path = tmp_path / "rows.jsonl"
    whole = files.write_lines(path, rows).read_bytes()
    for length in range(len(whole) + 1):
        kept = rows[: whole[:length].count(b"\n")]
        path.write_bytes(whole[:length])
        assert files.read_lines(path) == kept
        files.append_line(path, new)
        assert files.read_lines(path) == [*kept, new]


@pytest.mark.parametrize(
    "line", [b"", b"{", b'{"a": 1}}', b"\xff", b'{"a": "caf\xe9"}', b"3", b"[1]", b"null"]
)
def test_damage_before_the_last_line_is_told(tmp_path: Path, line: bytes) -> None:
    """Only the last line can be torn by a kill: any other that is no JSON object is damage."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 0}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(DamagedFileError, match=r"^.*rows\.jsonl line 2[^\n]*$"):
        files.read_lines(path)
