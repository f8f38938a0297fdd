"""The controller: generations of train, prune, accept and grow, each from an accepted one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

from recursive_lth import seeds
from recursive_lth.config import Experiment, Training
from recursive_lth.errors import InputError
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.rewind import rewind, rewind_newborn
from recursive_lth.running.evidence import gather
from recursive_lth.running.job import Bench, Job, Row
from recursive_lth.running.start import brings_weights, first_ticket
from recursive_lth.running.train import train
from recursive_lth.search.confirm import Behind
from recursive_lth.search.generation import Generation
from recursive_lth.search.judging.choose import Seedling, choose
from recursive_lth.search.judging.cohort import keeps_state
from recursive_lth.search.lineage import START, rejected_in_a_row
from recursive_lth.search.policies.past import Policy
from recursive_lth.search.population import parent_of, still_wanted
from recursive_lth.search.stopping import StopRule, stop_rule
from recursive_lth.search.turn import Turn, close, is_pruned_in
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in
from recursive_lth.training.optimizer import at_last_rate
from recursive_lth.training.shrink import shrink_perturb


def generations(
    bench: Bench[Experiment],
    lineage: Sequence[Generation],
    load: Callable[[str], Ticket],
    *,
    policy: Policy | None = None,
) -> Iterator[tuple[Generation, Ticket, list[Row]]]:
    """The generations after those of `lineage`, one by one: its line, its ticket, its curves.

    `load` gives an earlier ticket by digest, `policy` is a user's own. The caller stores what is
    yielded before it asks for more; it ends when the caller or `stop_reason` says so.
    """
    line = list(lineage)
    while not stop_reason(bench.experiment, line):
        began = perf_counter()
        number = len(line)
        bench.meter.begin(number, generation=number, phase="begin", candidate=None)
        if number == 0:
            turn, ticket, rows = _start(bench)
        else:
            parent = load(parent_of(bench.experiment.acceptance, line).digest)
            turn, ticket, rows = _prune_and_grow(bench, line, parent, policy)
        turn = replace(turn, seconds=perf_counter() - began)
        line.append(turn)
        yield turn, ticket, rows


def stop_reason(experiment: Experiment, line: Sequence[Generation]) -> str:
    """Why no further generation follows; empty where one does."""
    reason = _end(experiment, line)
    is_cut_short = reason and line and line[-1].grows_on
    return f"{reason}, before what grows on was pruned" if is_cut_short else reason


def _end(experiment: Experiment, line: Sequence[Generation]) -> str:
    """Why a search ends here, by its budget or for want of change; "" where it goes on."""
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


def _start(bench: Bench[Experiment]) -> tuple[Generation, Ticket, list[Row]]:
    """Generation 0: the start network, trained and never pruned here."""
    experiment, shape = bench.experiment, bench.split.sample_shape
    generator = seeds.generator(experiment.seed, "generation", 0, "birth")
    ticket = first_ticket(experiment.start, shape, bench.split.classes, generator)
    turn = Turn(ticket, [], 0, 0, new_layers=frozenset(ticket.architecture.layers))
    back = None if brings_weights(experiment.start) else _rewind_step(bench)
    _train(bench, turn, 0, "train", experiment.training.epochs, keep_at=back)
    if turn.is_diverged:
        raise InputError("the start network diverges: lower training.learning_rate")
    nothing = Seedling(turn.ticket, None, None, (), [])
    return close(bench, turn, [], START, nothing, None), turn.ticket, turn.rows


def _prune_and_grow(
    bench: Bench[Experiment], line: Sequence[Generation], parent: Ticket, policy: Policy | None
) -> tuple[Generation, Ticket, list[Row]]:
    """A later generation: grow the parent (not yet in generation 1), train it, prune it."""
    experiment, number = bench.experiment, len(line)
    is_growing = number > 1 and experiment.growth.policy != "never"
    state = State()
    if keeps_state(bench.experiment):
        wanted = still_wanted(line, experiment.acceptance)
        state = bench.stages.passed_on(parent.digest, wanted=wanted)
    seedling = Seedling(parent, None, None, (), [], state)
    if is_growing:
        young = shrink_perturb(
            parent,
            experiment.training.shrink,
            experiment.training.perturb,
            seeds.generator(experiment.seed, "generation", number, "perturb"),
            experiment.start.initialisation,
        )
        earlier = [past.candidates for past in line]
        seedling = choose(bench, young, number, earlier, state=state, own=policy)
    turn = Turn(
        replace(seedling.ticket, parent=parent.digest),
        list(seedling.rows),
        line[-1].training_cost + seedling.cost,
        line[-1].training_steps + sum(c.training_steps for c in seedling.candidates),
        seedling.state,
        new_layers=frozenset(seedling.ticket.architecture.layers) - set(parent.architecture.layers),
        behind=_behind(line, parent, seedling),
    )
    if is_growing:
        start_loss = _line_of(line, parent).val_calibrated_loss
        rule = stop_rule(bench, turn.ticket, number, start_loss=start_loss, overhead=seedling.cost)
        back, epochs = _rewind_step(bench), experiment.growth.epochs
        _train(bench, turn, number, "grow", epochs, keep_at=back, rule=rule)
    grows_on = is_growing and not turn.is_diverged and not is_pruned_in(experiment, number)
    if not grows_on:
        _prune(bench, turn, number)
    operator = seedling.growth["operator"] if seedling.growth else "none"
    found = close(bench, turn, line, operator, seedling, parent, grows_on=grows_on)
    return found, turn.ticket, turn.rows


def _behind(line: Sequence[Generation], parent: Ticket, seedling: Seedling) -> Behind:
    """What a generation begins with: its parent's past, and its chosen one's short training."""
    before = _line_of(line, parent)
    chosen = [c for c in seedling.candidates if c.status == "chosen"]
    begun = sum(c.training_cost // max(1, len(c.replicates)) for c in chosen)  # races leave nothing
    carried = before.confirmation["carried"] if before.confirmation else 0.0
    return Behind(before.weights_cost + begun, begun, carried)


def _line_of(line: Sequence[Generation], ticket: Ticket) -> Generation:
    return next(turn for turn in line if turn.digest == ticket.digest)


def _prune(bench: Bench[Experiment], turn: Turn, number: int) -> None:
    """Rounds of pruning, each followed by rewinding, if any, and training."""
    experiment, pruning = bench.experiment, bench.experiment.pruning
    start = turn.ticket.architecture
    done = 0
    while not turn.is_diverged:
        generator = seeds.generator(experiment.seed, "generation", number, "score", done)
        evidence = gather(bench, pruning, generator, {})
        with bench.clock.inside("pruning"):
            smaller = cut(turn.ticket, pruning, evidence, start=start, done=done, generation=number)
        if smaller is None:
            return
        turn.ticket, turn.state = smaller.ticket, smaller.moved(turn.state)
        if not pruning.is_inheriting:  # moments of other weights are of no use
            turn.ticket, turn.state = rewind(turn.ticket, restore=pruning.restore), {}
            if not pruning.keeps_trained:
                turn.behind = replace(turn.behind, weights=0)
        done += 1
        recipe = experiment.training
        if pruning.rewind == "fine_tune":
            recipe = at_last_rate(recipe, _steps(bench, recipe.epochs))
        _train(bench, turn, number, "prune", pruning.epochs, recipe=recipe, round_=done)


def _train(
    bench: Bench[Experiment],
    turn: Turn,
    generation: int,
    phase: str,
    epochs: float,
    *,
    recipe: Training | None = None,
    round_: int | None = None,
    keep_at: int | None = None,
    rule: StopRule | None = None,
) -> None:
    """Train the turn's ticket as a stage: recalled where it was done before a kill."""
    experiment = bench.experiment
    job = Job(
        f"{generation:04d}-{phase}" + ("" if round_ is None else f"-{round_}"),
        recipe or experiment.training,
        _steps(bench, epochs),
        seeds.derive(experiment.seed, "generation", generation, phase, round_ or 0),
        labels={"generation": generation, "phase": phase, "candidate": None, "round": round_},
        place={"phase": phase, "candidate": None, "candidates": experiment.growth.candidates},
        state=turn.state,
        keep_at=() if keep_at is None else (keep_at,),
        keeps_end=keeps_state(bench.experiment),
        is_restartable=not (rule and rule.remembers),
    )
    fitted = train(bench, turn.ticket, job, rule.should_stop if rule else None)
    turn.ticket = fitted.ticket
    if keep_at in fitted.kept:
        turn.ticket = rewind_newborn(
            turn.ticket, fitted.kept[keep_at].weights, generation, new_layers=turn.new_layers
        )
    if keeps_state(bench.experiment) and not fitted.is_diverged:
        turn.state = fitted.kept[fitted.steps].state
    turn.rows += fitted.rows
    turn.cost += fitted.cost
    turn.steps += fitted.steps
    turn.behind = replace(
        turn.behind,
        weights=turn.behind.weights + fitted.cost,
        generation=turn.behind.generation + fitted.cost,
    )
    turn.is_diverged |= fitted.is_diverged


def _steps(bench: Bench[Experiment], epochs: float) -> int:
    return steps_in(epochs, len(bench.batches), bench.experiment.training.batch_size)


def _rewind_step(bench: Bench[Experiment]) -> int | None:
    experiment = bench.experiment
    return experiment.pruning.rewind_step(bench.per_epoch(experiment.training))
