"""The data of a run's arms, loaded and cut once for all that share them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Data, TicketExperiment
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench, Source
from recursive_lth.running.progress import Meter
from recursive_lth.running.stages import Stages
from recursive_lth.running.start import build
from recursive_lth.running.supply import Supply
from recursive_lth.training.choice import Choices
from recursive_lth.training.datasets import Dataset
from recursive_lth.training.loop import steps_in
from recursive_lth.training.split import drawn


class Benches:
    """Benches for the arms of a run; data sets and splits are made at first need."""

    def __init__(self, data_dir: Path | None, device: torch.device) -> None:
        self.supply = Supply(data_dir, device)
        self.choices = Choices()  # of engines; a run puts those of its folder here

    def dataset(self, data: Data) -> Dataset:
        """The data set, with the classes asked for."""
        return self.supply.dataset(data)

    def digest(self, arms: Mapping[str, TicketExperiment]) -> str:
        """One SHA-256 for the content of all data sets that the arms use."""
        return self.supply.digest(
            data for arm in arms.values() for data in (arm.data, target_data(arm))
        )

    def architecture(self, arm: TicketExperiment) -> Architecture:
        """The network that an arm starts from."""
        data = self.dataset(arm.data)
        return build(arm.start, data.sample_shape, data.classes)

    def samples(self, data: Data, seed: int) -> int:
        """How many training samples a split leaves."""
        train, _ = drawn(self.supply.whole(data).train_labels, data, seed)
        return len(train)

    def per_epoch(self, arm: TicketExperiment) -> int:
        """The steps of one epoch of an arm."""
        return steps_in(1, self.samples(arm.data, arm.seed), arm.training.batch_size)

    def bench(
        self, arm: TicketExperiment, stages: Stages, meter: Meter, clock: Clock
    ) -> Bench[TicketExperiment]:
        """What every training of an arm shares."""
        with clock.inside("data"):
            parts = self.supply.split(arm.data, arm.seed)
            batches = self.supply.batches(arm.data, arm.seed, arm.training)
        source = Source(arm, self.supply.data_dir, str(self.supply.device))
        return Bench(arm, parts, batches, stages, meter, clock, self.choices, source=source)

    def target(
        self, arm: TicketExperiment, stages: Stages, meter: Meter, clock: Clock
    ) -> Bench[TicketExperiment]:
        """The bench on which an arm's tickets are trained elsewhere."""
        return self.bench(replace(arm, data=target_data(arm)), stages, meter, clock)

    def forget(self) -> None:
        """Free the splits of a replicate that is done."""
        self.supply.forget()


def target_data(arm: TicketExperiment) -> Data:
    """The data that an arm's tickets are transferred to; its own where none are named."""
    transfer = arm.transfer
    return replace(
        arm.data,
        name=transfer.data or arm.data.name,
        classes=transfer.classes or arm.data.classes,
    )
