"""What is trained beside a ticket: its controls, and the same ticket on other data."""

from collections.abc import Iterator
from dataclasses import replace

from recursive_lth import seeds
from recursive_lth.architecture.cost import Cost
from recursive_lth.config import TicketExperiment
from recursive_lth.lottery.levels import Level, drawing
from recursive_lth.lottery.restart import whole_training
from recursive_lth.lottery.trial import Line, Trial, describe, run_trial, stage_of
from recursive_lth.pruning.controls import control, steps_at_equal_cost
from recursive_lth.pruning.rewind import rewind
from recursive_lth.running.job import Bench
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in

TRANSFER = "transfer"


def rivals(bench: Bench[TicketExperiment], level: Level) -> Iterator[Trial]:
    """The controls of a level's ticket, trained as it is: same steps, same batches, same cost.

    Where the ticket inherits its weights, which no control has, the control gets a whole first
    training instead: at least as much as the ticket's own last one.
    """
    own = level.trial
    for name in bench.experiment.tickets.controls:
        place = {**own.place, "variant": name}
        if bench.experiment.pruning.is_inheriting:
            trial = whole_training(bench, own.ticket, place, own.seed)
        else:
            trial = replace(own, place=place, state=None, keep_at=(), tallies=False, stops_by="")
        yield _fit_in(trial, _control(bench, level, name))


def transfers(
    bench: Bench[TicketExperiment], there: Bench[TicketExperiment], level: Level
) -> Iterator[Trial]:
    """A level's ticket, mask and initial weights, trained elsewhere, and its controls likewise."""
    transfer, recipe = bench.experiment.transfer, there.experiment.training
    recipe = replace(
        recipe,
        optimizer=transfer.optimizer or recipe.optimizer,
        learning_rate=transfer.learning_rate or recipe.learning_rate,
    )
    steps = steps_in(recipe.epochs, len(there.batches), recipe.batch_size)
    own = level.trial
    place = {**own.place, "variant": TRANSFER}
    trial = Trial(_initial(bench, level), place, recipe, steps, own.seed)
    yield trial
    for name in bench.experiment.tickets.controls:
        place = {**own.place, "variant": f"{TRANSFER}_{name}"}
        yield _fit_in(replace(trial, place=place), _control(bench, level, name))


def run_rival(bench: Bench[TicketExperiment], trial: Trial, dense: Cost) -> Line:
    """The line of a control or a transfer; its stage is dropped, for the line is all we keep."""
    fitted = run_trial(bench, trial)
    line = describe(bench, trial, fitted, dense, spent_before=0)
    bench.stages.forget(stage_of(bench, trial))
    return line | {"digest": ""}


def _control(bench: Bench[TicketExperiment], level: Level, name: str) -> Ticket:
    """A control of the ticket as it is when it is set back to where all began."""
    number = level.trial.place["level"]
    generator = seeds.generator(bench.experiment.seed, "control", name, number)
    return control(name, _initial(bench, level), drawing(bench.experiment), generator)


def _initial(bench: Bench[TicketExperiment], level: Level) -> Ticket:
    """The ticket at the values it is rewound to, whatever it has inherited."""
    pruning = bench.experiment.pruning
    keeps_trained = pruning.is_inheriting or pruning.restore == "learning_rate"
    return rewind(level.trial.ticket) if keeps_trained else level.trial.ticket


def _fit_in(trial: Trial, rival: Ticket) -> Trial:
    """The trial with a rival in the ticket's place, at equal multiply-adds."""
    if rival.cost.remaining_multiply_adds == trial.ticket.cost.remaining_multiply_adds:
        return replace(trial, ticket=rival)
    steps = steps_at_equal_cost(trial.ticket, rival, trial.steps - trial.start)
    return replace(trial, ticket=rival, start=0, steps=steps)
