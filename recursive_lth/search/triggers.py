"""When the training after a growth is over, and the next pruning and growth may come.

Each rule reads the training's curve and what is known around it, and is pure: a training that was
interrupted stops where it would have stopped. The learning rate's schedule runs over
`growth.epochs` all the same, and no rule stops before the step to rewind to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Experiment, pick
from recursive_lth.running.fit import Stop
from recursive_lth.running.job import Bench, Row
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import Step


@dataclass(frozen=True)
class Evidence:
    """What a trigger may know besides the curve.

    `start_loss` is the parent's calibrated validation loss, `overhead` the multiply-adds that
    finding the growth has cost, `per_step` those of a step; `patience` and `threshold` are the
    experiment's.
    """

    start_loss: float
    overhead: int
    per_step: int
    patience: int
    threshold: float


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


def stop_rule(
    bench: Bench[Experiment], ticket: Ticket, *, start_loss: float, overhead: int
) -> Stop:
    """The experiment's trigger for the training of a ticket that was just grown."""
    growth, recipe = bench.experiment.growth, bench.experiment.training
    trigger = pick(TRIGGERS, growth.trigger, "growth.trigger")
    least = bench.experiment.pruning.rewind_step(bench.per_epoch(recipe)) or 0
    batch_size = min(recipe.batch_size, len(bench.batches))
    evidence = Evidence(
        start_loss,
        overhead,
        training_cost(ticket.cost.remaining_multiply_adds, batch_size),
        growth.trigger_patience,
        growth.trigger_threshold,
    )

    def should_stop(rows: list[Row], step: Step) -> bool:
        return step.number >= least and trigger(rows, evidence)

    return should_stop


TRIGGERS: Mapping[str, Trigger] = MappingProxyType(
    {"fixed": fixed, "plateau": plateau, "gain_per_cost": gain_per_cost}
)
