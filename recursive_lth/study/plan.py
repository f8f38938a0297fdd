"""What a study will cost before it runs: every arm played without training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Data, StudyExperiment, Training
from recursive_lth.errors import InputError
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench
from recursive_lth.running.progress import Meter
from recursive_lth.running.stages import Stages
from recursive_lth.running.start import build
from recursive_lth.running.supply import Supply
from recursive_lth.study.arms import Arm
from recursive_lth.study.panel.measure import Measure
from recursive_lth.study.play import Ground, Stand, Trained, play, pretend
from recursive_lth.study.reading_cost import reading_cost
from recursive_lth.training.loop import steps_in
from recursive_lth.training.samples import Split

FLOATS = 4  # bytes


@dataclass(frozen=True)
class Plan:
    """What one seed will take; every seed takes the same.

    `epoch_cost` is the multiply-adds of an epoch of the dense start network; `trainings` those of
    each arm, untrained. Trainings that arms share count once in `epochs` and `multiply_adds`; the
    scores and births of an arm are its own, and count in `multiply_adds` for each.
    """

    architecture: Architecture
    epoch_cost: int
    stands: Mapping[str, Stand]
    seeds: int
    epochs: float  # passes through the data, of all seeds, arms and measures
    multiply_adds: int  # likewise, with what scores and births take
    probing: int  # of these, what the panel's probes train
    bytes_of_a_seed: int
    counts: Mapping[Data, Mapping[str, int]]  # samples by `COUNTED_ON`, for all data

    def budget(self, arm: str, training: int = -1, moment: float = 1.0) -> int:
        """The multiply-adds that an arm takes on one seed until a moment of a training."""
        done = self.stands[arm].trainings[training]
        return done.spent_before + round(moment * done.steps) * cost_of_a_step(done)

    def untrained(self, arm: str, training: int = -1) -> int:
        """Those that its scores and births take until then."""
        trainings = self.stands[arm].trainings
        done = trainings[training]
        return done.spent_before - _trained(trainings[: done.number])

    def to_dict(self) -> dict[str, Any]:
        """As `--plan` prints it."""
        return {
            "seeds": self.seeds,
            "multiply_adds": self.multiply_adds,
            "probing_multiply_adds": self.probing,
            "epoch_multiply_adds": self.epoch_cost,
            "arms": {name: self._arm(stand) for name, stand in self.stands.items()},
        }

    def _arm(self, stand: Stand) -> dict[str, Any]:
        return {
            "multiply_adds": stand.spent,
            "cost": stand.spent / self.epoch_cost,
            "weights": stand.ticket.cost.remaining_weights,
            "density": stand.ticket.cost.density,
            "depth": stand.ticket.architecture.depth,
            "steps": [done.steps for done in stand.trainings],
        }


def plan_of(
    experiment: StudyExperiment,
    arms: Mapping[str, Arm],
    panel: Mapping[str, Measure],
    supply: Supply,
) -> Plan:
    """Play every arm of the first seed on untrained networks.

    What a move leaves depends on counts alone, so that shapes and densities are those of the run,
    and budgets too where a weight costs the same in every layer. In a convolutional network it
    does not: which layers a global cut thins out, training decides, so that `train` by cost comes
    within a step of its budget and `by=epochs` only near it; verdicts tell what was spent.
    Raises `InputError` naming the arm where a move or a task does not fit.
    """
    _check_tasks(experiment, supply)
    own = supply.split(experiment.data, experiment.seed)
    architecture = build(experiment.start, own.sample_shape, own.classes)
    batch_size = min(experiment.training.batch_size, len(own.train))
    samples = steps_in(1, len(own.train), batch_size) * batch_size
    epoch_cost = training_cost(cost(architecture).multiply_adds, samples)
    ground = Ground(experiment, _Benches(experiment, supply), epoch_cost)
    stands: dict[str, Stand] = {}
    for name, arm in arms.items():
        finals = {other: stand.ticket for other, stand in stands.items()}
        try:
            stands[name] = play(ground, arm, pretend, finals)
        except InputError as error:
            raise InputError(f"arm {name}: {error}") from None
    single = {
        tuple(map(_what, stand.trainings[: done.number + 1])): done
        for stand in stands.values()
        for done in stand.trainings
    }
    a_sample = training_cost(cost(architecture).multiply_adds, 1)
    reading = reading_cost(ground, panel, stands, a_sample)
    between = sum(stand.spent - _trained(stand.trainings) for stand in stands.values())
    spent = _trained(single.values()) + between
    epochs = sum(_epochs(ground, done) for done in single.values())
    return Plan(
        architecture,
        epoch_cost,
        stands,
        experiment.study.seeds,
        experiment.study.seeds * (epochs + reading.epochs),
        experiment.study.seeds * (spent + reading.multiply_adds),
        experiment.study.seeds * reading.multiply_adds,
        _bytes(experiment, panel, supply),
        {data: _counts(supply.split(data, experiment.seed), own) for data in data_of(experiment)},
    )


def _trained(trainings: Iterable[Trained]) -> int:
    """The multiply-adds of trainings alone."""
    return sum(done.spent - done.spent_before for done in trainings)


def cost_of_a_step(done: Trained) -> int:
    """The multiply-adds of one step of a training; 0 of one that is not made."""
    return (done.spent - done.spent_before) // max(1, done.steps)


def data_of(experiment: StudyExperiment) -> list[Data]:
    """The study's own data and those of its tasks."""
    return [experiment.data, *(task.of(experiment.data) for task in experiment.tasks)]


def _check_tasks(experiment: StudyExperiment, supply: Supply) -> None:
    """Raise `InputError` where the network cannot read a task's data."""
    own = supply.dataset(experiment.data)
    for task in experiment.tasks:
        found = supply.dataset(task.of(experiment.data))
        if found.sample_shape != own.sample_shape or found.classes > own.classes:
            raise InputError(
                f"task {task.name}: its samples are {found.sample_shape} in {found.classes} "
                f"classes, the study's {own.sample_shape} in {own.classes}: choose other data, "
                "classes or resize"
            )
        supply.split(task.of(experiment.data), experiment.seed)


def _counts(parts: Split, own: Split) -> dict[str, int]:
    """On how many samples accuracies are counted while these are trained on."""
    return {
        "validation": len(parts.validation),
        "test": len(parts.test),
        "own": len(own.validation),
    }


def _what(done: Trained) -> tuple[Any, ...]:
    """What two trainings share iff they are one, given that those before them are."""
    return done.before.digest, done.data, done.recipe, done.steps, done.number, done.move.state


def _epochs(ground: Ground, done: Trained) -> float:
    bench = ground.bench_of(done.data, done.recipe)
    return done.steps / bench.per_epoch(done.recipe)


def _bytes(experiment: StudyExperiment, panel: Mapping[str, Measure], supply: Supply) -> int:
    """Of the images of all data that a seed trains on; probes have about two tasks of their own."""
    whole = {data: supply.split(data, experiment.seed).train for data in data_of(experiment)}
    found = sum(FLOATS * len(part) * prod(part.sample_shape) for part in whole.values())
    return 3 * found if any(measure.kind == "probe" for measure in panel.values()) else found


class _Benches:
    """Benches that nothing is trained on: they tell sizes, and give samples to scores."""

    def __init__(self, experiment: StudyExperiment, supply: Supply) -> None:
        self._experiment, self._supply = experiment, supply
        self._meter, self._stages = Meter(None, [1.0]), Stages(Path("no run"), is_owner=False)

    def __call__(self, data: Data, recipe: Training) -> Bench[StudyExperiment]:
        there = replace(self._experiment, data=data, training=recipe)
        parts = self._supply.split(data, there.seed)
        batches = self._supply.batches(data, there.seed, recipe)
        return Bench(there, parts, batches, self._stages, self._meter, Clock())
