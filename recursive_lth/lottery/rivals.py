"""What is trained beside a ticket: its controls, and the same ticket on other data."""

from collections.abc import Iterator
from dataclasses import replace

from recursive_lth import seeds
from recursive_lth.architecture.cost import Cost, training_cost
from recursive_lth.config import TicketExperiment, Training
from recursive_lth.lottery.levels import Level, drawing
from recursive_lth.lottery.restart import whole_training
from recursive_lth.lottery.trial import Line, Trial, describe, run_trial
from recursive_lth.pruning.controls import FRESH, control, steps_at_equal_cost
from recursive_lth.pruning.rewind import rewind
from recursive_lth.running.fit import EndsAt
from recursive_lth.running.job import Bench
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in

TRANSFER = "transfer"


def rivals(bench: Bench[TicketExperiment], level: Level) -> Iterator[Trial]:
    """The controls of a level's ticket: same batches, same cost.

    A rewound ticket's controls are trained as it is, from the step rewound to and with the
    optimizer there; those of fresh weights, which have no such step, through the whole first
    training. A ticket that inherits its weights has been trained by all that led to it: its
    controls begin at step 0 and get as many multiply-adds as all of that.
    """
    own = level.trial
    for name in bench.experiment.tickets.controls:
        rival = _control(bench, level, name)
        place = {**own.place, "variant": name}
        plain = replace(own, ticket=rival, place=place, keep_at=(), tallies=False, stops_by="")
        if bench.experiment.pruning.is_inheriting:
            steps = steps_for(bench, rival, level.line["finding_multiply_adds"], own.recipe)
            whole = whole_training(bench, rival, place, own.seed)
            yield replace(whole, steps=steps)
        elif name in FRESH and own.start:
            yield whole_training(bench, rival, place, own.seed, own.recipe)
        else:
            yield _fit_in(own.ticket, plain, level.line["steps"])


def steps_for(
    bench: Bench[TicketExperiment], ticket: Ticket, multiply_adds: int, recipe: Training
) -> int:
    """How many steps of training a ticket gets for so many multiply-adds, at least one."""
    batch_size = min(recipe.batch_size, len(bench.batches))
    a_step = training_cost(ticket.cost.remaining_multiply_adds, batch_size)
    return max(1, round(multiply_adds / max(1, a_step)))


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
        rival = replace(trial, place=place, ticket=_control(bench, level, name))
        yield _fit_in(trial.ticket, rival, steps)


def run_rival(bench: Bench[TicketExperiment], trial: Trial, dense: Cost) -> Line:
    """The line of a control or a transfer, which is all we keep of it."""
    end = trial.ends_at
    fitted = run_trial(bench, trial, EndsAt(end) if end else None)
    line = describe(bench, trial, fitted, dense, spent_before=0)
    return line | {"digest": ""}


def _control(bench: Bench[TicketExperiment], level: Level, name: str) -> Ticket:
    """A control of the ticket as it is when it is set back to where all began."""
    number, restore = level.trial.place["level"], bench.experiment.pruning.restore
    generator = seeds.generator(bench.experiment.seed, "control", name, number)
    rival = control(name, _initial(bench, level), drawing(bench.experiment), generator)
    return rewind(rival, restore="signs") if restore == "signs" else rival


def _initial(bench: Bench[TicketExperiment], level: Level) -> Ticket:
    """The ticket at the values it is rewound to, whatever it has inherited."""
    keeps_trained = bench.experiment.pruning.keeps_trained
    return rewind(level.trial.ticket) if keeps_trained else level.trial.ticket


def _fit_in(ticket: Ticket, rival: Trial, taken: int) -> Trial:
    """The rival's trial at equal multiply-adds, where its ticket took so many steps.

    One as dear as the ticket takes its very steps, on its schedule, though that was stopped early.
    """
    if rival.ticket.cost.remaining_multiply_adds == ticket.cost.remaining_multiply_adds:
        is_whole = taken == rival.steps - rival.start
        return replace(rival, ends_at=0 if is_whole else rival.start + taken)
    steps = steps_at_equal_cost(ticket, rival.ticket, taken)
    return replace(rival, start=0, state=None, steps=steps)
