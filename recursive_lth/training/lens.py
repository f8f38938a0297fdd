"""What the forward sees of the tensors that are trained, where that is not the tensors as such."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recursive_lth.ticket.ticket import Ticket

Read = Callable[[Mapping[str, Tensor], int | None], Mapping[str, Tensor]]
Price = Callable[[Tensor, Mapping[str, Tensor], int], Tensor]


def _as_it_is(loss: Tensor, live: Mapping[str, Tensor], step: int) -> Tensor:
    return loss


def whole(live: Mapping[str, Tensor], step: int | None) -> Mapping[str, Tensor]:
    """The tensors as they are."""
    return live


@dataclass(frozen=True)
class Lens:
    """Which live tensors an optimizer moves, and what the forward reads of them.

    `read(live, step)` gives the weights of a training step, or of an evaluation where `step` is
    None; `price(loss, live, step)` what is differentiated in place of the batch's loss. Both are
    pure: what they draw depends on the step alone, so that a resumed training draws the same.
    """

    trainable: tuple[str, ...]
    read: Read
    price: Price = _as_it_is

    @property
    def is_plain(self) -> bool:
        """True iff every step reads the tensors as they are and follows the batch's loss."""
        return self.read is whole and self.price is _as_it_is


def lens_of(ticket: Ticket, device: torch.device) -> Lens:
    """The lens of ordinary training: every trainable tensor moves, the ticket says how it reads."""
    if ticket.is_plain:
        return Lens(ticket.architecture.trainable, whole)
    read = ticket.reading(device)
    return Lens(ticket.architecture.trainable, lambda live, step: read(live))
