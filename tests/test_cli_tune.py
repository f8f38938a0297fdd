"""`tune` and `worker` at a tiny budget: what they print and write, and how they stop."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import call, clean_environment
from tuning_desks import SMALL, TWO

from recursive_lth.cli import main
from recursive_lth.config_file import read_toml
from recursive_lth.running import workers
from recursive_lth.tuning_file import tuning_experiment_from

SETTINGS = [word for setting in (*SMALL, TWO) for word in ("--set", setting)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose runs/ holds one finished tuning by two workers."""
    folder = tmp_path_factory.mktemp("finished")
    done = call("tune", *SETTINGS, "--workers", "2", "--heartbeat", "1", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    assert "front" in done.stdout
    assert sum(line.startswith("trial ") for line in done.stderr.splitlines()) == 3
    return folder


def run_of(folder: Path) -> Path:
    """The one run there is."""
    (run,) = folder.glob("runs/tune_digits-*")
    return run


def test_its_folder_reads_back_and_is_known_to_the_other_commands(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    run = run_of(finished)
    experiment = tuning_experiment_from(read_toml(run / "experiment.toml"))
    assert run.name == experiment.folder_name
    assert main(["show", "tune_digits"]) == 0
    assert "trials" in capsys.readouterr().out
    assert main(["report", "tune_digits"]) == 0
    inner = next(run.glob("trials/grow_digits-*"))
    capsys.readouterr()
    assert main(["show", str(inner), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_finished"]


def test_a_finished_one_is_shown_again_and_a_worker_finds_nothing_to_do(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    run = run_of(finished)
    before = (run / "summary.json").read_bytes()
    assert main(["tune", str(run / "experiment.toml"), "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert [row["trial"] for row in json.loads(shown.out)["trials"]] == [0, 1, 2]
    assert shown.err == ""
    assert main(["worker", str(run), "--quiet"]) == 0
    assert (run / "summary.json").read_bytes() == before


def test_ctrl_c_gives_the_trial_back_and_a_worker_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = ("--set", "tune.trials=6", "--set", "base.training.epochs=100")
    command = [sys.executable, "-m", "recursive_lth", "tune", *SETTINGS, *long, "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True
    )
    for _ in range(600):
        if list(tmp_path.glob("runs/*/trials/*/lineage.jsonl")):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == (
        "recursive-lth: stopped; the same command goes on from what is saved"
    )
    run = run_of(tmp_path)
    assert not (run / "summary.json").exists()
    assert main(["worker", str(run), "--json", "--quiet"]) == 0
    rows = json.loads(capsys.readouterr().out)["trials"]
    assert [row["state"] for row in rows] == ["complete"] * 6
    assert all(row["losses"] == 0 for row in rows)
    assert (run / "report.html").is_file()


def test_a_dry_run_prints_an_experiment_that_can_be_run_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tune", "--dry-run", *SETTINGS]) == 0
    shown = capsys.readouterr().out
    assert "# 3 trials of 1 runs" in shown
    Path("printed.toml").write_text(shown, "utf-8")
    assert main(["tune", "printed.toml", "--dry-run", "--json", "--seed", "4"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["experiment"]["seed"] == 4
    assert plan["plan"]["training_multiply_adds"] == (
        3 * plan["plan"]["run"]["training_multiply_adds"]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["printed.toml"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tune", "grow_digits"], "an experiment of `recursive-lth grow`"),
        (["grow", "tune_digits"], "an experiment of `recursive-lth tune`"),
        (["prune", "tune_digits"], "an experiment of `recursive-lth tune`"),
        (["tune", "--set", "tune.trial=3"], "did you mean 'trials'"),
        (["tune", "--set", "base.growth.polcy=tpe"], "did you mean 'growth.policy'"),
        (["tune", "--workers", "-1"], "--workers"),
        (["tune", "--workers", "all"], "a number from 0 to 1024 or a Dask scheduler's address"),
        (["tune", "--workers", "tcp://127.0.0.1:9"], "no Dask scheduler answers"),
        (["tune", "--heartbeat", "0"], "--heartbeat"),
        (["tune", "--storage", "mysql://a@b/c"], "workers can share"),
        (["tune", "--storage", "postgresql://a@127.0.0.1:1/c"], "cannot open"),
        (["tune", "--resume", "must"], "nothing to resume"),
        (["tune", "--device", "abacus"], "abacus"),
        (["worker", "nowhere"], "is no folder of a tuning"),
        (["worker", "."], "is no folder of a tuning"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "SECONDS_TO_ANSWER", 1)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert expected in shown.err
    assert list(tmp_path.iterdir()) == [], "refused, and yet something was written"
