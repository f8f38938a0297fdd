"""Scores: for every prunable weight a number; the lowest go first. One signature, one dict."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from recursive_lth.ticket.ticket import Ticket

Scores = dict[str, Tensor]
Score = Callable[[Ticket], Scores]


def magnitude(ticket: Ticket) -> Scores:
    """|w| of the trained weight (Han et al. 2015; Frankle & Carbin 2019, arXiv 1803.03635)."""
    return {name: ticket.weights[name].abs() for name in ticket.architecture.prunable}


def magnitude_rms(ticket: Ticket) -> Scores:
    """|w| over the root mean square of the layer's remaining weights.

    Layers of unlike scale compete on equal terms under the global scope. Vandersmissen & Oramas
    (2023, arXiv 2302.11244) divide by the layer's sum or L2 norm, which favours small layers; the
    root mean square does not depend on the layer's size.
    """
    scores = {}
    for name, score in magnitude(ticket).items():
        kept = ticket.masks[name].sum().clamp(min=1)
        rms = (score.double().square().sum() / kept).sqrt()
        scores[name] = score.double() / rms.clamp(min=1e-300)
    return scores


SCORES: Mapping[str, Score] = MappingProxyType(
    {"magnitude": magnitude, "magnitude_rms": magnitude_rms}
)
