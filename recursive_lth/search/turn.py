"""A generation in the making, and its close: evaluated, confirmed, judged and written down."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from recursive_lth.config import Experiment
from recursive_lth.running.job import Bench, Row
from recursive_lth.search.acceptance import Verdict, accept, is_too_dense
from recursive_lth.search.confirm import Behind, confirm
from recursive_lth.search.confirmation import Confirmation
from recursive_lth.search.describe import describe_ticket
from recursive_lth.search.generation import Generation
from recursive_lth.search.judging.choose import Seedling
from recursive_lth.search.judging.cohort import keeps_state
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import evaluate


@dataclass
class Turn:
    """What a generation has done so far; lives no longer than it."""

    ticket: Ticket
    rows: list[Row]
    cost: int
    steps: int
    state: State = field(default_factory=dict)  # of the optimizer, where growth.optimizer keeps it
    is_diverged: bool = False
    new_layers: frozenset[str] = frozenset()
    behind: Behind = field(default_factory=Behind)


def is_pruned_in(experiment: Experiment, number: int) -> bool:
    """True iff a generation ends with pruning: the first, one after each row of growths, the last.

    >>> from recursive_lth.config import Growth
    >>> [n for n in range(1, 7) if is_pruned_in(Experiment(growth=Growth(in_a_row=3)), n)]
    [1, 4, 6]
    """
    is_last = number == experiment.budget.generations
    return is_last or (number - 1) % experiment.growth.in_a_row == 0


def close(
    bench: Bench[Experiment],
    turn: Turn,
    line: Sequence[Generation],
    operator: str,
    seedling: Seedling,
    parent: Ticket | None,
    *,
    grows_on: bool = False,
) -> Generation:
    """The generation's line: its ticket evaluated on validation data, and the verdict."""
    turn.ticket = replace(
        turn.ticket, provenance={"experiment": bench.experiment.digest, "generation": len(line)}
    )
    with bench.clock.inside("evaluation"):
        evaluation = evaluate(turn.ticket.architecture, turn.ticket.weights, bench.split.validation)
    found = None if parent is None else _confirm(bench, turn, len(line), parent)
    if turn.is_diverged:
        verdict = Verdict(False, "rejected: training diverged; lower training.learning_rate")
    elif grows_on:
        verdict = Verdict(False, "not judged: it grows on before it is pruned")
    elif not line:
        kind = "dense" if turn.ticket.cost.density == 1 else "given"
        verdict = Verdict(True, f"the {kind} {operator} network")
    else:
        rule = bench.experiment.acceptance
        size = turn.ticket.cost
        verdict = accept(
            rule, line, evaluation.accuracy, size.density, found, weights=size.remaining_weights
        )
    if keeps_state(bench.experiment) and (verdict.accepted or grows_on):
        with bench.clock.inside("saving"):
            bench.stages.pass_on(turn.ticket.digest, turn.state)
    bench.meter.tell(
        val_accuracy=evaluation.accuracy, remaining_weights=turn.ticket.cost.remaining_weights
    )
    return Generation(
        **describe_ticket(turn.ticket),
        generation=len(line),
        operator=operator,
        growth=seedling.growth,
        val_accuracy=evaluation.accuracy,
        val_loss=evaluation.loss,
        val_calibrated_loss=evaluation.calibrated_loss,
        temperature=evaluation.temperature,
        test_accuracy=None,
        accepted=verdict.accepted,
        verdict=verdict.words,
        training_cost=turn.cost,
        training_steps=turn.steps,
        seconds=0.0,
        certificate=seedling.certificate,
        candidates=seedling.candidates,
        weights_cost=turn.behind.weights,
        confirmation=found.to_dict() if found else None,
        grows_on=grows_on,
    )


def _confirm(
    bench: Bench[Experiment], turn: Turn, number: int, parent: Ticket
) -> Confirmation | None:
    """What paired trainings say of the turn's ticket, where the rule asks for them."""
    rule = bench.experiment.acceptance
    is_asked = rule.rule == "paired" and not turn.is_diverged
    if not is_asked or is_too_dense(rule, turn.ticket.cost.density):
        return None
    found = confirm(bench, number, turn.ticket, parent, turn.behind)
    turn.cost += found.training_cost
    turn.steps += found.training_steps
    return found
