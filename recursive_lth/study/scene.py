"""A moment of a training as measures see it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Generator, Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Data
from recursive_lth.growth.grow import Sprout
from recursive_lth.running.fit import Fitted
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.samples import Samples, Split

Row = dict[str, Any]
Changes = Mapping[str, Any]  # fields of `Data` other than the scene has them
Fit = Callable[..., Fitted]  # (name, ticket, *, epochs, changes, order, looks) -> Fitted
Parts = Callable[[Changes], Split]


@dataclass(frozen=True)
class Past:
    """Other data that the arm was trained on, and its accuracy on their validation part then."""

    validation: Samples
    accuracy: float


@dataclass(frozen=True)
class Parent:
    """What the scene's network has just grown from: its growths, one after the other.

    `learnt` trains the network before them as the scene's was, by the arm's own recipe, on the same
    batches for as many steps until the scene's moment; None where that diverges.
    """

    sprouts: tuple[Sprout, ...]
    learnt: Callable[[], Ticket | None]


@dataclass(frozen=True, eq=False)
class Scene:
    """A network at a moment of a training, 0 before and 1 after it, with what led there.

    `ticket` is the network as it is, `before` as the training found it; `curve` has the looks at
    the validation data up to here, the first at step 0; `epoch_cost` is the multiply-adds of an
    epoch of the dense start network. Measures of activations and gradients take at most `count`
    samples of the `split`. `tested` is the accuracy on the test data at the end, None before. `fit`
    trains a network by the study's own `[training]`, on the scene's data or others, for measures
    that must see it learn; it changes nothing else. `parts` are the data that it trains on where
    these are changed so. `own` is the study's own data, `past` what else the arm was trained on
    before, and `initialisation` how the study draws fresh weights. `parent` is there where all that
    was done since the training before is to grow.
    """

    ticket: Ticket
    before: Ticket
    moment: float
    curve: Sequence[Row]
    spent: tuple[int, int]  # multiply-adds of the arm before this training, and until now
    epoch_cost: int
    split: Split
    data: Data
    count: int
    target: float
    tested: float | None
    seed: int
    fit: Fit
    parts: Parts
    own: Split
    past: tuple[Past, ...]
    initialisation: str
    parent: Parent | None

    @property
    def architecture(self) -> Architecture:
        """The network's."""
        return self.ticket.architecture

    @cached_property
    def weights(self) -> Mapping[str, Tensor]:
        """All tensors, on the device of the data."""
        device = self.split.device
        return {name: tensor.to(device) for name, tensor in self.ticket.weights.items()}

    @cached_property
    def masks(self) -> Mapping[str, Tensor]:
        """Which weights remain, on the device of the data."""
        device = self.split.device
        return {name: mask.to(device) for name, mask in self.ticket.masks.items()}

    @cached_property
    def train_samples(self) -> Samples:
        """The first `count` training samples, which the split has already put in random order."""
        return self.split.train.first(self.count)

    @cached_property
    def validation_samples(self) -> Samples:
        """The first `count` validation samples."""
        return self.split.validation.first(self.count)

    def generator(self, measure: str) -> Generator:
        """What a measure draws from: the same for all arms of a seed, and nobody else's."""
        return seeds.generator(self.seed, "measure", measure)
