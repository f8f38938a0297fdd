"""The controller: generations of train, prune, accept and grow, each from the last accepted one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from recursive_lth import seeds
from recursive_lth.config import Experiment, pick
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.prune import prune, rewind
from recursive_lth.pruning.schedule import next_round
from recursive_lth.pruning.scores import SCORES
from recursive_lth.search.acceptance import Verdict, accept
from recursive_lth.search.describe import describe_ticket
from recursive_lth.search.fit import Bench, Job, Row, fit
from recursive_lth.search.generation import Generation
from recursive_lth.search.judge import Seedling, choose
from recursive_lth.search.lineage import START, last_accepted, rejected_in_a_row
from recursive_lth.search.plan import start_architecture
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.shrink import shrink_perturb


@dataclass
class _Turn:
    """What a generation has done so far; lives no longer than it."""

    ticket: Ticket
    rows: list[Row]
    cost: int
    steps: int
    is_diverged: bool = False


def generations(
    bench: Bench, lineage: Sequence[Generation], load: Callable[[str], Ticket]
) -> Iterator[tuple[Generation, Ticket, list[Row]]]:
    """The generations after those of `lineage`, one by one: its line, its ticket, its curves.

    `load` gives an earlier ticket by digest. The caller stores what is yielded before it asks for
    more; it ends when the caller or `stop_reason` says so.
    """
    line = list(lineage)
    while not stop_reason(bench.experiment, line):
        began = perf_counter()
        number = len(line)
        bench.meter.begin(number)
        if number == 0:
            turn, ticket, rows = _start(bench)
        else:
            parent = load(last_accepted(line).digest)
            turn, ticket, rows = _prune_and_grow(bench, line, parent)
        turn = replace(turn, seconds=perf_counter() - began)
        line.append(turn)
        yield turn, ticket, rows


def stop_reason(experiment: Experiment, line: Sequence[Generation]) -> str:
    """Why no further generation follows; empty where one does."""
    budget = experiment.budget
    if len(line) > budget.generations:
        return f"all {budget.generations} generations are done"
    if budget.multiply_adds and line and line[-1].training_cost >= budget.multiply_adds:
        return f"the budget of {budget.multiply_adds:g} multiply-adds is spent"
    if budget.seconds and sum(turn.seconds for turn in line) >= budget.seconds:
        return f"the budget of {budget.seconds:g} seconds is spent"
    if experiment.growth.policy == "never" and len(line) > 1 and _is_idle(line):
        return "nothing is left to prune"
    if budget.patience and rejected_in_a_row(line) >= budget.patience:
        return f"{budget.patience} tickets in a row were rejected"
    return ""


def _is_idle(line: Sequence[Generation]) -> bool:
    """True iff the last ticket has kept all that its parent had."""
    sizes = {turn.digest: turn.remaining_weights for turn in line}
    return sizes[line[-1].digest] == sizes[line[-1].parent]


def _start(bench: Bench) -> tuple[Generation, Ticket, list[Row]]:
    """Generation 0: the dense start network, trained and never pruned."""
    experiment, shape = bench.experiment, tuple(bench.split.train.images.shape[1:])
    architecture = start_architecture(experiment, shape, bench.split.classes)
    generator = seeds.generator(experiment.seed, "generation", 0, "birth")
    ticket = seed_ticket(birth(architecture), generator, experiment.start.initialisation)
    turn = _Turn(ticket, [], 0, 0)
    _train(
        bench, turn, 0, "train", experiment.training.epochs, keep_at=experiment.pruning.rewind_step
    )
    if turn.is_diverged:
        raise InputError("the dense start network diverges: lower training.learning_rate")
    nothing = Seedling(turn.ticket, None, None, (), [])
    return _close(bench, turn, [], START, nothing), turn.ticket, turn.rows


def _prune_and_grow(
    bench: Bench, line: Sequence[Generation], parent: Ticket
) -> tuple[Generation, Ticket, list[Row]]:
    """A later generation: grow the parent (not yet in generation 1), train it, prune it."""
    experiment, number = bench.experiment, len(line)
    is_growing = number > 1 and experiment.growth.policy != "never"
    seedling = Seedling(parent, None, None, (), [])
    if is_growing:
        young = shrink_perturb(
            parent,
            experiment.training.shrink,
            experiment.training.perturb,
            seeds.generator(experiment.seed, "generation", number, "perturb"),
            experiment.start.initialisation,
        )
        seedling = choose(bench, young, number, [past.candidates for past in line])
    turn = _Turn(
        replace(seedling.ticket, parent=parent.digest),
        list(seedling.rows),
        line[-1].training_cost + sum(c.training_cost for c in seedling.candidates),
        line[-1].training_steps + sum(c.training_steps for c in seedling.candidates),
    )
    if is_growing:
        _train(bench, turn, number, "grow", experiment.growth.epochs)
    _prune(bench, turn, number)
    operator = seedling.growth["operator"] if seedling.growth else "none"
    return _close(bench, turn, line, operator, seedling), turn.ticket, turn.rows


def _prune(bench: Bench, turn: _Turn, number: int) -> None:
    """Rounds of pruning, each followed by rewinding, if any, and training."""
    pruning = bench.experiment.pruning
    score = pick(SCORES, pruning.score, "score")
    done = 0
    while not turn.is_diverged and (groups := next_round(turn.ticket, pruning, done=done)):
        with bench.clock.inside("pruning"):
            turn.ticket = prune(turn.ticket, score, groups, floor=pruning.layer_floor)
            if pruning.rewind_step is not None:
                turn.ticket = rewind(turn.ticket)
        done += 1
        _train(bench, turn, number, "prune", pruning.epochs, round_=done)


def _train(
    bench: Bench,
    turn: _Turn,
    generation: int,
    phase: str,
    epochs: float,
    *,
    round_: int | None = None,
    keep_at: int | None = None,
) -> None:
    """Train the turn's ticket as a stage: recalled where it was done before a kill."""
    name = f"{generation:04d}-{phase}" + ("" if round_ is None else f"-{round_}")
    stored = bench.stages.recall(name)
    if stored is None:
        seed = seeds.derive(bench.experiment.seed, "generation", generation, phase, round_ or 0)
        job = Job(name, generation, phase, epochs, seed, round=round_, keep_at=keep_at)
        fitted = fit(bench, turn.ticket, job)
        ticket = replace(fitted.ticket, rewind=fitted.kept) if fitted.kept else fitted.ticket
        record: dict[str, Any] = {
            "rows": fitted.rows,
            "steps": fitted.steps,
            "cost": fitted.cost,
            "is_diverged": fitted.is_diverged,
        }
        with bench.clock.inside("saving"):
            bench.stages.store(name, ticket, record)
    else:
        ticket, record = stored
    turn.ticket = ticket
    turn.rows += record["rows"]
    turn.cost += record["cost"]
    turn.steps += record["steps"]
    turn.is_diverged |= record["is_diverged"]


def _close(
    bench: Bench, turn: _Turn, line: Sequence[Generation], operator: str, seedling: Seedling
) -> Generation:
    """The generation's line: its ticket evaluated on validation data, and the verdict."""
    turn.ticket = replace(
        turn.ticket, provenance={"experiment": bench.experiment.digest, "generation": len(line)}
    )
    with bench.clock.inside("evaluation"):
        evaluation = evaluate(turn.ticket.architecture, turn.ticket.weights, bench.split.validation)
    if turn.is_diverged:
        verdict = Verdict(False, "rejected: training diverged; lower training.learning_rate")
    elif not line:
        verdict = Verdict(True, f"the dense {operator} network")
    else:
        rule = bench.experiment.acceptance
        verdict = accept(rule, line, evaluation.accuracy, turn.ticket.cost.density)
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
    )
