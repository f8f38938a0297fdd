"""What a score may look at besides the ticket, and the one signature of all scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Generator, Tensor

from recursive_lth.errors import InputError
from recursive_lth.ticket.ticket import Ticket

Scores = dict[str, Tensor]


@dataclass(frozen=True)
class Evidence:
    """Training samples on the device, a generator, and what the last training has tallied.

    `tally` is for each prunable weight the sum of -w * g over the steps of the last training, from
    which movement pruning scores (Sanh et al. 2020, arXiv 2005.07683).
    """

    generator: Generator
    images: Tensor | None = None  # (n, channels, height, width) or (n, features)
    labels: Tensor | None = None  # (n,)
    tally: Mapping[str, Tensor] | None = None

    def samples(self) -> tuple[Tensor, Tensor]:
        """Images and labels. Raises `InputError` where there are none."""
        if self.images is None or self.labels is None:
            raise InputError("this score differentiates the loss: give it training samples")
        return self.images, self.labels


Score = Callable[[Ticket, Evidence], Scores]
