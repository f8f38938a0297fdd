"""The samples of one part of the data, and the three parts that a run has."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Images float32 and labels int64 of one part, on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


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
        return tuple(self.train.images.shape[1:])
