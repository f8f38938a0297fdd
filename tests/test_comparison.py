"""Runs side by side: who are replicates, what differs, and the numbers over seeds."""

import json
from pathlib import Path
from statistics import mean

import pytest
from search_runs import run, small

from recursive_lth.cli import main
from recursive_lth.errors import InputError
from recursive_lth.report.comparison import Run, compare, finished_runs


def made_up(policy: str, seed: int, accuracy: float) -> Run:
    """A run of one policy; its test accuracy is that of validation less a tenth."""
    settings = {"name": f"run{seed}", "seed": seed, "growth.policy": policy, "growth.epochs": 3}
    numbers = {"val_accuracy": accuracy, "test_accuracy": accuracy - 0.1}
    return Run(settings, seed, numbers | {"remaining_weights": 10, "depth": 2, "multiply_adds": 5})


def test_groups_are_ranked_and_paired_by_seed() -> None:
    runs = [made_up("tpe", s, 0.9 + 0.01 * s) for s in range(3)]
    runs += [made_up("random", s, 0.8 + 0.01 * s) for s in (2, 1)]
    found = compare(runs)
    assert found["differing"] == ["growth.policy"]
    assert [row["settings"] for row in found["groups"]] == [
        {"growth.policy": "tpe"}, {"growth.policy": "random"}
    ]  # fmt: skip
    best, other = found["groups"]
    assert (best["seeds"], other["seeds"]) == ([0, 1, 2], [1, 2])
    assert best["val_accuracy"]["mean"] == pytest.approx(0.91)
    assert best["behind"] is None
    assert other["behind"]["mean"] == pytest.approx(-0.1)
    assert other["behind"]["n"] == 2


def test_real_runs_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two seeds of one experiment and one of another; unfinished runs are left out."""
    for settings in (("seed=1",), ("seed=2",), ("seed=1", "growth.policy=round_robin")):
        run(small("budget.generations=2", *settings), tmp_path)
    run(small("seed=9"), tmp_path, generations=1)
    found = finished_runs(tmp_path.iterdir())
    assert len(found) == 3
    groups = compare(found)["groups"]
    assert sorted(len(row["seeds"]) for row in groups) == [1, 2]
    summaries = [json.loads(p.read_text("utf-8")) for p in tmp_path.glob("small-*/summary.json")]
    cost = mean(s["cost"]["training_multiply_adds"] for s in summaries)
    assert mean(r.numbers["multiply_adds"] for r in found) == cost
    assert main(["compare", "small", "--out", str(tmp_path)]) == 0
    assert "policy" in capsys.readouterr().out
    assert main(["compare", "small", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differing"] == ["growth.policy"]


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        compare(finished_runs(tmp_path.iterdir()))
