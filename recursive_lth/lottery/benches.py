"""The data of a run's arms, loaded and cut once for all that share them."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Data, TicketExperiment, Training
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench
from recursive_lth.running.progress import Meter
from recursive_lth.running.stages import Stages
from recursive_lth.running.start import build
from recursive_lth.training.batches import Batches
from recursive_lth.training.choice import Choices
from recursive_lth.training.datasets import Dataset, load
from recursive_lth.training.loop import steps_in
from recursive_lth.training.split import Split, of_classes, split


class Benches:
    """Benches for the arms of a run; data sets and splits are made at first need."""

    def __init__(self, data_dir: Path | None, device: torch.device) -> None:
        self._data_dir, self._device = data_dir, device
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[tuple[Data, int], Split] = {}
        self._batches: dict[tuple[Any, ...], Batches] = {}
        self._samples: dict[Data, int] = {}
        self.choices = Choices()  # of engines; a run puts those of its folder here

    def dataset(self, data: Data) -> Dataset:
        """The data set, with the classes asked for."""
        if data.name not in self._datasets:
            self._datasets[data.name] = load(data.name, self._data_dir)
        whole = self._datasets[data.name]
        return of_classes(whole, data.classes) if data.classes else whole

    def digest(self, arms: Mapping[str, TicketExperiment]) -> str:
        """One SHA-256 for the content of all data sets that the arms use."""
        used = {arm.data.name: arm.data for arm in arms.values()}
        used |= {t.name: t for t in (target_data(arm) for arm in arms.values())}
        text = "".join(f"{name} {self.dataset(used[name]).digest}\n" for name in sorted(used))
        return hashlib.sha256(text.encode()).hexdigest()

    def architecture(self, arm: TicketExperiment) -> Architecture:
        """The network that an arm starts from."""
        data = self.dataset(arm.data)
        return build(arm.start, data.sample_shape, data.classes)

    def split(self, data: Data, seed: int) -> Split:
        """The parts of a data set, cut by seed, on the device."""
        if (data, seed) not in self._splits:
            whole = self._datasets.get(data.name) or self.dataset(data)
            self._splits[data, seed] = split(whole, data, seed, self._device)
        return self._splits[data, seed]

    def samples(self, data: Data) -> int:
        """How many training samples a split leaves."""
        if data not in self._samples:
            self._samples[data] = len(split(self.dataset(replace(data, classes=())), data, 0,
                                            torch.device("cpu")).train)  # fmt: skip
        return self._samples[data]

    def per_epoch(self, arm: TicketExperiment) -> int:
        """The steps of one epoch of an arm."""
        return steps_in(1, self.samples(arm.data), arm.training.batch_size)

    def bench(
        self, arm: TicketExperiment, stages: Stages, meter: Meter, clock: Clock
    ) -> Bench[TicketExperiment]:
        """What every training of an arm shares."""
        with clock.inside("data"):
            parts = self.split(arm.data, arm.seed)
            recipe: Training = arm.training
            key = (arm.data, arm.seed, recipe.shift, recipe.crop, recipe.flip)
            if key not in self._batches:
                self._batches[key] = Batches(parts.train, parts.black, recipe)
        return Bench(arm, parts, self._batches[key], stages, meter, clock, self.choices)

    def target(
        self, arm: TicketExperiment, stages: Stages, meter: Meter, clock: Clock
    ) -> Bench[TicketExperiment]:
        """The bench on which an arm's tickets are trained elsewhere."""
        return self.bench(replace(arm, data=target_data(arm)), stages, meter, clock)

    def forget(self) -> None:
        """Free the splits of a replicate that is done."""
        self._splits.clear()
        self._batches.clear()


def target_data(arm: TicketExperiment) -> Data:
    """The data that an arm's tickets are transferred to; its own where none are named."""
    transfer = arm.transfer
    return replace(
        arm.data,
        name=transfer.data or arm.data.name,
        classes=transfer.classes or arm.data.classes,
    )
