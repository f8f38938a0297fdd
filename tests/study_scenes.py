"""Scenes of tiny studies, made by really playing their arms: digits, and a network of one layer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.config import Data, Start, Study, StudyArm, StudyExperiment, Task, Training
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench
from recursive_lth.running.progress import Meter
from recursive_lth.running.stages import Stages
from recursive_lth.running.start import build
from recursive_lth.running.supply import Supply
from recursive_lth.study.arms import arms_of
from recursive_lth.study.learn import Learner
from recursive_lth.study.panel.measure import Measure
from recursive_lth.study.play import Ground, Stand, play
from recursive_lth.study.reading import Reader
from recursive_lth.study.scene import Scene
from recursive_lth.training.loop import steps_in

DIGITS = Data("digits", train_limit=200, test_limit=40, validation_fraction=0.2)
WAY = Training(batch_size=20, learning_rate=0.01)


@lru_cache(maxsize=1)
def supply() -> Supply:
    """The data of all scenes, loaded once."""
    return Supply(None, torch.device("cpu"))


def experiment_of(
    moves: Sequence[str],
    *,
    tasks: Sequence[Task] = (),
    data: Data = DIGITS,
    start: Start = Start("mlp", (16,)),  # noqa: B008  frozen
    training: Training = WAY,
    study: Study | None = None,
) -> StudyExperiment:
    """A study of one arm."""
    return StudyExperiment(
        data=data,
        start=start,
        training=training,
        study=study or Study(readings="all", looks=4, samples=40, target=0.5),
        tasks=tuple(tasks),
        arms=(StudyArm("only", tuple(moves)),),
    )


def ground_of(experiment: StudyExperiment, folder: Path) -> Ground:
    """What the arms of one seed share; trainings are this process's own, one after the other."""
    stages = Stages(folder)

    def bench_of(data: Data, recipe: Training) -> Bench[Any]:
        parts = supply().split(data, experiment.seed)
        batches = supply().batches(data, experiment.seed, recipe)
        there = replace(experiment, data=data, training=recipe)
        return Bench(there, parts, batches, stages, Meter(None, [1.0]), Clock())

    own = supply().split(experiment.data, experiment.seed)
    architecture = build(experiment.start, own.sample_shape, own.classes)
    batch_size = min(experiment.training.batch_size, len(own.train))
    samples = steps_in(1, len(own.train), batch_size) * batch_size
    return Ground(experiment, bench_of, training_cost(cost(architecture).multiply_adds, samples))


def end_of(experiment: StudyExperiment, folder: Path, *, keeps_state: bool = False) -> Stand:
    """Where the arm ends, with all its trainings."""
    ground, (arm,) = ground_of(experiment, folder), arms_of(experiment).values()
    return play(ground, arm, Learner(arm.name, keeps_state), {})


def scenes_of(
    experiment: StudyExperiment, folder: Path, *, keeps_state: bool = False
) -> list[Scene]:
    """Every scene of the arm, by training and moment, as a run reads its panel."""
    ground, (arm,) = ground_of(experiment, folder), arms_of(experiment).values()
    trainings = end_of(experiment, folder, keeps_state=keeps_state).trainings
    seen: list[Scene] = []

    def look(scene: Scene) -> None:
        seen.append(scene)

    panel = {"look": Measure(look, "", "", "state", "takes the scene away")}
    reader = Reader(ground, panel, {"seed": experiment.seed, "arm": arm.name}, {}, keeps_state)
    for number in range(len(trainings)):
        list(reader.lines(trainings, number, arm.texts[number]))
    return seen


def last_scene(moves: Sequence[str], folder: Path, **changes: Any) -> Scene:
    """The scene at the end of an arm."""
    return scenes_of(experiment_of(moves, **changes), folder)[-1]
