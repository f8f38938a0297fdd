"""What benchmarks claim: read off their files, and what of two ways `prune_together` compares."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarking import NAMES, Load

from recursive_lth.shelf import load_ticket_experiment


def row_of(what: str, company: float = 1.0, *layers: str) -> dict[str, Any]:
    """A row of engines: nine times as fast as alone, and so many as a dense company."""
    beside = {"threads": 2, "ratio": company, "ratios": [company] * 3}
    own = {"threads": 2, "ratio": 9.0, "ratios": [8.0, 9.0, 10.0]}
    return {"what": what, **own, "sparse_layers": layers, "company": beside}


TOLD: dict[str, Any] = {  # what a file says, of each benchmark
    "training_loop": {
        "rows": [{"optimizer": "adam", "batch_size": 60, "throughput_ratios": [0.8, 0.95, 1.0]}]
    },
    "engines": {
        "rows": [
            row_of("784-1024-1024-10, batch 128, 3.6%"),
            row_of("784-1024-1024-10, batch 128, 1.0%"),
            row_of("16 x LeNet-300-100, 3.6%", 0.9, "fc1"),
            row_of("64 x 64-64-32-10, 100.0%", 0.5),  # dense: one program twice
            row_of("64 x 64-64-32-10, mixed widths, 100.0%"),
        ]
    },
    "scale": {
        "rows": [
            {
                "setting": "selection, 1 % remains",
                "seconds": {"torch": [6.0, 8.0], "ours": [2.0, 2.0]},
                "peak_ratio": 0.25,
            },
            {
                "setting": "selection, 1 % goes",
                "seconds": {"torch": [4.0], "ours": [2.0]},
                "peak_ratio": 0.75,
            },
            {"setting": "transplant, wider", "seconds": {"ours": [3.0], "clone": [2.0]}},
        ]
    },
    "exponents": {
        "seconds by weights": {"dense": {"exponent": 1.25}},
        "megabytes by weights": {"dense": {"exponent": 1.0}},
        "seconds by generations": {
            "seconds so far": {"exponent": 1.5},
            "1e9 multiply-adds so far": {"exponent": 2.0},
        },
    },
    "prune_together": {
        "epochs": 3.0,
        "ratios": [3.0, 3.5, 2.0],
        "overall": {"low": -0.002, "high": 0.001},
    },
    "workers": {"candidates": {"ratios": [1.8]}, "tickets": {"ratios": [1.6]},
                "trials": {"ratios": [1.7]}},
    "graphs": {"lone": {"ratios": [4.0]}, "together": [2.0]},
}  # fmt: skip
FOUND = {  # by benchmark: what its claims come to, each with whether it is met
    "training_loop": [(0.95, True)],
    "engines": [(9, True), (9, True), (9, True), (9, True), (9, True), (0.9, False)],
    "scale": [(3.5, True), (0.25, True), (2, False), (0.75, False), (1.5, True)],
    "exponents": [(1.25, False), (0.75, True)],
    "prune_together": [(3, True), (0.2, False)],
    "workers": [(1.8, True), (1.6, False), (1.7, True)],
    "graphs": [(4, True), (2, True)],
}


@pytest.mark.parametrize("name", FOUND)
def test_claims_are_read(name: str, load_benchmark: Load, tmp_path: Path) -> None:
    """From each file, in its own units and on the right side."""
    run_all: Any = load_benchmark("run_all")
    written = {"machine": {"cores": 2}} | TOLD[name]
    (tmp_path / f"{name}.json").write_text(json.dumps(written), "utf-8")
    found, silent = run_all.claims(tmp_path)
    assert [(pytest.approx(claim.found), claim.is_met) for claim in found] == FOUND[name]
    assert {*silent, name} == set(run_all.READERS) == set(FOUND) == set(NAMES) - {"run_all"}


def test_what_the_files_here_tell(load_benchmark: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """All that were measured: each claim is printed and drawn."""
    run_all: Any = load_benchmark("run_all")
    found, silent = run_all.claims()
    there = {name for name in run_all.READERS if (run_all.HERE / f"{name}.json").exists()}
    assert set(silent) == set(run_all.READERS) - there
    assert there >= {"engines", "prune_together", "scale", "exponents"}
    capsys.readouterr()
    run_all.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(found) > 15
    figure = run_all.figure_of(found)
    assert all(claim.what in figure for claim in found)


def test_a_file_of_another_version_or_machine_is_named(
    load_benchmark: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_all: Any = load_benchmark("run_all")
    for number, name in enumerate(("scale", "engines", "graphs")):
        told = {"machine": {"cores": 2 + number // 2}} | TOLD[name]
        (tmp_path / f"{name}.json").write_text(json.dumps(told), "utf-8")
    (tmp_path / "workers.json").write_text('{"machine": {"cores": 2}, "candidates": {}}', "utf-8")
    (tmp_path / "training_loop.json").write_text(json.dumps(TOLD["training_loop"]), "utf-8")
    _, silent = run_all.claims(tmp_path)
    assert set(silent) == {"workers", "training_loop", "exponents", "prune_together"}
    said = capsys.readouterr().out
    assert "workers.json lacks 'ratios': it is of an older version, run workers anew" in said
    assert "training_loop.json lacks 'machine'" in said
    assert said.count("not measured") == 2
    assert 'graphs is of another machine than most: {"cores":3}' in said


def test_what_fails_does_not_keep_the_others(
    load_benchmark: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    run_all: Any = load_benchmark("run_all")
    asked: list[str] = []

    def run(command: list[str]) -> SimpleNamespace:
        asked.append(Path(command[1]).stem)
        return SimpleNamespace(returncode=int(asked[-1] == "scale"))

    monkeypatch.setattr(run_all.subprocess, "run", run)
    monkeypatch.setattr(run_all.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(run_all, "__file__", str(tmp_path / "run_all.py"))
    told = ["run_all.py", "--only", "scale", "engines", "graphs"]
    monkeypatch.setattr(sys, "argv", told)
    with pytest.raises(SystemExit) as ended:
        run_all.main()
    assert ended.value.code == 1
    assert asked == ["scale", "engines"]
    said = capsys.readouterr().out
    assert "failed: scale" in said
    assert "graphs: left out, no GPU here" in said
    assert (tmp_path / "run_all.svg").exists()
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--only", "workers"])
    with pytest.raises(SystemExit) as ended:
        run_all.main()
    assert ended.value.code == 2
    assert "--data-dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("silent", "has_gpu", "code"),
    [([], False, 0), (["scale"], False, 1), (["graphs"], False, 0), (["graphs"], True, 1)],
)
def test_silence_is_no_success(
    silent: list[str],
    has_gpu: bool,
    code: int,
    load_benchmark: Load,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """But of what needs a GPU where there is none."""
    run_all: Any = load_benchmark("run_all")
    met = run_all.Claim("x", 1.0, (2.0,))
    monkeypatch.setattr(run_all, "claims", lambda: ([met], silent))
    monkeypatch.setattr(run_all.torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(run_all, "__file__", str(tmp_path / "run_all.py"))
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--show"])
    with pytest.raises(SystemExit) as ended:
        run_all.main()
    assert ended.value.code == code


def test_a_claim_is_met_from_either_side(load_benchmark: Load) -> None:
    claim: Any = load_benchmark("run_all").Claim
    for turns, is_at_least, units in (
        ((2.0, 3.0, 9.0), True, 1.5),
        ((2.0, 1.0, 9.0), True, 1.0),
        ((1.0,), True, 0.5),
        ((2.0, 1.0, 9.0), False, 1.0),
        ((1.0, 1.0, 9.0), False, 2.0),
        ((4.0,), False, 0.5),
    ):
        one = claim("x", 2.0, turns, is_at_least)
        assert one.in_units(one.found) == units
        assert one.is_met == (units >= 1)
        assert one.quarters[0] <= one.found <= one.quarters[1]


def test_a_table_of_two_ways(load_benchmark: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Paired differences of what both ways found: at each place, and of replicates over all."""
    together: Any = load_benchmark("prune_together")
    gains = {"ticket": (0.01, 0.02, 0.03), "reinit": (-0.01, 0.0, -0.02)}
    ways: dict[str, Any] = {}
    for way, part in (("alone", 0), ("together", 1)):
        load_ticket_experiment("lth_lenet_mnist", together.settings_of(way, 4.0))
        ways[way] = [
            [0, variant, r, 0.9 + r / 100 + part * gains[variant][r]]
            for variant in gains
            for r in (2, 0, 1)
        ]
    found = together.compared(ways)
    reinit, ticket = found["rows"]
    assert (ticket["level"], ticket["variant"], ticket["n"]) == (0, "ticket", 3)
    assert ticket["difference"] == pytest.approx(0.02)
    assert ticket["together"] - ticket["alone"] == pytest.approx(0.02)
    assert reinit["difference"] == pytest.approx(-0.01)
    overall = found["overall"]  # replicates: 0, .01, .005
    assert overall["difference"] == pytest.approx(0.005)
    assert overall["high"] - overall["difference"] == pytest.approx(4.3027 * 0.005 / 3**0.5, 1e-4)
    together.show(found | {"ratio": 3.0, "ratios": [3.0]})
    said = capsys.readouterr().out
    assert "0 is outside the interval at 0 of 2 places" in said
    assert "over all places +0.50 (-0.74 to +1.74)" in said


def test_ways_take_turns(load_benchmark: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins every other turn; what is found is there after each turn, with its table."""
    together: Any = load_benchmark("prune_together")
    took = iter([8.0, 2.0, 3.0, 9.0, 10.0, 2.0])
    asked: list[str] = []

    def elsewhere(way: str, epochs: float, data_dir: Path) -> dict[str, Any]:
        asked.append(way)
        accuracy = 0.9 + len(asked) / 100
        lines = [[0, "ticket", r, accuracy + r / 1000] for r in range(3)]
        return {"seconds": next(took), "lines": lines}

    monkeypatch.setattr(together, "elsewhere", elsewhere)
    ratios = []
    for found in together.in_turns(3, 1.0, Path()):
        ratios.append(found["ratio"])
        assert len(found["ratios"]) == len(ratios)
    assert asked == ["alone", "together", "together", "alone", "alone", "together"]
    assert ratios == [4.0, 3.5, 4.0]
    assert found["ratios"] == [4.0, 3.0, 5.0]
    assert found["rows"][0]["alone"] == pytest.approx(0.951)
    assert found["rows"][0]["together"] == pytest.approx(0.961)
