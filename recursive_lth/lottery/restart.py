"""From a cut ticket to its next training: what is set back, and where the training begins."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from recursive_lth.config import TicketExperiment, Training
from recursive_lth.lottery.trial import Trial
from recursive_lth.pruning.cut import Cut
from recursive_lth.pruning.rewind import rewind
from recursive_lth.running.job import Bench
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in
from recursive_lth.training.optimizer import at_last_rate


@dataclass(frozen=True)
class Drawn:
    """A ticket at the moment when its weights are scored, with the optimizer there."""

    ticket: Ticket
    step: int
    state: State
    tally: Mapping[str, Tensor]
    rewound: State  # the optimizer at the step to rewind to
    spent: int  # multiply-adds of all trainings that led here


def first_steps(bench: Bench[TicketExperiment]) -> int:
    """The steps of the first, whole training."""
    recipe = bench.experiment.training
    return steps_in(recipe.epochs, len(bench.batches), recipe.batch_size)


def restart(
    bench: Bench[TicketExperiment], drawn: Drawn, smaller: Cut, place: Mapping[str, Any], seed: int
) -> Trial:
    """The training of a cut ticket.

    With `pruning.epochs` it is a training of that length, begun anew. Without, it repeats the first
    training from the step rewound to, with weights, optimizer, BatchNorm statistics, learning rate
    and data order as they were there; a ticket whose weights are inherited goes on where it was
    drawn. Of learning-rate rewinding (Renda et al. 2020, arXiv 2003.02389) the weights are
    inherited and the optimizer begins anew.
    """
    pruning, recipe, steps = bench.experiment.pruning, bench.experiment.training, first_steps(bench)
    ticket, start, state = smaller.ticket, 0, State()
    rewound = smaller.moved(drawn.rewound)
    if pruning.rewind == "fine_tune":
        recipe = at_last_rate(recipe, steps)
    if pruning.is_inheriting:
        start, state = drawn.step, smaller.moved(drawn.state)
    else:
        ticket = rewind(
            ticket,
            restore=pruning.restore,
            pruned=pruning.pruned,
            trained=drawn.ticket.weights if pruning.pruned != "zero" else None,
        )
        start = pruning.rewind_step(bench.per_epoch(recipe)) or 0
        state = rewound if pruning.restore == "weights" else State()
    if pruning.epochs:
        steps = steps_in(pruning.epochs, len(bench.batches), recipe.batch_size)
        start, state = 0, State()
    ticket = replace(ticket, parent=drawn.ticket.digest)
    return Trial(ticket, place, recipe, steps, seed, start=start, state=state, rewound=rewound)


def whole_training(
    bench: Bench[TicketExperiment],
    ticket: Ticket,
    place: Mapping[str, Any],
    seed: int,
    recipe: Training | None = None,
) -> Trial:
    """The first training, of another network."""
    return Trial(ticket, place, recipe or bench.experiment.training, first_steps(bench), seed)
