"""The benchmarks at a tiny size: each runs, and measures what it says it does."""

import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
import torch

from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Experiment, Training
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.running.engines import plan_of
from recursive_lth.running.job import Job
from recursive_lth.shelf import load_experiment, load_ticket_experiment, load_tuning_experiment
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.training.engine import DENSE, Plan

FOLDER = Path(__file__).parents[1] / "experiments" / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
SIZES = {"weights": (10_000, 20_000, 40_000), "density": (0.05, 0.1, 0.3), "population": (1, 2, 4)}
SHORT = (  # settings of a run on digits
    "training.epochs=0.5", "growth.epochs=0.5", "growth.judge_epochs=0.5", "growth.rungs=1",
    "growth.candidates=1", "growth.policy=random",
)  # fmt: skip
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """A benchmark by name; they import each other as scripts of one folder do."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    yield importlib.import_module
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def exponents(load: Load, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The exponents' benchmark at sizes that take no time."""
    found = load("exponents")
    for name, value in {"SIZES": SIZES, "TURNS": 3, "TURN": 0.0, "GENERATIONS": 2}.items():
        monkeypatch.setattr(found, name, value)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported(name: str, load: Load) -> None:
    assert (load(name).__doc__ or "").splitlines()[2].startswith("    python experiments/")


def test_exponents_are_measured_and_drawn(exponents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time and memory of every axis; turns have quartiles about their median, processes none."""
    monkeypatch.setattr(exponents, "LEAST_WEIGHTS", 0)
    monkeypatch.setattr(exponents, "peak_elsewhere", lambda axis, way, size: size**2)
    told = {
        kind: {"so far": [(n, [float(n)]) for n in (1, 2, 3)]} for kind in ("seconds", "megabytes")
    }
    monkeypatch.setattr(exponents, "by_generation_elsewhere", lambda: told)
    panels = exponents.measure()
    quantities = ("seconds", "megabytes")
    assert list(panels) == [
        f"{q} by {axis}" for q in quantities for axis in (*SIZES, "generations")
    ]
    for title, curves in panels.items():
        quantity, _, axis = title.split()
        for found in curves.values():
            sizes = [size for size, _ in found["curve"]]
            assert tuple(sizes) == SIZES.get(axis, (1, 2, 3))
            assert math.isfinite(found["exponent"])
            assert ("spread" in found) == (quantity == "seconds" and axis in SIZES)
            pairs = zip(found["curve"], found.get("spread", []), strict=False)
            assert all(0 < low <= middle <= high for (_, middle), (low, high) in pairs)
    assert panels["megabytes by density"]["sparse"]["exponent"] == pytest.approx(2)
    assert "training step, 1 % sparse" in exponents.figure_of(panels)


def test_an_exponent_is_that_of_the_upper_half(exponents: Any) -> None:
    curve = [(n, [1.0, 3.0 * n**2, 1e9]) if n > 3 else (n, [7.0, 7.0, 7.0]) for n in range(1, 7)]
    found = exponents.fitted(curve)
    assert found["exponent"] == pytest.approx(2)
    assert found["curve"][-1] == (6, 108.0)
    assert found["spread"][0] == (7.0, 7.0)


def test_peaks_can_be_told(exponents: Any) -> None:
    """Above what the tests before have held: only that one of each axis runs, and one elsewhere."""
    for axis, ways in exponents.WAYS.items():
        assert exponents.peak(axis, next(iter(ways)), SIZES[axis][0]) >= 0
    assert exponents.peak_elsewhere("density", "sparse", 0.1) >= 0


def test_generations_are_measured(exponents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(name: str, settings: list[str]) -> Experiment:
        return load_experiment(name, [*settings, *SHORT])

    monkeypatch.setattr(exponents, "load_experiment", short)
    found = exponents.by_generation()
    for curves in found.values():
        for curve in curves.values():
            assert [generation for generation, _ in curve] == [1, 2]
            assert all(value > 0 for _, (value,) in curve)


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_sparse_is_what_the_engine_of_that_name_gives(kind: str, exponents: Any) -> None:
    """The plan of a run with `training.engine=sparse`: of a perceptron all layers, compiled."""
    network = {"mlp": mlp((784,), 10, (30, 20)), "convnet": convnet((1, 8, 8), 10, (4, 6))}[kind]
    recipe = Training(optimizer="adam", batch_size=64, engine="sparse")
    shape = network.shapes[network.input]
    batches = exponents.data(shape, 64, recipe)
    one = exponents.member(network, 0.1, batches, recipe, 0)
    whole = seed_ticket(birth(network), torch.Generator().manual_seed(0), "kaiming_normal")
    bench = SimpleNamespace(batches=batches, choices=None)
    weights = masking.apply(whole.weights, one.masks)
    ticket = replace(whole, masks=one.masks, weights=weights, rewind=weights)
    plan = plan_of(cast("Any", bench), ticket, Job("one", recipe, 7, 0))
    assert exponents.sparse_plan(one) == plan
    assert plan != DENSE
    engine = next(exponents.alone(one, plan)).engine
    assert (engine.chain is not None) == (kind == "mlp")


def test_engines_are_compared_and_drawn(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    engines: Any = load("engines")
    monkeypatch.setattr(engines, "TURNS", 2)
    lone = engines.single("tiny", mlp((16,), 10, (8, 8)), 8, 0.1, 1)
    several = engines.many("tiny", (16,), [(8, 8), (4, 6)], 8, 0.1, 5)
    for row in (lone, several, several["company"]):
        assert row["least"] <= row["ratio"] <= row["most"]
        assert len(row["ratios"]) == 2
    assert "tiny" in engines.figure_of([row | {"threads": 2} for row in (lone, several)])
    plan = Plan(("fc1", "fc2", "output"))
    next(engines.alone(engines.member(*small_member(engines)), plan))


def small_member(engines: Any) -> tuple[Any, ...]:
    """What `engines.member` is given, of a tiny network."""
    recipe = Training(batch_size=8)
    return mlp((16,), 10, (8, 8)), 0.1, engines.data((16,), 32, recipe), recipe, 0


def test_the_machine_is_told(load: Load, tmp_path: Path) -> None:
    """By its processor's model, where Linux knows one."""
    engines: Any = load("engines")
    about = tmp_path / "cpuinfo"
    assert engines.model_of(about) == engines.platform.processor()
    about.write_text("processor\t: 0\nBogoMIPS\t: 50\n", "utf-8")
    assert engines.model_of(about) == engines.platform.processor()
    about.write_text("processor\t: 0\nmodel name\t: A: Processor\nmodel name\t: B\n", "utf-8")
    assert engines.model_of(about) == "A: Processor"
    machine = engines.machine()
    assert list(machine) == ["processor", "model", "cores", "torch"]
    assert machine["cores"] == os.cpu_count()


def test_steps_of_a_gpu_run_on_a_cpu(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its docstring says; nothing is written there."""
    graphs: Any = load("graphs")
    monkeypatch.setattr(graphs, "TICKETS", 2)
    monkeypatch.setattr(sys, "argv", ["graphs.py", "--device", "cpu", "--steps", "1"])
    graphs.main()
    assert "a step of 2 tickets takes" in capsys.readouterr().out


def test_loops_do_the_same(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself refuses two loops that end with other weights."""
    loop: Any = load("training_loop")
    monkeypatch.setattr(loop, "SAMPLES", 64)
    row = loop.compare(Training(optimizer="adam", batch_size=16, schedule="constant"), 3, 1)
    assert len(row["throughput_ratios"]) == 1


def test_workers_measure_experiments_that_there_are(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: Any = load("workers")
    monkeypatch.setattr(workers, "STEPS", 2)
    monkeypatch.setattr(workers, "SAMPLES", 120)
    load_experiment("recursive_mnist", workers.CANDIDATES)
    load_ticket_experiment("lth_lenet_mnist", workers.TICKETS)
    load_tuning_experiment("tune_digits", workers.TRIALS)
    took, losses = workers.loops("1", None)
    assert took > 0
    assert len(losses) == 2


def test_a_table_of_two_ways(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """The paired difference of what both ways found of each network."""
    together: Any = load("prune_together")
    ways: dict[str, Any] = {}
    for way, gain in (("alone", 0.0), ("together", 0.01)):
        load_ticket_experiment("lth_lenet_mnist", together.settings_of(way, 4.0))
        ways[way] = {"lines": [[0, "ticket", r, 0.9 + r / 100 + gain] for r in range(3)]}
    (row,) = together.table(ways)
    assert (row["level"], row["variant"], row["n"]) == (0, "ticket", 3)
    assert row["difference"] == pytest.approx(0.01)
    assert row["together"] - row["alone"] == pytest.approx(0.01)
    together.show([row])
    assert "0 is outside the interval at 1 of 1 places" in capsys.readouterr().out


def test_ways_take_turns(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    together: Any = load("prune_together")
    took = iter([8.0, 2.0, 9.0, 3.0, 10.0, 2.0])
    asked: list[tuple[str, float]] = []

    def elsewhere(way: str, epochs: float, data_dir: Path) -> dict[str, float]:
        asked.append((way, epochs))
        return {"seconds": next(took)}

    monkeypatch.setattr(together, "elsewhere", elsewhere)
    found = together.in_turns(3, 1.0, Path())
    assert asked == [("alone", 1.0), ("together", 1.0)] * 3
    assert found["ratios"] == [4.0, 3.0, 5.0]
    assert found["ratio"] == 4.0


def test_claims_are_held_against_what_was_found(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each benchmark whose file is there; of others it is said that they are not."""
    run_all: Any = load("run_all")
    assert set(run_all.READERS) == set(NAMES) - {"run_all"}
    found = run_all.claims()
    said = capsys.readouterr().out
    assert said == "graphs: not measured\n"
    assert len(found) > 15
    run_all.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ["met " if c.is_met else "MISS" for c in found]
    figure = run_all.figure_of(found)
    assert all(claim.what in figure for claim in found)
    (tmp_path / "workers.json").write_text('{"candidates": {}}', "utf-8")
    assert run_all.claims(tmp_path) == []
    said = capsys.readouterr().out
    assert "workers.json lacks 'ratios': it is of an older version, run workers anew" in said
    assert said.count("not measured") == len(run_all.READERS) - 1


def test_what_fails_does_not_keep_the_others(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_all: Any = load("run_all")
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


def test_a_claim_is_met_from_either_side(load: Load) -> None:
    claim: Any = load("run_all").Claim
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
