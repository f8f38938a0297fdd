"""The summary: what a finished run reports, and that the test data reported and nothing else."""

import json
import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import digits, rows_of, run, small, timeless, write_data

from recursive_lth.running import machine as machines
from recursive_lth.running import supply as module
from recursive_lth.running.machine import versions
from recursive_lth.running.run_folder import run_folder
from recursive_lth.ticket.ticket import load_ticket
from recursive_lth.training.samples import Samples, Split
from recursive_lth.training.split import split

SMALL = small("budget.generations=2", "acceptance.max_density=0.5", 'claim="Small <ones> grow."')


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    return run(SMALL, tmp_path_factory.mktemp("finished"))


def summary_of(folder: Path) -> dict[str, Any]:
    """summary.json, read without the code under test."""
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    return found


def test_the_summary_says_what_ran(finished: Path) -> None:
    """Every promised name, and the values of the experiment and the machine."""
    found = summary_of(finished)
    assert list(found) == [
        *(
            "format",
            "name",
            "digest",
            "seed",
            "claim",
            "policy",
            "stopped_because",
            "best",
            "front",
        ),
        *("cost", "versions", "machine", "tickets"),
    ]
    assert (found["format"], found["name"], found["seed"]) == (1, "small", 3)
    assert (found["digest"], found["claim"]) == (SMALL.digest, "Small <ones> grow.")
    assert found["stopped_because"] == "all 2 generations are done"
    assert found["machine"]["device"] == "cpu"
    assert found["machine"]["threads"] == 1
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["system"] == platform.platform()
    assert found["versions"]["python"] == platform.python_version()
    assert torch.__version__.startswith(found["versions"]["torch"])


def test_its_tickets_are_the_lineage(finished: Path) -> None:
    """The same lines, with the accuracy of each ticket on the test data, measured here anew."""
    found = summary_of(finished)
    lineage = rows_of(finished / "lineage.jsonl")
    assert found["tickets"] == lineage
    test = split(digits(), SMALL.data, SMALL.seed, torch.device("cpu")).test
    for row in lineage:
        ticket = load_ticket(finished / "tickets" / f"{row['digest']}.safetensors")
        logits = ticket.module().eval()(test.images)
        assert row["test_accuracy"] == float((logits.argmax(1) == test.labels).double().mean())


def test_the_best_is_chosen_on_validation_data(finished: Path) -> None:
    """The most accurate accepted one of generation 1 or later; every best is on the front."""
    found = summary_of(finished)
    winning = [t for t in found["tickets"] if t["accepted"] and t["generation"] > 0]
    best = max(winning, key=lambda t: (t["val_accuracy"], -t["val_calibrated_loss"]))
    assert found["best"] == best["digest"]
    assert set(found["front"]) <= {t["digest"] for t in winning}
    fewest = min(t["remaining_weights"] for t in winning)
    by_digest = {t["digest"]: t for t in winning}
    assert fewest in {by_digest[digest]["remaining_weights"] for digest in found["front"]}


def test_without_a_winning_ticket_there_is_no_best(tmp_path: Path) -> None:
    found = summary_of(run(small("acceptance.max_density=0.1", "budget.patience=1"), tmp_path))
    assert (found["best"], found["front"]) == (None, [])
    assert [t["accepted"] for t in found["tickets"]] == [True, False]
    assert found["stopped_because"] == "1 tickets in a row were rejected"
    assert all(t["test_accuracy"] is not None for t in found["tickets"])


def test_costs_are_those_of_the_whole_run(finished: Path) -> None:
    """The last ticket's running totals; seconds by activity add up to no more than the total."""
    found = summary_of(finished)
    last = found["tickets"][-1]
    assert found["cost"]["training_multiply_adds"] == last["training_cost"]
    assert found["cost"]["training_steps"] == last["training_steps"]
    seconds = found["cost"]["seconds"]
    total = seconds.pop("total")
    assert set(seconds) == {"data", "training", "evaluation", "growth", "pruning", "saving"}
    assert 0 < sum(seconds.values()) <= total
    assert sum(t["seconds"] for t in found["tickets"]) <= total


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(machines, "version", missing)
    assert versions() == {"python": platform.python_version()} | dict.fromkeys(machines.PACKAGES)


def test_the_test_data_change_nothing_but_what_is_reported(tmp_path: Path) -> None:
    """Other test samples: the same tickets to the last byte, the same verdicts, the same best."""
    path, found = tmp_path / "data.npz", []
    experiment = small(f"data.name={json.dumps(str(path))}", "budget.generations=2")
    for seed in (1, 2):
        write_data(path, 0, test_seed=seed)
        found.append(run(experiment, tmp_path / str(seed)))
    one, other = (timeless(folder) for folder in found)
    reporting = {"origin.json", "lineage.jsonl", "summary.json"}
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} == reporting
    lines = [rows_of(folder / "lineage.jsonl") for folder in found]
    tested = [[row.pop("test_accuracy") for row in line] for line in lines]
    assert tested[0] != tested[1]
    for row in (*lines[0], *lines[1]):
        row.pop("seconds")
    assert lines[0] == lines[1]


class Sealed(Samples):
    """Test samples that may be looked at only once the lineage has all its lines."""

    def open_when(self, lineage: Path, lines: int) -> "Sealed":
        object.__setattr__(self, "_seal", (lineage, lines, []))
        return self

    def __getattribute__(self, name: str) -> Any:
        if name in {"images", "labels"} and "_seal" in object.__getattribute__(self, "__dict__"):
            lineage, lines, looks = object.__getattribute__(self, "_seal")
            assert lineage.exists(), "test data read before the first ticket"
            assert len(rows_of(lineage)) == lines, f"test data read after {len(rows_of(lineage))}"
            looks.append(name)
        return object.__getattribute__(self, name)


def test_the_test_data_are_read_at_the_end_once_a_ticket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither judged by, nor certified on, nor trained on: their tensors are first touched then."""
    sealed: list[Sealed] = []

    def sealing(*arguments: Any, **options: Any) -> Split:
        parts = split(*arguments, **options)
        path = run_folder(SMALL, tmp_path).path / "lineage.jsonl"
        sealed.append(Sealed(parts.test.images, parts.test.labels).open_when(path, 3))
        return replace(parts, test=sealed[0])

    monkeypatch.setattr(module, "split", sealing)
    run(SMALL, tmp_path)
    looks = object.__getattribute__(sealed[0], "_seal")[2]
    assert looks.count("images") == 3
