"""The measures of how far a network has come, as a whole, by layers and by birth generations.

They read a scene: from where the training found it, or from where it would be rewound to.
"""

from collections.abc import Callable

from recursive_lth.architecture.graph import STATISTICS
from recursive_lth.architecture.network import Weights
from recursive_lth.study.panel import distances
from recursive_lth.study.panel.barrier import Line, barrier_above_line, line_between
from recursive_lth.study.panel.mask_drift import Drift, mask_drift
from recursive_lth.study.panel.measure import Read
from recursive_lth.study.panel.parts import by_birth, by_layer
from recursive_lth.study.scene import Scene
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.ticket import Ticket

CUT = 0.5  # of the remaining weights: what the masks keep that are compared
Distance = Callable[[Weights, Weights, Masks], float | None]
OfPart = Callable[[Scene, Masks], float | None]


def from_rewind(distance: Distance) -> Read:
    """A distance of the remaining weights from those that they would be rewound to."""

    def measure(scene: Scene) -> float | None:
        return distance(scene.ticket.weights, scene.ticket.rewind, scene.ticket.masks)

    return measure


def update_ratio(scene: Scene, part: Masks) -> float | None:
    """How far a part's weights have moved since the training began, over their size then."""
    return distances.relative_distance(scene.ticket.weights, scene.before.weights, part)


def in_all(read: OfPart) -> Read:
    """A measure of all remaining weights."""

    def measure(scene: Scene) -> float | None:
        return read(scene, scene.ticket.masks)

    return measure


def in_generation(read: OfPart, *, is_last: bool) -> Read:
    """A measure of the weights of the first birth generation that remains, or of the last.

    None where all weights are of one generation: nothing has grown.
    """

    def measure(scene: Scene) -> float | None:
        parts = list(by_birth(scene.ticket.masks, scene.ticket.births).values())
        return read(scene, parts[-1 if is_last else 0]) if len(parts) > 1 else None

    return measure


def in_layer(read: OfPart, *, is_last: bool) -> Read:
    """A measure of the weights of the first layer that has any, or of the last; None without."""

    def measure(scene: Scene) -> float | None:
        parts = list(by_layer(scene.ticket.masks).values())
        return read(scene, parts[-1 if is_last else 0]) if parts else None

    return measure


def barrier_from_start(scene: Scene) -> float | None:
    """How far the loss rises above the line between where the training began and where it is."""
    return barrier_above_line(line_of(scene, scene.before, scene.ticket).losses)


def line_of(scene: Scene, one: Ticket, other: Ticket) -> Line:
    """Losses and errors on the line between two networks of the scene's shape, on validation data.

    Statistics of norms are measured anew on training samples.
    """
    has_norms = any(name.endswith(STATISTICS) for name in scene.architecture.tensors)
    return line_between(
        scene.architecture,
        one.weights,
        other.weights,
        scene.validation_samples,
        images=scene.train_samples.images if has_norms else None,
    )


def mask_hamming(scene: Scene) -> float | None:
    """How many places of the mask have changed, over the weights that it keeps."""
    found = _mask_drift(scene)
    return None if found is None else found.hamming


def mask_jaccard(scene: Scene) -> float | None:
    """The share of weights that both masks keep among those that one does."""
    found = _mask_drift(scene)
    return None if found is None else found.jaccard


def _mask_drift(scene: Scene) -> Drift | None:
    """Between masks of the network before the training and now, each cut to half of its weights."""
    return mask_drift(scene.before, scene.ticket, CUT * scene.ticket.cost.density)
