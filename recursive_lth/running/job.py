"""What one training is asked to do, and what every training of a run shares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torch import Tensor

from recursive_lth.config import AnyExperiment, Training
from recursive_lth.running.clock import Clock
from recursive_lth.running.progress import Told
from recursive_lth.running.stages import Stages
from recursive_lth.ticket.moments import State
from recursive_lth.training.batches import Batches
from recursive_lth.training.choice import Choices
from recursive_lth.training.lens import Lens
from recursive_lth.training.loop import steps_in
from recursive_lth.training.samples import Split

if TYPE_CHECKING:
    from recursive_lth.running.crew import Crew

Row = dict[str, Any]  # a line of metrics.jsonl
Perform = Callable[..., Any]  # (bench, ticket, job, should_stop) -> Fitted
E = TypeVar("E", bound=AnyExperiment)


@dataclass(frozen=True)
class Source(Generic[E]):
    """Where a bench comes from, so that another process can set up the same."""

    experiment: E
    data_dir: Path | None
    device: str


@dataclass(frozen=True)
class Bench(Generic[E]):
    """What every training of a run shares."""

    experiment: E
    split: Split
    batches: Batches
    stages: Stages
    meter: Told
    clock: Clock
    choices: Choices = field(default_factory=Choices)  # of engines, as measured
    perform: "Perform | None" = None  # trains in place of `fit`, together with others
    source: Source[E] | None = None  # None: its trainings stay in this process
    crew: "Crew | None" = None  # who trains several at once; None: this process

    def per_epoch(self, recipe: Training) -> int:
        """The steps of one epoch."""
        return steps_in(1, len(self.batches), recipe.batch_size)


@dataclass(frozen=True)
class Job:
    """One training: its name within the run, its recipe, length and seed.

    `labels` stand in every row of its curve, `place` is told to the watcher. The validation data
    are looked at after each epoch, or at the `marks` alone (numbers of steps). The training begins
    at step `start` with the optimizer's `state` there. `keep_at` asks for copies of weights and
    optimizer after these steps, `keeps_best` for the weights of least validation loss, `tallies`
    for the sum of -w * g, and `tests` for accuracies on the test data, at the end and of the best.
    """

    name: str
    recipe: Training
    steps: int
    seed: int
    labels: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[int, ...] = ()
    start: int = 0
    state: State = field(default_factory=dict)
    keep_at: tuple[int, ...] = ()
    keeps_best: bool = False
    keeps_end: bool = False  # weights and optimizer at the last step too
    tallies: bool = False
    tests: bool = False
    is_restartable: bool = True  # leaves checkpoints; False where `should_stop` remembers
    lens: Lens | None = None


@dataclass(frozen=True)
class Kept:
    """Weights, statistics and optimizer in the middle of a training."""

    weights: dict[str, Tensor]
    state: State


def rungs_of(
    epochs: float,
    rungs: int,
    bench: Bench[Any],
    recipe: Training,
    *,
    factor: float | None = None,
) -> tuple[int, ...]:
    """The steps at which candidates are compared: equal parts of their short training.

    With a `factor` each rung is that part of the next.
    """
    steps = steps_in(epochs, len(bench.batches), recipe.batch_size)
    parts = [(i + 1) / rungs if factor is None else factor ** (rungs - 1 - i) for i in range(rungs)]
    return tuple(sorted({max(1, round(steps * part)) for part in parts}))


def kept_groups(kept: Mapping[int, Kept]) -> dict[str, dict[str, Tensor]]:
    """What was kept, as named groups of tensors: `kept-500` and `kept-500-exp_avg`."""
    groups = {}
    for step, inside in kept.items():
        groups[f"kept-{step}"] = inside.weights
        groups |= {f"kept-{step}-{kind}": tensors for kind, tensors in inside.state.items()}
    return groups


def take_kept(groups: dict[str, dict[str, Tensor]]) -> dict[int, Kept]:
    """What `kept_groups` has put into the groups, taken out of them."""
    kept: dict[int, Kept] = {}
    for name in sorted(name for name in groups if name.startswith("kept-")):
        step, _, kind = name.removeprefix("kept-").partition("-")
        if kind:
            kept[int(step)].state[kind] = groups.pop(name)
        else:
            kept[int(step)] = Kept(groups.pop(name), {})
    return kept
