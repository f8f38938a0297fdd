"""A run's folder: whose it is, what can be continued, and what a stop may have left in it."""

import subprocess
import sys
from pathlib import Path

import pytest
from search_runs import Stop, invented, small, tried

from recursive_lth.config import Experiment
from recursive_lth.config_file import experiment_from, read_toml
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.files import write_json
from recursive_lth.running.run_folder import Resume, RunFolder, check_origin, opened, run_folder
from recursive_lth.search.generation import read_lineage, write_lineage

ROWS = [{"generation": n, "step": step, "val_loss": None} for n in range(3) for step in (7, 14)]


def test_paths_are_those_promised(tmp_path: Path) -> None:
    """`<name>-<12 hex of the digest>`; another seed has another folder."""
    experiment = small()
    folder = run_folder(experiment, tmp_path)
    assert folder.path == tmp_path / f"small-{experiment.digest[:12]}"
    assert folder.ticket("ab") == folder.path / "tickets" / "ab.safetensors"
    assert folder.summary == folder.path / "summary.json"
    assert run_folder(small("seed=4"), tmp_path).path != folder.path
    assert list(tmp_path.iterdir()) == []


def test_the_lineage_comes_back(tmp_path: Path) -> None:
    """Line by line, candidates too; none where nothing was written."""
    folder = RunFolder(tmp_path / "run")
    assert read_lineage(folder) == []
    line = [invented(0), invented(1), invented(2, candidates=(tried(0), tried(1)), accepted=False)]
    write_lineage(folder, line)
    assert read_lineage(folder) == line
    assert len((tmp_path / "run" / "lineage.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize("generations", [0, 1, 3])
@pytest.mark.parametrize("torn", ["", '{"generation": 2, "st'])
def test_curves_beyond_the_lineage_are_dropped(generations: int, torn: str, tmp_path: Path) -> None:
    """They will come again; a torn last line goes with them, and appending goes on cleanly."""
    folder = RunFolder(tmp_path)
    folder.add_metrics(ROWS)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text("utf-8") + torn, "utf-8")
    folder.cut_metrics("generation", generations)
    kept = path.read_bytes()
    apart = RunFolder(tmp_path / "apart")
    apart.path.mkdir()
    apart.add_metrics(ROWS[: 2 * generations])
    assert kept == ((tmp_path / "apart" / "metrics.jsonl").read_bytes() if generations else b"")


def test_a_broken_line_in_the_middle_is_damage(tmp_path: Path) -> None:
    """Of the curves or the lineage: named by file and line, with the cure."""
    folder = RunFolder(tmp_path)
    folder.add_metrics(ROWS)
    write_lineage(folder, [invented(0), invented(1)])
    for name in ("metrics.jsonl", "lineage.jsonl"):
        path = tmp_path / name
        path.write_text(
            path.read_text("utf-8").replace('"generation":', '"generation"', 1), "utf-8"
        )
    with pytest.raises(DamagedFileError, match=r"metrics\.jsonl line 1 is not .*never"):
        folder.cut_metrics("generation", 1)
    with pytest.raises(DamagedFileError, match=r"lineage\.jsonl line 1 is not .*never"):
        read_lineage(folder)
    (tmp_path / "metrics.jsonl").write_text('{"step": 7}\n', "utf-8")
    with pytest.raises(DamagedFileError, match=r"metrics\.jsonl .*generation"):
        folder.cut_metrics("generation", 1)


def test_a_torn_lineage_is_damage(tmp_path: Path) -> None:
    """It is never appended to, so no kill tears it: a lost end would lose a ticket unseen."""
    folder = RunFolder(tmp_path)
    write_lineage(folder, [invented(0), invented(1)])
    path = tmp_path / "lineage.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedFileError, match=r"lineage\.jsonl line 2"):
        read_lineage(folder)


@pytest.mark.parametrize("resume", ["auto", "never"])
def test_opening_writes_the_whole_experiment(resume: Resume, tmp_path: Path) -> None:
    experiment = small('claim="1 > 0 \\"here\\""')
    with opened(experiment, tmp_path / "deep" / "runs", resume) as folder:
        assert experiment_from(read_toml(folder.path / "experiment.toml")) == experiment
        assert folder.work.is_dir()
    assert not folder.is_finished


def test_must_needs_a_run_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"nothing to resume at .*: leave out --resume must"),
        opened(small(), tmp_path / "runs", "must"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with opened(small(), tmp_path, "auto"):
        pass
    with opened(small(), tmp_path, "must") as folder:
        assert (folder.path / "experiment.toml").exists()


def test_never_sets_earlier_runs_aside(tmp_path: Path) -> None:
    """Under the first free name, whole, the oldest as .old-1."""
    for number in range(3):
        with opened(small(), tmp_path, "never") as folder:
            assert not (folder.path / "mark").exists()
            (folder.path / "mark").write_text(str(number), "utf-8")
            if number == 1:
                write_json(folder.summary, {})
    name = folder.path.name
    marks = {p.parent.name: p.read_text("utf-8") for p in tmp_path.glob("*/mark")}
    assert marks == {f"{name}.old-1": "0", f"{name}.old-2": "1", name: "2"}


def test_a_finished_run_is_opened_as_it_is(tmp_path: Path) -> None:
    """Nothing in its folder is written or made."""
    with opened(small(), tmp_path, "auto") as folder:
        write_json(folder.summary, {})
        folder.work.rmdir()
    before = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")}
    with opened(small(), tmp_path, "auto") as folder:
        assert folder.is_finished
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")} == before


def test_only_one_process_works_in_a_folder(tmp_path: Path) -> None:
    """The second is refused in one line; another experiment is not; a killed one leaves no lock."""
    code = (
        "from pathlib import Path; from recursive_lth.config import Experiment;"
        "from recursive_lth.running.run_folder import opened\n"
        f"with opened(Experiment(), Path({str(tmp_path)!r}), 'auto'): print('in', flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with (
            pytest.raises(InputError, match=r"another process is at work in .* --out") as caught,
            opened(Experiment(), tmp_path, "auto"),
        ):
            pass
        assert "\n" not in str(caught.value)
        with pytest.raises(InputError), opened(Experiment(), tmp_path, "never"):
            pass
        with opened(Experiment(seed=4), tmp_path, "auto"):
            pass
        process.kill()
    with opened(Experiment(), tmp_path, "must"):
        pass
    assert not list(tmp_path.glob("*.old-*"))


@pytest.mark.parametrize("error", [Stop, InputError])
def test_the_lock_is_let_go_however_the_block_ends(
    error: type[BaseException], tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(error), opened(small(), tmp_path, "auto"):
            raise error


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    """One line with the cure, and nothing half-written."""
    (tmp_path / "file").write_text("mine", "utf-8")
    with (
        pytest.raises(InputError, match=r"cannot write .*; choose another .*--out") as caught,
        opened(small(), tmp_path / place, "auto"),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["file"]
    assert (tmp_path / "file").read_text("utf-8") == "mine"


@pytest.mark.parametrize("refused", ["mkdir", "mkdir stat"])
def test_a_folder_of_another_user_is_named(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that may not be written, or not even be looked into; root may, so it is acted here."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for call in refused.split():
        monkeypatch.setattr(Path, call, refuse)
    with (
        pytest.raises(InputError, match=r"cannot write .*Permission denied.*--out"),
        opened(small(), tmp_path, "auto"),
    ):
        pass


def test_a_name_that_no_file_can_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--out"), opened(small(), tmp_path / ("x" * 300), "auto"):
        pass


def test_the_origin_is_kept_and_held_to(tmp_path: Path) -> None:
    """The same again passes, in any order; what changed is named, with both values and the cure."""
    folder = RunFolder(tmp_path)
    origin = {"data": "d1", "device": "cpu", "torch": "2.4"}
    check_origin(folder, origin)
    check_origin(folder, dict(reversed(origin.items())))
    for key in origin:
        with pytest.raises(InputError, match=rf"another {key} \({origin[key]}, now x\).*never"):
            check_origin(folder, origin | {key: "x"})
    check_origin(folder, origin)


def test_what_a_kill_left_half_written_is_swept(tmp_path: Path) -> None:
    """A write that was killed leaves its temporary file, which no one will ever rename."""
    with opened(small(), tmp_path, "auto") as folder:
        (folder.path / "tickets").mkdir()
        for place in (folder.path, folder.path / "tickets"):
            (place / ".lineage.jsonl.k2j4.tmp").write_text("{", "utf-8")
    with opened(small(), tmp_path, "auto") as folder:
        assert list(folder.path.rglob("*.tmp")) == []
