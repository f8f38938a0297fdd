"""Networks to be probed: young, trained, pruned, aged, or spoilt; and a fit that notes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from study_scenes import experiment_of, scenes_of

from recursive_lth.config import Data, Study, Task
from recursive_lth.running.fit import Fitted
from recursive_lth.study.scene import Scene
from recursive_lth.ticket.ticket import Ticket

WHOLE = Data("digits", test_limit=40, validation_fraction=0.2)
NONSENSE = Task("nonsense", labels="random")
READ = Study(readings="all", looks=4, samples=100)


@cache
def folder(name: str) -> TemporaryDirectory[str]:
    """Where the probes of an arm leave their trainings, for all tests."""
    return TemporaryDirectory()


@cache
def scene(name: str) -> Scene:
    """A scene by the name of what was done to its network."""
    moves, number = ARMS[name]
    experiment = experiment_of(moves, data=WHOLE, tasks=[NONSENSE], study=READ)
    return scenes_of(experiment, Path(folder(name).name))[number]


ARMS: dict[str, tuple[list[str], int]] = {
    "fresh": (["train 1"], 0),
    "trained": (["train 5"], -1),
    "pruned": (["train 2", "prune 0.3", "train 2"], -1),
    "aged": (["train 60 on=nonsense", "train 0.1"], -2),
}


def scaled(here: Scene, factor: float) -> Scene:
    """The scene with all weights times a factor, biases as they are."""
    weights = {n: t * factor if n.endswith("weight") else t for n, t in here.ticket.weights.items()}
    return replace(here, ticket=replace(here.ticket, weights=weights))


@dataclass
class Spied:
    """A fit that notes what it is asked for and does it."""

    fit: Callable[..., Fitted]
    calls: list[tuple[str, Ticket, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, name: str, ticket: Ticket, **how: Any) -> Fitted:
        self.calls.append((name, ticket, how))
        return self.fit(name, ticket, **how)


def spied(here: Scene) -> tuple[Scene, Spied]:
    """The scene with a fit that can be asked what it was asked for."""
    spy = Spied(here.fit)
    return replace(here, fit=spy), spy


def distinct(spy: Spied) -> dict[tuple[Any, ...], float]:
    """The epochs of the trainings that were asked for, each once."""
    return {
        (name, ticket.digest, how["order"], repr(how["changes"])): how["epochs"]
        for name, ticket, how in spy.calls
    }
