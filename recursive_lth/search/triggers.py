"""When the training after a growth is over, and the next pruning and growth may come.

Each rule reads the training's curve and what is known around it, and is pure: a training that was
interrupted stops where it would have stopped. The learning rate's schedule runs over
`growth.epochs` all the same, and no rule stops before the step to rewind to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from recursive_lth.pruning.early_bird import mask_distance
from recursive_lth.running.job import Row
from recursive_lth.ticket.masks import Masks


@dataclass(frozen=True)
class Evidence:
    """What a trigger may know besides the curve.

    `start_loss` is the parent's calibrated validation loss, `overhead` the multiply-adds that
    finding the growth has cost, `per_step` those of a step; `masks` those that would be cut at each
    look, and `dormant` the share of dormant units, where the trigger reads them. The others are the
    experiment's.
    """

    start_loss: float
    overhead: int
    per_step: int
    patience: int
    threshold: float = 0.0
    distance: float = 0.0
    share: float = 1.0
    masks: Sequence[Masks] = ()
    dormant: Sequence[float] = ()


Trigger = Callable[[Sequence[Row], Evidence], bool]


def fixed(rows: Sequence[Row], evidence: Evidence) -> bool:
    """Never before `growth.epochs` are over."""
    return False


def plateau(rows: Sequence[Row], evidence: Evidence) -> bool:
    """True iff the last `patience` looks have not improved on the best before them.

    An improvement is a calibrated validation loss lower by more than `threshold` of it.
    """
    losses = [row["val_calibrated_loss"] for row in rows]
    before, last = losses[: -evidence.patience], losses[-evidence.patience :]
    return bool(before) and min(last) >= min(before) * (1 - evidence.threshold)


def gain_per_cost(rows: Sequence[Row], evidence: Evidence) -> bool:
    """True iff a multiply-add has brought less in the last `patience` looks than on the whole.

    The marginal value theorem (Charnov 1976): leave when the rate of gain at the margin has fallen
    to the mean rate since the last ticket, the search for the growth included. The dearer the
    search, the longer its growth is trained. A gain is a fall of the calibrated validation loss.
    """
    if len(rows) <= evidence.patience:
        return False
    early, late = rows[-1 - evidence.patience], rows[-1]
    lately = early["val_calibrated_loss"] - late["val_calibrated_loss"]
    at_margin = lately / (evidence.per_step * (late["step"] - early["step"]))
    whole = evidence.start_loss - late["val_calibrated_loss"]
    mean = whole / (evidence.overhead + evidence.per_step * late["step"])
    return bool(at_margin <= max(mean, 0.0))


def mask_stability(rows: Sequence[Row], evidence: Evidence) -> bool:
    """True iff the ticket that would be cut now differs little from each of the last `patience`.

    The early bird of You et al. (2020, arXiv 1909.11957), whose queue of 5 is a patience of 4; of
    weights and over those that are kept (`pruning.early_bird.mask_distance`).
    """
    *before, newest = evidence.masks or [{}]
    last = before[-evidence.patience :]
    is_full = len(last) == evidence.patience
    return is_full and all(mask_distance(newest, old) <= evidence.distance for old in last)


def dormant(rows: Sequence[Row], evidence: Evidence) -> bool:
    """True iff at each of the last `patience` looks so large a share of units was dormant.

    A unit is dormant that is next to silent beside the others of its layer (Sokar et al. 2023,
    arXiv 2302.12902): training on would not use it, pruning takes it away, and growth brings new
    ones. There they are born anew instead.
    """
    last = evidence.dormant[-evidence.patience :]
    return len(last) == evidence.patience and min(last) >= evidence.share


TRIGGERS: Mapping[str, Trigger] = MappingProxyType(
    {
        "fixed": fixed,
        "plateau": plateau,
        "gain_per_cost": gain_per_cost,
        "mask_stability": mask_stability,
        "dormant": dormant,
    }
)
