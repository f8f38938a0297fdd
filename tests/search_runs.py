"""Small searches for tests: tiny experiments, benches, invented lineages, and ways to stop."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recursive_lth import seeds
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Experiment, GrowthStep, Space
from recursive_lth.config.ignored import yielded
from recursive_lth.config_file import experiment_from, override
from recursive_lth.growth.gradient_gain import GradientGain
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench
from recursive_lth.running.progress import Meter, Watch
from recursive_lth.running.run_folder import run_folder
from recursive_lth.running.stages import Stages
from recursive_lth.search.controller import generations
from recursive_lth.search.generation import Candidate, Generation, Status
from recursive_lth.search.plan import planned_epochs, start_architecture
from recursive_lth.search.policies.past import Ground, Past
from recursive_lth.search.run import grow
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.datasets import Dataset, load
from recursive_lth.training.split import split

# 120 samples to train, 30 to validate: 7 steps of 16 an epoch
SMALL: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "data": {"name": "digits", "train_limit": 150, "test_limit": 40, "validation_fraction": 0.2},
    "start": {"architecture": "mlp", "hidden": [6]},
    "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.02},
    "pruning": {"rate": 0.5, "target_density": 0.4, "layer_floor": 2, "epochs": 1},
    "growth": {"policy": "random", "candidates": 2, "judge_epochs": 2, "rungs": 2, "epochs": 1},
    "acceptance": {"margin": 1.0},
    "budget": {"generations": 3},
}
PER_EPOCH, BATCH = 7, 16
SPACE = Space(
    operator=("widen", "deepen", "residual"),
    place=(0.25, 0.75),
    initialisation=("preserving", "kaiming"),
    mask=("dense", "parent_density", "constant_budget"),
)
SCHEDULE = tuple(GrowthStep(place=place) for place in (0.0, 0.5, 1.0))
NUMBERS = r"[0-9.e+-]+"


def small(*settings: str) -> Experiment:
    """The small experiment with settings such as `budget.generations=2` laid over it."""
    return yielded(experiment_from(override(SMALL, settings)), settings)


@lru_cache(maxsize=1)
def digits() -> Dataset:
    """The embedded digits, read once."""
    return load("digits")


def bench_of(experiment: Experiment, folder: Path, watch: Watch | None = None) -> Bench[Experiment]:
    """What a run builds before its first generation."""
    data = digits()
    parts = split(data, experiment.data, experiment.seed, torch.device("cpu"))
    batches = Batches(parts.train, parts.black, experiment.training)
    architecture = start_architecture(experiment, data.sample_shape, data.classes)
    meter = Meter(watch, planned_epochs(experiment, architecture))
    return Bench(experiment, parts, batches, Stages(folder), meter, Clock())


def whole(bench: Bench[Experiment]) -> list[tuple[Generation, Ticket]]:
    """Every generation of a run with its ticket, kept in memory."""
    found: dict[str, Ticket] = {}
    turns = []
    for turn, ticket, _ in generations(bench, [], found.__getitem__):
        found[turn.digest] = ticket
        turns.append((turn, ticket))
        bench.stages.clear()
    return turns


def run(experiment: Experiment, out: Path, *, generations: int | None = None) -> Path:
    """The folder of a run on the CPU, to its end or left after so many generations."""
    list(islice(grow(experiment, out=out, device="cpu"), generations))
    return run_folder(experiment, out).path


def invented(generation: int, **changes: Any) -> Generation:
    """A made-up ticket of the lineage; its digest is `t<generation>`."""
    architecture = mlp((1, 2, 2), 2, (2,))
    known: dict[str, Any] = {
        "digest": f"t{generation}",
        "parent": f"t{generation - 1}" if generation else "",
        "generation": generation,
        "operator": "widen" if generation > 1 else ("start", "none")[generation],
        "growth": None,
        "depth": 2,
        "widths": {"fc1": 2},
        "parameters": 16,
        "remaining_parameters": 10,
        "weights": 12,
        "remaining_weights": 6,
        "density": 0.5,
        "multiply_adds": 12,
        "remaining_multiply_adds": 6,
        "val_accuracy": 0.5,
        "val_loss": 1.0,
        "val_calibrated_loss": 0.9,
        "temperature": 1.5,
        "test_accuracy": None,
        "accepted": True,
        "verdict": "made up",
        "training_cost": 100 * (generation + 1),
        "training_steps": 10 * (generation + 1),
        "seconds": 1.0,
        "certificate": None,
        "candidates": (),
        "layers": {"fc1": {"weights": 8, "remaining": 4}},
        "architecture": architecture.to_dict(),
    }
    return Generation(**known | changes)


def tried(
    number: int, status: Status = "judged", gain: float | None = 0.0, **changes: Any
) -> Candidate:
    """A made-up candidate after two rungs, the first at half its gain; number 0: no growth."""
    asked = {
        "operator": "widen",
        "place": 0.5,
        "ratio": 0.25,
        "initialisation": "preserving",
        "mask": "dense",
    }
    is_growth = number > 0
    known: dict[str, Any] = {
        "number": number,
        "asked": asked if is_growth else None,
        "growth": asked | {"where": "fc1"} if is_growth else None,
        "status": status,
        "loss": None if gain is None else 1.0 - gain,
        "gain": gain,
        "accuracy": None if gain is None else 0.5,
        "rungs": () if gain is None else (gain / 2, gain),
        "epochs": 1.0,
        "training_cost": 10,
        "training_steps": 10,
        "reason": "",
        "sizes": {"weights": 100 + 10 * number, "multiply_adds": 1000 + 50 * number},
    }
    return Candidate(**known | changes)


def past_of(
    policy: str, seed: int = 0, generation: int = 4, siblings: int = 3, space: Space = SPACE
) -> Past:
    """Two generations of eight candidates and some siblings, drawn at random from the space.

    Statuses come in turn; gains of a generation are larger by a hundred than those of the next.
    """
    experiment = small(f"seed={seed}")
    schedule = SCHEDULE if policy == "fixed" else ()
    growth = replace(experiment.growth, policy=policy, schedule=schedule)
    earlier = [drawn(g, 8, 100.0**-g, space) for g in (2, 3)]
    return Past(
        replace(experiment, growth=growth, space=space),
        generation,
        [[], [], *earlier],
        drawn(4, siblings, 0.01, space),
        invented_ground(),
    )


def invented_ground() -> Ground:
    """A network with two hidden layers, in which a growth gains by where and how it comes."""

    def weigh(step: GrowthStep) -> GradientGain:
        return GradientGain(1 + (step.place - 0.6) ** 2 + len(step.operator), 10, 1000)

    return Ground(mlp((1, 2, 2), 2, (3, 4)), weigh)


def drawn(generation: int, count: int, scale: float, space: Space) -> list[Candidate]:
    """Not growing, and so many growths; whatever is failed has no gain."""
    draw = seeds.generator(7, generation)
    statuses: tuple[Status, ...] = ("judged", "chosen", "stopped", "repeated", "failed")
    found = [tried(0)]
    for number in range(1, count + 1):
        u = uniform(draw)
        asked = {
            "operator": space.operator[int(u[0] * len(space.operator))],
            "place": space.place[0] + u[1] * (space.place[1] - space.place[0]),
            "ratio": space.ratio[0] + u[2] * (space.ratio[1] - space.ratio[0]),
            "initialisation": space.initialisation[int(u[3] * len(space.initialisation))],
            "mask": space.mask[int(u[4] * len(space.mask))],
        }
        status = statuses[number % len(statuses)]
        gain = None if status == "failed" else scale * (u[5] - 0.5)
        found.append(tried(number, status, gain, asked=asked))
    return found


def uniform(draw: torch.Generator) -> list[float]:
    """Six numbers in [0, 1)."""
    return [float(x) for x in torch.rand(6, generator=draw, dtype=torch.float64)]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, read without the code under test."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_data(path: Path, seed: int, *, test_seed: int = 0) -> None:
    """An .npz of two classes in four features, learnable; test samples by a seed of their own."""

    def part(draw: np.random.Generator, count: int) -> tuple[Any, Any]:
        labels = draw.integers(0, 2, count)
        return draw.normal(size=(count, 4)) + labels[:, None], labels

    train, test = part(np.random.default_rng(seed), 150), part(np.random.default_rng(test_seed), 40)
    arrays = dict(zip(("train_images", "train_labels", "test_images", "test_labels"),
                      (*train, *test), strict=True))  # fmt: skip
    np.savez(path, **arrays)


def timeless(folder: Path) -> dict[str, bytes]:
    """Every file of a run but its report, by path, with the seconds taken out of the text."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "report.html":
            content = path.read_bytes()
            if path.suffix in {".json", ".jsonl"}:
                text = re.sub(rf'"seconds": {NUMBERS}', '"seconds": 0', content.decode())
                content = re.sub(r'"seconds": \{[^}]*\}', '"seconds": {}', text).encode()
            found[path.relative_to(folder).as_posix()] = content
    return found


class Stop(BaseException):
    """As Ctrl-C or a kill: no `except Exception` may swallow it."""


@contextmanager
def stopping(module: Any, name: str, after: int, *, is_torn: bool = False) -> Iterator[None]:
    """Raise `Stop` in place of call number `after` + 1 of a module's function.

    A torn `append_line` leaves half of its line behind, as a kill may.
    """
    original: Callable[..., Any] = getattr(module, name)
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            if is_torn:
                path, row = arguments
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row)[:30])
            raise Stop
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, counted)
        yield
