"""Small studies for tests: a tiny experiment, its parts, and what its folder holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from search_runs import rows_of

from recursive_lth import seeds
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Data, GrowthStep, StudyExperiment, Training
from recursive_lth.config_file import override, study_experiment_from
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.compound import grow_any
from recursive_lth.growth.fresh import fresh
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench
from recursive_lth.running.progress import Meter
from recursive_lth.running.stages import Stages
from recursive_lth.running.supply import Supply
from recursive_lth.study.arms import Arm, arms_of
from recursive_lth.study.learn import Learner
from recursive_lth.study.panel.catalogue import panel_of
from recursive_lth.study.plan import Plan, plan_of
from recursive_lth.study.play import Ground, Learn, Stand, play, pretend
from recursive_lth.study.run import study
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket

# 120 samples to train, 30 to validate: 10 steps of 12 an epoch
SMALL: dict[str, Any] = {
    "command": "study",
    "name": "small",
    "seed": 3,
    "data": {"name": "digits", "train_limit": 150, "test_limit": 40, "validation_fraction": 0.2},
    "start": {"architecture": "mlp", "hidden": [16]},
    "training": {"batch_size": 12, "learning_rate": 0.01},
    "study": {"seeds": 2, "panel": ["val_accuracy", "loss_area"], "looks": 2, "samples": 30},
}
ARMS: dict[str, Sequence[str]] = {
    "untouched": ("train 0.5", "train 0.5"),
    "pruned": ("train 0.5", "prune 0.5", "train 0.5"),
    "grown": ("train 0.5", "prune 0.5", "grow deepen initialisation=identity", "train 0.5"),
}
CONTRASTS = (
    "pruning ages: pruned < untouched in val_accuracy",
    "growth rejuvenates: grown > pruned in val_accuracy",
)


def small(
    *settings: str,
    arms: Mapping[str, Sequence[str]] = ARMS,
    contrasts: Sequence[str] = (),
    tasks: Sequence[Mapping[str, Any]] = (),
) -> StudyExperiment:
    """The small study with settings laid over it, its arms by name, and what it is to decide."""
    data = override(SMALL, settings)
    data["study"] = {**data["study"], "contrasts": list(contrasts)}
    data["arms"] = [{"name": name, "moves": list(moves)} for name, moves in arms.items()]
    return study_experiment_from({**data, "tasks": [dict(task) for task in tasks]})


def arm(*moves: str, name: str = "arm") -> Arm:
    """One arm, checked as those of a study are."""
    return arms_of(small(arms={name: moves}, tasks=({"name": "noisy", "label_noise": 0.5},)))[name]


def plan(experiment: StudyExperiment) -> Plan:
    """What a study will take."""
    arms, panel = arms_of(experiment), panel_of(experiment.study.panel)
    return plan_of(experiment, arms, panel, Supply(None, torch.device("cpu")))


def run(experiment: StudyExperiment, out: Path, **how: Any) -> list[dict[str, Any]]:
    """The lines of a whole study on the CPU."""
    return list(study(experiment, out=out, device="cpu", **how))


def content(experiment: StudyExperiment, out: Path) -> dict[str, bytes]:
    """The results of a study, byte by byte."""
    folder = out / experiment.folder_name
    names = ["readings.jsonl", "curves.jsonl", "verdicts.json"]
    paths = [folder / name for name in names] + sorted(folder.glob("tickets/*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def in_folder(experiment: StudyExperiment, out: Path, name: str) -> Any:
    """A file of a study's folder, read."""
    path = out / experiment.folder_name / name
    return rows_of(path) if path.suffix == ".jsonl" else json.loads(path.read_text("utf-8"))


class Benches:
    """Benches that can train, in memory but for their stages."""

    def __init__(self, experiment: StudyExperiment, stages: Stages) -> None:
        self.experiment, self.stages = experiment, stages
        self.supply = Supply(None, torch.device("cpu"))

    def __call__(self, data: Data, recipe: Training) -> Bench[StudyExperiment]:
        seed, meter = self.experiment.seed, Meter(None, [1.0])
        parts = self.supply.split(data, seed)
        batches = self.supply.batches(data, seed, recipe)
        there = replace(self.experiment, data=data, training=recipe)
        return Bench(there, parts, batches, self.stages, meter, Clock())


def played(experiment: StudyExperiment, stages: Stages, *, is_real: bool) -> dict[str, Stand]:
    """Every arm to its end, trained or pretended to be."""
    ground = Ground(experiment, Benches(experiment, stages), plan(experiment).epoch_cost)
    found: dict[str, Stand] = {}
    for name, arm in arms_of(experiment).items():
        learn: Learn = Learner(name, keeps_state=True) if is_real else pretend
        found[name] = play(ground, arm, learn, {n: s.ticket for n, s in found.items()})
    return found


def sparse_ticket(*, density: float = 0.5, is_deepened: bool = False) -> Ticket:
    """A ticket as training leaves it: weights unlike its rewind values, under a random mask.

    At will with a layer born as the identity on top, whose weights have been trained as well.
    """
    architecture, draw = mlp((1, 4, 4), 3, (6,)), torch.Generator().manual_seed(1)
    values = fresh(architecture, draw, "kaiming_normal")
    masks = {
        name: torch.rand(values[name].shape, generator=draw) < density
        for name in architecture.prunable
    }
    births = {name: torch.zeros_like(mask, dtype=torch.int16) for name, mask in masks.items()}
    ticket = Ticket(architecture, masking.apply(values, masks), values, masks, births)
    if is_deepened:
        images = torch.rand((8, 1, 4, 4), generator=draw)
        few = Batch(images, torch.arange(8) % 3)
        step = GrowthStep("deepen", initialisation="identity")
        ticket = grow_any(ticket, step, few, generation=1, generator=draw).ticket
    return moved(ticket, seeds.generator(0, "moved"))


def moved(ticket: Ticket, draw: torch.Generator) -> Ticket:
    """The ticket with every tensor a little elsewhere, as after a training."""
    weights = {n: t + 0.1 * torch.randn(t.shape, generator=draw) for n, t in ticket.weights.items()}
    return Ticket(
        ticket.architecture,
        masking.apply(weights, ticket.masks),
        ticket.rewind,
        ticket.masks,
        ticket.births,
        skeleton=ticket.skeleton,
    )
