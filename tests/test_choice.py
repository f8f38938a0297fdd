"""Sparse or dense: what is measured, what is remembered, and what a run makes of it."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_grow import NETWORKS, lived_in
from test_loop import batches_for

from recursive_lth import api, shelf
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Run, operation
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.errors import InputError
from recursive_lth.training import timing
from recursive_lth.training.choice import Choices, Sides, sparse_layers
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse, kernel, planned_engine
from recursive_lth.training.loop import training
from recursive_lth.training.timing import STEPS, TURNS

CPU = torch.device("cpu")
RECIPE = Training(batch_size=64)


def masks(architecture: Architecture, density: float) -> dict[str, torch.Tensor]:
    """Random masks of a network."""
    draw = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(architecture.shape(name), generator=draw) < density
        for name in architecture.prunable
    }


def scripted(monkeypatch: pytest.MonkeyPatch, dense: float, sparse: float) -> list[str]:
    """Measures that are told; the names of the layers that were measured."""
    seen: list[str] = []

    def measure(self: Sides) -> tuple[float, float]:
        seen.append(self.name)
        return dense, sparse

    monkeypatch.setattr(Sides, "measure", measure)
    return seen


def test_the_faster_is_chosen_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each layer is measured once a run; another process reads what was measured."""
    network = mlp((784,), 10, (300, 300))
    path, few = tmp_path / "engine.json", masks(network, 0.05)
    seen = scripted(monkeypatch, 2e-3, 1e-3)
    choices = Choices(path)
    assert sparse_layers(network, few, RECIPE, CPU, choices) == ("fc1", "fc2")
    assert sparse_layers(network, few, RECIPE, CPU, choices) == ("fc1", "fc2")
    assert seen == ["fc1", "fc2"]
    assert len(json.loads(path.read_text("utf-8"))) == 2
    scripted(monkeypatch, 1e-3, 2e-3)
    assert sparse_layers(network, few, RECIPE, CPU, Choices(path)) == ("fc1", "fc2")
    assert sparse_layers(network, few, RECIPE, CPU, Choices()) == ()


def test_each_precision_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds in one need not in another; float32 is what runs have always recorded."""
    network, choices = mlp((784,), 10, (300,)), Choices()
    few = masks(network, 0.05)
    for precision in ("float32", "bfloat16", "float32"):
        seen = scripted(monkeypatch, 2e-3, 1e-3)
        recipe = replace(RECIPE, precision=precision)
        assert sparse_layers(network, few, recipe, CPU, choices) == ("fc1",)
    assert seen == []
    whole, low = choices.measured
    assert low == f"{whole}, bfloat16"
    remaining = int(few["fc1.weight"].count_nonzero())
    assert whole == (
        f"linear (300, 784) of which {remaining} remain, reads (64, 784) of the input, adamw, "
        f"{torch.get_num_threads()} threads"
    )


@pytest.mark.parametrize("name", ["conv1", "conv2", "output"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sides_compute_as_the_training_would(
    precision: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dense layers in the recipe's precision, sparse ones in float32: as `training` has them.

    What is read is as dense layers before hand it on; of the input it is whole.
    """
    network = convnet((3, 8, 8), 5, (4, 6))
    few, recipe = masks(network, 0.3), replace(RECIPE, batch_size=8, precision=precision)
    seen: dict[str, set[tuple[torch.dtype, torch.dtype]]] = {"dense": set(), "sparse": set()}

    def spied(way: str, make: Callable[..., Run]) -> Callable[..., Run]:
        def made(called: str, *given: Any, **how: Any) -> Run:
            run = make(called, *given, **how)

            def watched(*values: Any) -> torch.Tensor:
                out = run(*values)
                if called == name:
                    seen[way].add((values[1][0].dtype, out.dtype))
                return out

            return watched

        return made

    for module in ("training.choice", "architecture.network"):
        monkeypatch.setattr(f"recursive_lth.{module}.operation", spied("dense", operation))
    for module in ("training.choice", "training.engine"):
        monkeypatch.setattr(f"recursive_lth.{module}.kernel", spied("sparse", kernel))
    shape = (8, *network.shapes[network.layers[name].inputs[0]])
    is_first = name == "conv1"
    layer, mask = network.layers[name], few[f"{name}.weight"]
    before = torch.random.get_rng_state()
    Sides(name, layer, mask, shape, is_first, recipe).measure()
    assert torch.equal(torch.random.get_rng_state(), before)
    measured = {way: set(dtypes) for way, dtypes in seen.items()}
    low = getattr(torch, precision)
    read = torch.float32 if is_first else low
    assert measured == {"dense": {(read, low)}, "sparse": {(read, torch.float32)}}
    batches = batches_for(network, recipe, torch.float32)
    weights = lived_in(network, 1).weights
    for way, plan in (("dense", DENSE), ("sparse", Plan((name,)))):
        seen[way].clear()
        engine = planned_engine(network, few, plan, CPU)
        next(training(network, weights, few, batches, recipe, steps=1, seed=0, engine=engine))
        assert seen[way] == measured[way]


def test_what_is_never_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers, whose bits stay, and dense ones, which never were faster."""
    seen = scripted(monkeypatch, 2.0, 1.0)
    assert (
        sparse_layers(
            mlp((64,), 10, (64,)), masks(mlp((64,), 10, (64,)), 0.01), RECIPE, CPU, Choices()
        )
        == ()
    )
    large = mlp((784,), 10, (300,))
    assert sparse_layers(large, masks(large, 0.6), RECIPE, CPU, Choices()) == ()
    assert seen == []


def test_a_very_sparse_layer_is_faster_sparse() -> None:
    """Measured for real: at half a percent of 1024 x 1024 it is not close."""
    network = mlp((1024,), 10, (1024,))
    assert "fc1" in sparse_layers(network, masks(network, 0.005), RECIPE, CPU, Choices())


def test_convolutions_can_be_sparse() -> None:
    network = convnet((3, 8, 8), 5, (4, 6))
    assert can_be_sparse(network) == ("conv1", "conv2", "output")
    dense, sparse = Sides(
        "conv2",
        network.layers["conv2"],
        masks(network, 0.1)["conv2.weight"],
        (8, 4, 4, 4),
        False,
        RECIPE,
    ).measure()
    assert dense > 0
    assert sparse > 0


@pytest.mark.parametrize("engine", ["dense", "sparse", "auto"])
def test_prune_runs_on_every_engine(engine: str, tmp_path: Path) -> None:
    """Digits, one level: a ticket of some engine is a ticket."""
    settings = [
        f"training.engine={engine}", "tickets.replicates=1", "training.epochs=5",
        "tickets.controls=[]", "tickets.densities=[0.2]",
    ]  # fmt: skip
    found = list(api.prune(shelf.load_ticket_experiment("prune_digits", settings), out=tmp_path))
    assert found[-1]["density"] == pytest.approx(0.2, abs=0.01)
    assert found[-1]["test_accuracy"] > 0.5


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("pruning.basis=dct", "mixes all of them"),
        ("pruning.pruned=initial", "lets them stand"),
        ("pruning.score=movement_gradient", "adds them up"),
    ],
)
def test_sparse_is_refused_where_pruned_weights_count(
    setting: str, reason: str, tmp_path: Path
) -> None:
    experiment = shelf.load_ticket_experiment("prune_digits", ["training.engine=sparse", setting])
    with pytest.raises(InputError, match=f"training.engine=sparse knows no pruned .* {reason}"):
        next(iter(api.prune(experiment, out=tmp_path)))


def test_an_engine_that_is_none(tmp_path: Path) -> None:
    for key in ("engine", "precision"):
        with pytest.raises(InputError, match=f"unknown training.{key} 'fast'"):
            Training(**{key: "fast"})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_bfloat16_is_near_and_weights_stay_whole(kind: str) -> None:
    """Layers compute in 8 bits of mantissa: losses differ by about 2^-8, weights are float32."""
    ticket = lived_in(NETWORKS[kind], 1)
    ends = {}
    for precision in ("float32", "bfloat16"):
        recipe = replace(RECIPE, batch_size=8, precision=precision, learning_rate=1e-3)
        *_, last = training(
            ticket.architecture, ticket.weights, ticket.masks,
            batches_for(ticket.architecture, recipe, torch.float32), recipe, steps=20, seed=0,
        )  # fmt: skip
        assert {t.dtype for t in last.weights.values()} == {torch.float32}
        ends[precision] = float(last.loss)
    assert ends["bfloat16"] != ends["float32"]
    assert ends["bfloat16"] == pytest.approx(ends["float32"], abs=0.1)


@pytest.mark.parametrize("clear", [2.0, math.inf])
def test_of_each_turn_the_last_step_counts(clear: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fastest of all turns; of two where that is clear."""
    clock, order = [0.0], list[str]()

    def way(name: str, took: list[float]) -> Callable[[], None]:
        left = iter(took)

        def step() -> None:
            clock[0] += next(left)
            order.append(name)

        return step

    usual = [t for turn in range(TURNS) for t in [*[9.0] * (STEPS - 1), 50.0 + turn]]
    other = [t for turn in range(TURNS) for t in [*[1.0] * (STEPS - 1), 8.0 - turn]]
    monkeypatch.setattr(timing, "stopwatch", lambda device: lambda: clock[0])
    turns = 2 if clear == 2 else TURNS
    found = timing.fastest({"a": way("a", usual), "b": way("b", other)}, clear=clear)
    assert found == {"a": 50.0, "b": 8.0 - (turns - 1)}
    assert order == (["a"] * STEPS + ["b"] * STEPS) * turns
