"""The command line: help, exit statuses, one line of error, and pure JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import grow_mlp, grow_resnet, write_run
from tiny import call, clean_environment

from recursive_lth import __version__, shelf
from recursive_lth.cli import main
from recursive_lth.search.policies.words import POLICY_WORDS

COMMANDS = ("grow", "list", "show", "report", "evaluate")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECURSIVE_LTH_DATA_DIR", raising=False)
    return tmp_path


@pytest.fixture
def run(empty_folder: Path) -> Path:
    """A finished run in runs/."""
    return write_run(Path("runs") / "fake-0123456789ab", grow_mlp())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_comes_out_and_gives_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr()
    assert f"Usage: recursive-lth {command}" in shown.out
    assert f"Examples:\n  recursive-lth {command}" in shown.out
    assert shown.err == ""


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(f" {command} " in shown for command in COMMANDS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


BAD_INPUT: dict[str, tuple[list[str], str]] = {
    "unknown command": (["grw"], 'Did you mean "grow"?'),
    "unknown option": (["grow", "--sed", "3"], "--seed"),
    "no value": (["grow", "--seed"], "--seed"),
    "not a number": (["grow", "--seed", "x"], "--seed"),
    "not a choice": (["grow", "--resume", "maybe"], "auto"),
    "too many words": (["grow", "a", "b"], "b"),
    "no run named": (["show"], "RUN"),
    "inert option": (["report", "fake", "--seed", "3"], "--seed"),
    "unknown experiment": (["grow", "grow_digit"], "did you mean 'grow_digits'?"),
    "missing file": (["grow", "mine.toml"], "mine.toml"),
    "broken file": (["grow", "broken.toml"], "broken.toml is not TOML"),
    "wrong key in a file": (
        ["grow", "wrong.toml"],
        "wrong.toml line 2: unknown key training.epoch",
    ),
    "wrong setting": (["grow", "--set", "training.epoch=3"], "did you mean 'epochs'?"),
    "malformed setting": (["grow", "--set", "epochs"], "section.key=value"),
    "value out of range": (["grow", "--set", "training.epochs=-1"], "training.epochs"),
    "negative seed": (["grow", "--seed=-1"], "seed"),
    "unknown data": (["grow", "--data", "digit"], "did you mean 'digits'?"),
    "missing data": (["grow", "--data", "mine.npz"], "mine.npz"),
    "damaged data": (["grow", "--data", "broken.npz"], "broken.npz"),
    "unknown device": (["grow", "--device", "abacus"], "abacus"),
    "nothing to resume": (["grow", "--resume", "must"], "resume"),
    "unknown operator": (["grow", "--set", 'space.operator=["wide"]'], "did you mean 'widen'?"),
    "unknown run": (["show", "nothing"], "no run 'nothing'"),
    "not a run": (["report", "empty"], "empty"),
    "unknown ticket": (["evaluate", "none.safetensors"], "none.safetensors"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_status_2(
    case: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("runs") / "fake-99", grow_resnet())
    Path("empty").mkdir()
    Path("broken.toml").write_text("seed = = 3\n", "utf-8")
    Path("wrong.toml").write_text("[training]\nepoch = 3\n", "utf-8")
    Path("broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    before = sorted(Path().rglob("*"))
    arguments, expected = BAD_INPUT[case]
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("recursive-lth: ")
    assert shown.err.count("\n") == 1
    assert expected in shown.err
    assert sorted(Path().rglob("*")) == before, "refused, and yet something was written"


DAMAGE: dict[str, tuple[str, bytes]] = {
    "lineage": ("lineage.jsonl", b"{nonsense\n{}\n"),
    "summary": ("summary.json", b"{"),
    "experiment": ("experiment.toml", b"= ="),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_one_line_and_status_3(
    case: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content = DAMAGE[case]
    (run / name).write_bytes(content)
    assert main(["show", "fake"]) == 3
    shown = capsys.readouterr()
    assert name in shown.err
    assert shown.err.count("\n") == 1
    assert main(["list"]) == 0, "one damaged run must not hide the others"
    assert f"cannot be read: {run / name}" in capsys.readouterr().out


def test_a_damaged_ticket_is_status_3(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ticket.safetensors").write_bytes(b"\x08\x00")
    assert main(["evaluate", "ticket.safetensors", "--data", "digits"]) == 3
    assert "ticket.safetensors" in capsys.readouterr().err


def test_what_fails_of_itself_is_one_line_and_a_traceback_only_on_demand(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Path) -> Path:
        raise RuntimeError("the disk\nis on fire")

    monkeypatch.setattr("recursive_lth.report.page.write_report", fail)
    assert main(["report", "fake"]) == 1
    shown = capsys.readouterr().err
    assert "failed: RuntimeError: the disk is on fire; --debug shows where" in shown
    assert shown.count("\n") == 1
    with pytest.raises(RuntimeError, match="fire"):
        main(["report", "fake", "--debug"])


def test_list_in_an_empty_folder_shows_what_can_be_run(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    shipped = (*shelf.names("experiment"), *shelf.names("search space"))
    for name in (*shipped, *shelf.DATA_SETS, *POLICY_WORDS):
        assert name in shown
    assert "none yet" in shown
    assert list(empty_folder.iterdir()) == []


def test_list_and_show_print_one_json_document(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed["experiments"]) == set(shelf.names("experiment"))
    assert listed["runs"] == {str(run): "finished, 8 tickets"}
    assert main(["show", "fake", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["best"] in shown["front"]
    assert [t["generation"] for t in shown["tickets"]] == list(range(8))


def test_show_takes_a_path_or_the_beginning_of_a_name(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "fake-01"]) == 0
    by_name = capsys.readouterr().out
    assert main(["show", str(run)]) == 0
    assert capsys.readouterr().out == by_name
    assert main(["show", "fake-0123456789ab", "--out", "runs"]) == 0
    assert capsys.readouterr().out == by_name
    assert "lineage" in by_name
    assert "Pareto front" in by_name
    assert "where the best ticket is dense" in by_name


def test_an_unfinished_run_is_shown_and_reported_as_such(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_run(Path("runs") / "some", grow_resnet(), finished=False)
    assert main(["show", "some"]) == 0
    assert "unfinished" in capsys.readouterr().out
    assert main(["report", "some", "--json"]) == 0
    path = Path(json.loads(capsys.readouterr().out)["report"])
    assert path.is_file()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_narrow_terminal_folds_no_number(
    width: int, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns that can be missed go before any other is folded; the accuracies stay whole."""
    from recursive_lth.cli import screen
    from recursive_lth.report.record import read_run
    from recursive_lth.report.table import lineage_table

    monkeypatch.setattr(screen, "PLAIN_WIDTH", width)
    screen.print_table(screen.console(), "lineage", lineage_table(read_run(run).generations))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if line.strip()]) == 2 + 8
    assert "97.86 %" in lines[2 + 6]


def test_options_can_come_from_the_environment(run: Path, empty_folder: Path) -> None:
    run.parent.rename("elsewhere")
    assert call("show", "fake", folder=empty_folder).returncode == 2
    variables = {"RECURSIVE_LTH_OUT": "elsewhere", "RECURSIVE_LTH_JSON": "true"}
    done = call("show", "fake", folder=empty_folder, environment=variables)
    assert done.returncode == 0
    assert json.loads(done.stdout)["is_finished"]
    assert call("show", "fake", "--out", "runs", folder=empty_folder).returncode == 2


def test_settings_in_the_environment_are_parted_by_semicolons(empty_folder: Path) -> None:
    variables = {"RECURSIVE_LTH_SET": "space.ratio=[0.2, 0.3]; training.epoch=3"}
    done = call("grow", folder=empty_folder, environment=variables)
    assert done.returncode == 2
    assert "unknown key training.epoch" in done.stderr


def test_a_closed_pipe_is_no_traceback(run: Path, empty_folder: Path) -> None:
    done = subprocess.run(  # noqa: S602 (a pipe is what is tested)
        f"{sys.executable} -m recursive_lth show fake --json | head -c 1",
        shell=True,
        cwd=empty_folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "{"
    assert done.stderr == ""
