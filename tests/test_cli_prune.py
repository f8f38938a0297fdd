"""`prune` on the command line: every experiment at a tiny budget, options, resume, JSON."""

import json
from pathlib import Path

import pytest
from test_cli_grow import SHAPES, write_data
from tiny import call

from recursive_lth import api, shelf
from recursive_lth.cli import main

TINY = (
    *("data.train_limit=90", "data.test_limit=30", "training.epochs=2", "training.batch_size=16"),
    *("tickets.replicates=1", "tickets.look_every=0", "supermask.epochs=1"),
    *("pruning.score_samples=20", "pruning.score_rounds=2"),
)
PRUNE = [name for name, (command, _) in shelf.claims().items() if command == "prune"]
QUICK = [word for s in (*TINY, "pruning.rounds=2") for word in ("--set", s)]


@pytest.mark.parametrize("name", PRUNE)
def test_every_experiment_runs_at_a_tiny_budget(name: str, tmp_path: Path) -> None:
    """On invented data of the right shape, with all of its arms, and its page at the end."""
    written = shelf.load_ticket_experiment(name)
    shape, classes = SHAPES[written.data.name]
    data = write_data(tmp_path / "data.npz", shape, classes=classes)
    tiny = [*TINY, f"data.name={json.dumps(str(data))}"]
    if not written.tickets.densities:
        tiny += ["pruning.rounds=2", "tickets.control_levels=[]"]
    widths = {"vgg-11": [2, 2, 2, 2, 2], "resnet-20": [2, 2, 2]}.get(written.start.architecture)
    tiny += [f"start.hidden={widths}"] if widths else []
    experiment = shelf.load_ticket_experiment(name, tiny)
    lines = list(api.prune(experiment, out=tmp_path / "runs"))
    arms = {arm.name for arm in written.arms} or {"ticket"}
    assert {line["arm"] for line in lines} == arms
    assert (api.run_folder(experiment, tmp_path / "runs") / "report.html").is_file()


def test_a_run_is_printed_shown_reported_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["prune", "prune_digits", *QUICK, "--control", "reinit", "--seed", "3", "--out", "here"]
    first = call(*words, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "ticket minus control" in first.stdout
    assert first.stdout.splitlines()[-1].endswith("report.html")
    assert "level 2  re-initialised" in first.stderr

    def said(*arguments: str) -> str:
        assert main([*arguments]) == 0
        return capsys.readouterr().out

    found = json.loads(said(*words, "--json", "--quiet"))
    assert found["is_finished"]
    assert found["experiment"]["seed"] == 3
    assert [row["variant"] for row in found["pairs"]] == ["reinit", "reinit"]
    assert "finished, 5 networks" in said("show", "prune_digits", "--out", "here")
    assert json.loads(said("show", "prune_digits", "--out", "here", "--json")) == found
    assert "finished, 5 networks" in said("list", "--out", "here")
    assert said("report", "prune_digits", "--out", "here").strip().endswith("report.html")
    tested = {line["digest"]: line["test_accuracy"] for line in found["levels"]}
    for ticket in (tmp_path / "here").rglob("tickets/*.safetensors"):
        evaluated = json.loads(said("evaluate", str(ticket), "--json"))
        assert evaluated["test_accuracy"] == tested[ticket.stem]


def test_options_are_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each named option changes the value it names."""
    words = ["--score", "snip", "--scope", "erk", "--schedule", "one_shot", "--basis", "dct",
             "--rate", "0.3", "--target-density", "0.2", "--density", "0.5", "--density", "0.1",
             "--score-at", "init", "--rewind", "5it", "--restore", "signs", "--control", "reinit",
             "--replicates", "2", "--epochs", "3", "--seed", "9"]  # fmt: skip
    assert main(["prune", *words, "--dry-run", "--json", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)["experiment"]
    wanted = {"score": "snip", "scope": "erk", "schedule": "one_shot", "basis": "dct", "rate": 0.3,
              "target_density": 0.2, "rewind": "5it", "restore": "signs"}  # fmt: skip
    assert found["pruning"].items() >= wanted.items()
    wanted_tickets = {"densities": [0.5, 0.1], "score_at": "init", "controls": ["reinit"],
                      "replicates": 2}  # fmt: skip
    assert found["tickets"].items() >= wanted_tickets.items()
    assert (found["training"]["epochs"], found["seed"]) == (3, 9)
    more = ["--supermask", "bernoulli", "--granularity", "unit"]
    assert main(["prune", *more, "--dry-run", "--out", str(tmp_path)]) == 2
    assert "has no mask for ['shuffled_mask']" in capsys.readouterr().err


def test_a_dry_run_tells_the_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Level 0, and eight levels of a ticket and two controls: 0.67^8 is below 0.06, 0.67^7 not."""
    assert main(["prune", "--dry-run", "--json", "--replicates", "2", "--out", str(tmp_path)]) == 0
    plan = json.loads(capsys.readouterr().out)
    (arm,) = plan["plan"]["arms"]
    assert (arm["levels"], arm["epochs"]) == (8, 2 * 12 * (1 + 8 * 3))
    assert main(["prune", "--dry-run", "--out", str(tmp_path)]) == 0
    assert "# ticket: " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_of_the_other_command_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", "grow_digits", "--out", str(tmp_path)]) == 2
    assert "recursive-lth grow" in capsys.readouterr().err
    assert main(["grow", "prune_digits", "--out", str(tmp_path)]) == 2
    assert "recursive-lth prune" in capsys.readouterr().err
