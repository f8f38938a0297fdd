"""Re-wiring inside the layers: pruned weights return, others may leave. No unit is new."""

from recursive_lth.architecture.graph import Architecture
from recursive_lth.ticket.morph import Morph, morph


def everywhere(architecture: Architecture) -> tuple[str, ...]:
    """The one place there is."""
    return ("everywhere",)


def rewire(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """The same network: which weights return and leave is what its births decide.

    `place` and `label` are unused; `ratio` is the share of the remaining weights of each layer.
    """
    return morph(architecture, architecture, {})
