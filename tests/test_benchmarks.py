"""The benchmarks at a tiny size: each runs, and measures what it says it does."""

import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from benchmarking import NAMES, Load

from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Experiment, Training
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.running.engines import plan_of
from recursive_lth.running.job import Job
from recursive_lth.shelf import load_experiment, load_ticket_experiment, load_tuning_experiment
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.training.engine import DENSE, Plan

SIZES = {"weights": (10_000, 20_000, 40_000), "density": (0.05, 0.1, 0.3), "population": (1, 2, 4)}
SHORT = (  # settings of a run on digits
    "training.epochs=0.5", "growth.epochs=0.5", "growth.judge_epochs=0.5", "growth.rungs=1",
    "growth.candidates=1", "growth.policy=random",
)  # fmt: skip


@pytest.fixture
def exponents(load_benchmark: Load, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The exponents' benchmark at sizes that take no time."""
    found = load_benchmark("exponents")
    for name, value in {"SIZES": SIZES, "TURNS": 3, "TURN": 0.0, "GENERATIONS": 2}.items():
        monkeypatch.setattr(found, name, value)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported(name: str, load_benchmark: Load) -> None:
    assert (
        (load_benchmark(name).__doc__ or "").splitlines()[2].startswith("    python experiments/")
    )


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


def test_engines_are_compared_and_drawn(
    load_benchmark: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: Any = load_benchmark("engines")
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


def test_the_machine_is_told(load_benchmark: Load, tmp_path: Path) -> None:
    """By its processor's model, where Linux knows one."""
    engines: Any = load_benchmark("engines")
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
    load_benchmark: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its docstring says; nothing is written there."""
    graphs: Any = load_benchmark("graphs")
    monkeypatch.setattr(graphs, "TICKETS", 2)
    monkeypatch.setattr(sys, "argv", ["graphs.py", "--device", "cpu", "--steps", "1"])
    graphs.main()
    assert "a step of 2 tickets takes" in capsys.readouterr().out


def test_loops_do_the_same(load_benchmark: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself refuses two loops that end with other weights."""
    loop: Any = load_benchmark("training_loop")
    monkeypatch.setattr(loop, "SAMPLES", 64)
    row = loop.compare(Training(optimizer="adam", batch_size=16, schedule="constant"), 3, 1)
    assert len(row["throughput_ratios"]) == 1


def test_workers_measure_experiments_that_there_are(
    load_benchmark: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: Any = load_benchmark("workers")
    monkeypatch.setattr(workers, "STEPS", 2)
    monkeypatch.setattr(workers, "SAMPLES", 120)
    load_experiment("recursive_mnist", workers.CANDIDATES)
    load_ticket_experiment("lth_lenet_mnist", workers.TICKETS)
    load_tuning_experiment("tune_digits", workers.TRIALS)
    took, losses = workers.loops("1", None)
    assert took > 0
    assert len(losses) == 2
