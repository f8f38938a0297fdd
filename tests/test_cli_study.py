"""`study` on the command line: plans, runs, subjects, JSON, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import run as run_grow
from search_runs import small as small_grow
from studies import ARMS, CONTRASTS, small
from test_cli_grow import SHAPES, write_data
from tiny import call

from recursive_lth import api, shelf
from recursive_lth.cli import main
from recursive_lth.config import StudyExperiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.running.supply import Supply
from recursive_lth.study.power import chance_found
from recursive_lth.study.run import planned

STUDIES = [name for name, (command, _) in shelf.claims().items() if command == "study"]
CPU = torch.device("cpu")
TINY = (
    *("data.train_limit=70", "data.test_limit=30", "training.batch_size=63"),
    *("study.seeds=1", "study.looks=2", "study.samples=20"),
)
QUICK = ("--set", "study.samples=20", "--set", "study.looks=2", "--panel", "loss_area")


def written(folder: Path, experiment: StudyExperiment | None = None) -> str:
    """The file of a small study."""
    path = folder / "small.toml"
    chosen = experiment or small(arms=ARMS, contrasts=CONTRASTS)
    path.write_text(experiment_to_toml(chosen), "utf-8")
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command prints; on an error what it complains of."""
    assert main([*words]) == code
    out = capsys.readouterr()
    return out.err if code else out.out


def test_a_study_is_run_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a process of its own; then again as JSON without computing anything."""
    words = ["study", written(tmp_path), "--out", "here"]
    first = call(*words, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "pruning ages" in first.stdout
    assert "undecided" in first.stdout
    assert first.stdout.splitlines()[-1].endswith("report.html")
    told = first.stderr.splitlines()
    for seed in (3, 4):
        for name in ARMS:
            assert sum(line.startswith(f"seed {seed}  {name}  after") for line in told) == 1
    assert len([line for line in told if line.startswith("seed")]) == 2 * 3
    assert sum("reading the panel" in line for line in told) == 1
    (folder,) = (tmp_path / "here").glob("small-*")
    for line in first.stdout.splitlines()[-2:]:
        assert (tmp_path / line.split()[1]).is_file()
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("*.json*")}
    out = ("--out", str(tmp_path / "here"))
    found = json.loads(said(capsys, "study", words[1], *out, "--json", "--quiet"))
    assert found["is_finished"]
    assert [v["name"] for v in found["verdicts"]] == ["pruning ages", "growth rejuvenates"]
    assert len(found["readings"]) == 2 * 3 * 2
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.json*")} == stamps
    assert main(["study", str(folder), *out, "--json"]) == 0
    again = capsys.readouterr()
    assert json.loads(again.out)["verdicts"] == found["verdicts"]
    assert not again.err  # its readings were told when it ran


def test_a_plan_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Arms, cost and power; --dry-run has the resolved experiment before them."""
    words = ("study", written(tmp_path), "--out", str(tmp_path), "--seeds", "7")
    text = said(capsys, *words, "--plan")
    assert "grown" in text
    assert "5 + 10" in text
    assert "# 7 seeds, " in text
    assert "[study]" not in text
    whole = said(capsys, *words, "--dry-run")
    assert "[study]" in whole
    assert whole.endswith(text)
    found: dict[str, Any] = json.loads(said(capsys, *words, "--plan", "--json"))
    assert found["experiment"]["study"]["seeds"] == found["plan"]["seeds"] == 7
    assert found["plan"]["arms"]["pruned"]["steps"] == [5, 10]
    assert found["power"]["seeds"] == 7
    first, second = found["contrasts"]
    assert (first["name"], first["arm"], first["rival"]) == ("pruning ages", "pruned", "untouched")
    assert (first["direction"], second["direction"]) == ("less", "more")
    assert first["factors"] == second["factors"] == ["structure"]
    assert first["multiply_adds"]["arm"] == found["plan"]["arms"]["pruned"]["multiply_adds"]
    assert (first["n"], first["smallest"]) == (7, found["power"]["smallest"])
    assert first["power"] == chance_found(1.0, 7, 2)
    (row,) = [line for line in text.splitlines() if line.lstrip().startswith("growth rejuvenates")]
    for cell in ("grown > pruned", "val_accuracy at 1", "structure", f"{first['smallest']:.2f} sd"):
        assert cell in row
    assert not list(tmp_path.glob("small-*"))


def test_a_plan_reads_the_spread_of_an_earlier_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The least effect found with twenty seeds, by the spread that a few have shown."""
    words = ("study", written(tmp_path), "--out", str(tmp_path))
    assert "least effect found" not in said(capsys, *words, "--plan", "--seeds", "20")
    folder = tmp_path / "small-earlier"
    folder.mkdir()
    effect = {"mean": 0.1, "sd": 0.04, "low": 0.0, "high": 0.2, "resampled": None}
    verdict = {"name": "pruning ages", "unit": "share", "n": 4, "effect": effect}
    (folder / "verdicts.json").write_text(json.dumps({"verdicts": [verdict]}), "utf-8")
    text = said(capsys, *words, "--plan", "--seeds", "20")
    assert "by small-earlier" in text
    assert "+4.00 points" in text


def test_options_are_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study", written(tmp_path, small(arms=ARMS)), "--out", str(tmp_path), "--plan"]
    words += ["--panel", "val_loss", "--panel", "plasticity", "--seeds", "3", "--seed", "9",
              "--set", "study.target=0.5", "--engine", "dense"]  # fmt: skip
    found = json.loads(said(capsys, *words, "--json"))
    experiment = found["experiment"]
    assert experiment["study"]["panel"] == ["val_loss", "plasticity"]
    assert (experiment["study"]["seeds"], experiment["seed"]) == (3, 9)
    assert (experiment["study"]["target"], experiment["training"]["engine"]) == (0.5, "dense")
    assert found["plan"]["probing_multiply_adds"] > 0
    assert found["power"] is None


def test_a_run_of_grow_and_its_tickets_are_subjects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the beginning of its name; of a ticket by its path, and by --data outside of a run."""
    folder = run_grow(small_grow("budget.generations=1"), tmp_path)
    words = ("--out", str(tmp_path), "--json", "--quiet", *QUICK)
    found = json.loads(said(capsys, "study", "small", *words))
    assert {row["arm"] for row in found["readings"]} == {"lineage"}
    assert {row["training"] for row in found["readings"]} == {0, 1}
    ticket = next(folder.glob("tickets/*.safetensors"))
    found = json.loads(said(capsys, "study", str(ticket), *words))
    assert {row["arm"] for row in found["readings"]} == {"ticket"}
    assert found["experiment"]["data"]["train_limit"] == 150
    for others in (
        ("--seeds", "2"),
        ("--seed", "9"),
        ("--set", "data.validation_fraction=0.3"),
    ):
        for subject in ("small", str(ticket)):
            complaint = said(capsys, "study", subject, *others, *words, code=2)
            assert "has taught this network: leave out --seed" in complaint
    loose = tmp_path / "loose.safetensors"
    loose.write_bytes(ticket.read_bytes())
    assert "name its data with --data" in said(capsys, "study", str(loose), *words, code=2)
    limit = ("--set", "data.train_limit=60")
    found = json.loads(said(capsys, "study", str(loose), "--data", "digits", *limit, *words))
    assert found["experiment"]["data"]["train_limit"] == 60
    assert "studied on its own data" in said(
        capsys, "study", str(folder), "--data", "mnist", *words, code=2
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nothing",), "no run 'nothing'"),
        (("study_digts",), "or an experiment of `study`: did you mean 'study_digits'?"),
        (("prune_digits",), "`recursive-lth prune prune_digits` runs it"),
        (("nothing.toml",), "nothing.toml"),
        (("nothing.safetensors",), "no ticket at nothing.safetensors"),
        (("FILE", "--panel", "dormant"), "unknown measure 'dormant'"),
        (("FILE", "--seeds", "0"), "study.seeds must be"),
        (("FILE", "--set", "study.sedes=3"), "unknown key study.sedes"),
        (("FILE", "--set", "training.epochs=3"), "training.epochs is not read by a study"),
        (("FILE", "--set", "study.contrasts=['x: grown > prund in val_accuracy']"),
         "unknown arm 'prund': did you mean 'pruned'"),
        (("FILE", "--workers", "none"), "--workers takes a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_exits_with_2(
    words: tuple[str, ...], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [written(tmp_path) if word == "FILE" else word for word in words]
    complaint = " ".join(said(capsys, "study", *given, "--out", str(tmp_path), code=2).split())
    assert why in complaint


def on_invented_data(name: str, folder: Path, *settings: str) -> StudyExperiment:
    """A study of the shelf on few samples of the right shape."""
    shape, classes = SHAPES[shelf.load_study_experiment(name).data.name]
    data = write_data(folder / "data.npz", shape, classes=classes)
    return shelf.load_study_experiment(name, [f"data.name={json.dumps(str(data))}", *settings])


@pytest.mark.parametrize("name", STUDIES)
def test_no_study_on_the_shelf_is_refused(name: str, tmp_path: Path) -> None:
    """Every arm plays, every contrast is at equal cost and differs in the factors it names."""
    experiment = on_invented_data(name, tmp_path)
    foreseen = planned(experiment, Supply(None, CPU))
    assert foreseen.stands.keys() == {arm.name for arm in experiment.arms}
    assert foreseen.multiply_adds > 0


@pytest.mark.parametrize(
    "name", [n if n == "study_digits" else pytest.param(n, marks=pytest.mark.slow) for n in STUDIES]
)
def test_every_study_on_the_shelf_runs_at_a_tiny_budget(name: str, tmp_path: Path) -> None:
    """All of its arms, all of its measures, its verdicts and its page."""
    experiment = on_invented_data(name, tmp_path, *TINY)
    lines = list(api.run_study(experiment, out=tmp_path / "runs", device="cpu"))
    assert {line["arm"] for line in lines} == {arm.name for arm in experiment.arms}
    assert not any(line["is_diverged"] for line in lines)
    folder = api.run_folder(experiment, tmp_path / "runs")
    assert (folder / "report.html").is_file()
    found = json.loads((folder / "verdicts.json").read_text("utf-8"))["verdicts"]
    assert len(found) == len(experiment.study.contrasts)
