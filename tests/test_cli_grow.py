"""The main job at a tiny budget: what it prints, what it writes, how it stops and goes on."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.samplers import GPSampler
from tiny import SETTINGS, TINY, call, clean_environment

from recursive_lth import api, shelf
from recursive_lth.cli import main
from recursive_lth.config.ignored import keys_of, without_ignored
from recursive_lth.config_file import experiment_from

FILES = {
    *("experiment.toml", "lineage.jsonl", "metrics.jsonl", "origin.json"),
    *("report.html", "summary.json"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose runs/ holds one finished tiny run."""
    folder = tmp_path_factory.mktemp("finished")
    done = call("grow", *SETTINGS, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "lineage" in done.stdout
    assert "Pareto front" in done.stdout
    assert "report.html" in done.stdout
    lines = done.stderr.splitlines()
    assert any("training" in line for line in lines)
    assert any("judging candidate 1 of 1" in line for line in lines)
    assert [line.split(":")[0] for line in lines if line.startswith("generation")] == [
        "generation 0",
        "generation 1",
        "generation 2",
    ]
    return folder


@pytest.fixture
def in_finished(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of the finished run; its path."""
    monkeypatch.chdir(finished)
    return next(path.parent for path in Path("runs").glob("*/summary.json"))


def test_a_run_leaves_what_is_promised(in_finished: Path) -> None:
    names = {path.name for path in in_finished.iterdir()}
    assert names == FILES | {"tickets"}
    experiment = shelf.load_experiment("grow_digits", TINY)
    assert in_finished == api.run_folder(experiment)
    assert shelf.load_experiment(in_finished / "experiment.toml") == experiment
    summary = json.loads((in_finished / "summary.json").read_text("utf-8"))
    tickets = {path.stem for path in (in_finished / "tickets").iterdir()}
    assert tickets == {ticket["digest"] for ticket in summary["tickets"]}


def test_a_finished_run_is_shown_and_not_run_again(
    in_finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {path: path.stat().st_mtime_ns for path in in_finished.rglob("*")}
    assert main(["grow", *SETTINGS, "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    document = json.loads(shown.out)
    assert document["is_finished"]
    assert [t["generation"] for t in document["tickets"]] == [0, 1, 2]
    assert {path: path.stat().st_mtime_ns for path in in_finished.rglob("*")} == times


def test_a_dry_run_prints_an_experiment_that_reads_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["grow", *SETTINGS, "--seed", "3", "--data", "digits", "--dry-run"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    experiment = shelf.load_experiment("grow_digits", [*TINY, "seed=3"])
    assert experiment_from(tomllib.loads(text)) == experiment
    assert "# 2 generations, about" in text
    assert "in races" not in text
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert experiment_from(document["experiment"]) == experiment
    assert document["plan"]["training_multiply_adds"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_races_and_confirmations_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One race of two seeds more: not growing and the candidate, half an epoch each."""
    more = ("growth.replicates=3", "acceptance.rule=paired", "acceptance.replicates=2")
    settings = [word for setting in more for word in ("--set", setting)]
    assert main(["grow", *SETTINGS, *settings, "--dry-run"]) == 0
    assert "(at most 2 in races, 8 to confirm tickets)" in capsys.readouterr().out


def test_a_ticket_is_evaluated_on_the_data_of_its_run(
    in_finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((in_finished / "summary.json").read_text("utf-8"))
    line = summary["tickets"][-1]
    ticket = str(in_finished / "tickets" / f"{line['digest']}.safetensors")
    assert main(["evaluate", ticket, "--json", "--batch-size", "8"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data"] == "digits"
    assert found["digest"] == line["digest"]
    assert found["remaining_weights"] == line["remaining_weights"]
    assert found["depth"] == line["depth"]
    assert 0 <= found["test_accuracy"] <= 1
    assert found["test_calibrated_loss"] <= found["test_loss"]
    assert found["seconds_per_batch"] > 0
    assert main(["evaluate", ticket, "--batch-size", "8"]) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert main(["evaluate", ticket, "--batch-size", "0"]) == 2
    assert "--batch-size" in capsys.readouterr().err


def test_a_ticket_and_data_that_do_not_fit_are_refused(
    in_finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ticket = next((in_finished / "tickets").iterdir())
    other = write_data(tmp_path / "other.npz", (3, 6, 6), classes=4)
    assert main(["evaluate", str(ticket), "--data", str(other)]) == 2
    assert "(3, 6, 6)" in capsys.readouterr().err
    alone = tmp_path / "ticket.safetensors"
    alone.write_bytes(ticket.read_bytes())
    assert main(["evaluate", str(alone)]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize("name", [n for n, (c, _) in shelf.claims().items() if c == "grow"])
def test_every_experiment_runs_at_a_tiny_budget(name: str, tmp_path: Path) -> None:
    """On invented data of the right shape, and with the schedule, space and recipe it has."""
    experiment = shelf.load_experiment(name)
    shape, classes = SHAPES[experiment.data.name]
    data = write_data(tmp_path / "data.npz", shape, classes=classes)
    tiny = [s for s in TINY if not s.startswith("pruning.") or not has_target(name)]
    settings = [*tiny, f"data.name={json.dumps(str(data))}"]
    asked = shelf.load_experiment(name, settings)
    chosen = without_ignored(asked, keys_of(tiny))  # not every policy reads all of them
    found = list(api.grow(chosen, out=tmp_path / "runs"))
    assert [turn.generation for turn in found] == [0, 1, 2]
    assert (api.run_folder(chosen, tmp_path / "runs") / "report.html").is_file()


WIDTHS = {"mlp": 3, "conv-2": 1, "convnet": 3, "vgg-11": 5, "resnet-20": 3, "paper-convnet": 1}


@pytest.fixture
def guided(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each proposal of a Gaussian process in turn, whether the model made it."""
    known, sample = [], GPSampler.sample_relative

    def spied(*asked: Any) -> dict[str, Any]:
        found = sample(*asked)
        known.append(found != {})
        return found

    monkeypatch.setattr(GPSampler, "sample_relative", spied)
    return known


@pytest.mark.parametrize(
    ("space", "architecture"),
    [
        ("mlp", "mlp"),
        ("mlp_wide", "mlp"),
        ("convnet", "conv-2"),
        ("convnet", "convnet"),
        ("vgg", "vgg-11"),
        ("resnet", "resnet-20"),
        ("resnet", "paper-convnet"),
        ("resnet_wide", "resnet-20"),
        ("resnet_wide", "convnet"),
    ],
)
def test_every_search_space_grows_its_networks(
    space: str, architecture: str, tmp_path: Path, guided: list[bool]
) -> None:
    """Three unlike candidates, all but the first by a model of those before."""
    data = write_data(tmp_path / "data.npz", (3, 12, 12), classes=3)
    settings = [
        *TINY,
        f"data.name={json.dumps(str(data))}",
        f"growth.space={space}",
        f"start.architecture={architecture}",
        f"start.hidden={[4] * WIDTHS[architecture]}",
        "growth.candidates=3",
        "growth.policy=gp",
        "growth.random_candidates=1",
        "growth.together=1",
    ]
    path = tmp_path / "mine.toml"
    path.write_text("", "utf-8")
    found = list(api.grow(shelf.load_experiment(path, settings), out=tmp_path))
    tried = [c for turn in found for c in turn.candidates if c.growth is not None]
    assert len([c for c in tried if c.status != "repeated"]) == 3
    assert all(c.status != "failed" for c in tried)
    assert guided[-2:] == [True, True]


def test_every_search_space_is_grown_above() -> None:
    marks = test_every_search_space_grows_its_networks.pytestmark  # type: ignore[attr-defined]
    assert {space for space, _ in marks[0].args[1]} == set(shelf.names("search space"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_its_status_and_the_same_command_goes_on(
    number: signal.Signals, tmp_path: Path
) -> None:
    long = ("--set", "budget.generations=4", "--set", "growth.epochs=60")
    command = [sys.executable, "-m", "recursive_lth", "grow", *SETTINGS, *long]
    with subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "generation 1 of 4" in line:
                os.kill(process.pid, number)
                break
        rest = process.stderr.read()
    assert process.returncode == 128 + number
    assert (
        rest.splitlines()[-1]
        == "recursive-lth: stopped; the same command goes on from what is saved"
    )
    assert "Traceback" not in rest
    done = call("grow", *SETTINGS, *long, "--resume", "must", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["tickets"]) == 5
    assert "generation 0 of 4" not in done.stderr, "what was done is not done again"


SHAPES: dict[str, tuple[tuple[int, ...], int]] = {
    "digits": ((8, 8), 10),
    "mnist": ((28, 28), 10),
    "fashion-mnist": ((28, 28), 10),
    "kmnist": ((28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
}


def has_target(name: str) -> bool:
    """Whether an experiment prunes to a number of weights that its tiny run has to reach too."""
    pruning = shelf.load_experiment(name).pruning
    return bool(pruning.target_weights or pruning.target_density)


def write_data(path: Path, shape: tuple[int, ...], *, classes: int) -> Path:
    """An .npz file with bright and dark images of invented classes."""
    draw = np.random.default_rng(0)

    def part(count: int) -> tuple[Any, Any]:
        labels = np.arange(count) % classes
        shift = (150 * labels / classes).reshape(-1, *[1] * len(shape))
        return (draw.integers(0, 100, (count, *shape)) + shift).astype(np.uint8), labels

    (images, labels), (test_images, test_labels) = part(max(60, 2 * classes)), part(20)
    np.savez(
        path,
        train_images=images,
        train_labels=labels,
        test_images=test_images,
        test_labels=test_labels,
    )
    return path
