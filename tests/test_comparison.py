"""Runs side by side: who are replicates, what differs, and the numbers over seeds."""

import json
import shutil
from pathlib import Path
from statistics import mean

import pytest
from fake_runs import EXPERIMENT, grow_mlp, write_run
from search_runs import run, small

from recursive_lth.cli import main
from recursive_lth.cli.compare import EXAMPLES
from recursive_lth.config import Growth
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.report.comparison import Run, compare, read_runs

SEVENTH = 8 * 4_100_000_000  # multiply-adds that a made-up lineage of eight tickets takes


def made_up(policy: str, seed: int, accuracy: float) -> Run:
    """A run of one policy; its test accuracy is that of validation less a tenth."""
    settings = {"name": f"run{seed}", "seed": seed, "growth.policy": policy, "growth.epochs": 3}
    numbers = {"val_accuracy": accuracy, "test_accuracy": accuracy - 0.1}
    numbers |= {"remaining_weights": 10, "depth": 2, "multiply_adds": 5}
    return Run(Path(f"{policy}-{seed}"), settings, seed, numbers)


def written(
    out: Path, seed: int, *, policy: str = "gp", bound: float = 0.0, is_finished: bool = True
) -> Path:
    """The folder of a made-up run of eight tickets under a bound on multiply-adds (0: none)."""
    folder = write_run(out / f"{policy}-{seed}", grow_mlp(), finished=is_finished)
    text = EXPERIMENT.replace("seed = 7", f"seed = {seed}")
    text = text.replace("[growth]", f'[growth]\npolicy = "{policy}"')
    budget = f"[budget]\nmultiply_adds = {float(bound)!r}\n"
    (folder / "experiment.toml").write_text(text + budget, "utf-8")
    return folder


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
    found, left_out = read_runs(tmp_path.iterdir())
    assert len(found) == 3
    assert [(left.seed, left.reason.split(";")[0]) for left in left_out] == [(9, "unfinished")]
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
        compare(*read_runs(tmp_path.iterdir()))
    written(tmp_path, 0, bound=1.0)
    with pytest.raises(InputError, match=r"no finished run .*gp-0: no accepted ticket within"):
        compare(*read_runs(tmp_path.iterdir()))


def test_runs_set_aside_do_not_count(tmp_path: Path) -> None:
    """`--resume never` renames the earlier run of a seed, which is one replicate, not two."""
    for seed in (0, 1):
        written(tmp_path, seed)
    shutil.copytree(tmp_path / "gp-0", tmp_path / "gp-0.old-1")
    (group,) = compare(*read_runs(tmp_path.iterdir()))["groups"]
    assert group["seeds"] == [0, 1]
    assert group["val_accuracy"]["n"] == 2


def test_two_runs_of_one_seed_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(written(tmp_path, 0), tmp_path / "gp-copy")
    with pytest.raises(InputError, match=r"gp-0 and \S*gp-copy are .* seed 0, .*: move one"):
        compare(*read_runs(tmp_path.iterdir()))
    assert main(["compare", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("experiment.toml", None),
        ("experiment.toml", "seed = 0\n[growth"),
        ("experiment.toml", "seed = 0\n[growth]\n"),
        ("summary.json", '{"seed": 0, "tick'),
        ("summary.json", "[]"),
        ("summary.json", '{"seed": 0}'),
        ("summary.json", '{"seed": 0, "tickets": [{"generation": 0}]}'),
        ("lineage.jsonl", None),
        ("lineage.jsonl", ""),
        ("lineage.jsonl", '{"generation": 0}\n{"gener'),
    ],
)
def test_damage_is_said_in_one_line(
    name: str, content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of a finished run that is gone (None) or torn is named with a cure, at status 3."""
    path = written(tmp_path, 0) / name
    path.unlink()
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(DamagedFileError, match=rf"{name}.*: .*(restore|run|resume)"):
        read_runs(tmp_path.iterdir())
    assert main(["compare", "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert name in said
    assert said.count("\n") == 1


def test_folders_of_others_are_passed_over(tmp_path: Path) -> None:
    """Runs of `prune` name their command, those of `signal` have tickets nowhere."""
    written(tmp_path, 0)
    for folder, experiment in (("p", 'command = "prune"'), ("s", "seed=1\nbudget.multiply_adds=0")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "experiment.toml").write_text(experiment, "utf-8")
        (tmp_path / folder / "summary.json").write_text('{"seed": 1}', "utf-8")
    (tmp_path / ".locks").mkdir()
    runs, left_out = read_runs(tmp_path.iterdir())
    assert ([run.folder.name for run in runs], left_out) == (["gp-0"], [])


def test_tickets_beyond_the_bound_do_not_count(tmp_path: Path) -> None:
    """Generation 6 is best and costs seven eighths; under a bound of less than that 4 is best.

    The cost is that of the last ticket paid for, accepted or not; a ticket at the bound counts.
    """
    lines = grow_mlp()
    for bound, best, last in ((0, 6, 7), (SEVENTH * 7 / 8, 6, 6), (SEVENTH * 7 / 8 - 1, 4, 5)):
        out = tmp_path / str(bound)
        written(out, 0, bound=bound)
        ((run,), left_out) = read_runs(out.iterdir())
        assert run.numbers["val_accuracy"] == lines[best]["val_accuracy"]
        assert run.numbers["remaining_weights"] == lines[best]["remaining_weights"]
        assert run.numbers["multiply_adds"] == lines[last]["training_cost"]
        assert left_out == []


def test_what_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ticket 0 alone is within the bound of one run, and one is unfinished; both are said."""
    written(tmp_path, 0)
    written(tmp_path, 1, policy="random", bound=5e9)
    written(tmp_path, 2, is_finished=False)
    assert main(["compare", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["differing"] == []
    assert [row["seeds"] for row in found["groups"]] == [[0]]
    unfinished, unpaid = found["left_out"]
    assert unfinished["settings"] == {"budget.multiply_adds": 0, "growth.policy": "gp"}
    assert unpaid["settings"] == {"budget.multiply_adds": 5e9, "growth.policy": "random"}
    assert (unfinished["seed"], unpaid["seed"]) == (2, 1)
    assert "unfinished" in unfinished["reason"]
    assert unpaid["reason"] == "no accepted ticket within budget.multiply_adds=5e+09"
    assert unpaid["folder"] == str(tmp_path / "random-1")
    assert main(["compare", "--out", str(tmp_path)]) == 0
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("left out: ")
    assert "gp-2" in first
    assert "policy random, seed 1): no accepted ticket within" in second


def test_a_run_whose_tickets_were_all_refused_is_left_out(tmp_path: Path) -> None:
    """The reason is not the bound, which a run may have beside."""
    path = written(tmp_path, 0, bound=5e9) / "summary.json"
    path.write_text(path.read_text("utf-8").replace('"accepted": true', '"accepted": false'))
    runs, (left,) = read_runs(tmp_path.iterdir())
    assert (runs, left.reason) == ([], "no accepted ticket")


def test_the_example_compares_the_default_policy() -> None:
    assert f"for p in {Growth().policy} random" in EXAMPLES
