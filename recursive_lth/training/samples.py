"""The samples of one part of the data, and the three parts that a run has."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from recursive_lth.architecture.turning import turned

BATCH = 500  # images that are evaluated together


@dataclass(frozen=True)
class Samples:
    """Images float32 and labels int64 of one part, on one device.

    The images are all of a pool, or those of its `rows`, (n,) int64: the parts of many seeds share
    one pool, and only what asks for `images` has them copied.
    """

    pool: Tensor
    labels: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def images(self) -> Tensor:
        """The images of this part, in its order."""
        return self.pool if self.rows is None else self.pool.index_select(0, self.rows)

    @cached_property
    def turned(self) -> tuple[Tensor, ...]:
        """The same in batches, in memory that lies feature by feature: as sparse layers read it."""
        if self.rows is None:
            batches = list(self.pool.split(BATCH))
        else:
            batches = [self.pool.index_select(0, rows) for rows in self.rows.split(BATCH)]
        return tuple(turned(b.flatten(1)).t().unflatten(1, self.sample_shape) for b in batches)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(channels, height, width) or (features,)."""
        return tuple(self.pool.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where images and labels lie."""
        return self.pool.device

    def at(self, places: Tensor) -> "Samples":
        """Some of them, by their places, (n,) int64 on their device."""
        rows = places if self.rows is None else self.rows[places]
        return Samples(self.pool, self.labels[places], rows)

    def first(self, count: int) -> "Samples":
        """The first of them."""
        return self.at(torch.arange(min(count, len(self)), device=self.device))


@dataclass(frozen=True)
class Split:
    """Training teaches, validation selects, test reports. `black` is the normalised 0."""

    train: Samples
    validation: Samples
    test: Samples
    classes: int
    black: Tensor

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(channels, height, width) or (features,)."""
        return self.train.sample_shape

    @property
    def device(self) -> torch.device:
        """Where all parts lie."""
        return self.train.device
