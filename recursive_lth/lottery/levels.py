"""The levels of one arm and replicate: train, score, cut, restart, and again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.basis import BASES
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.config import TicketExperiment, moment_step, pick
from recursive_lth.growth.fresh import fresh
from recursive_lth.lottery.early import early_stop
from recursive_lth.lottery.restart import Drawn, first_steps, restart
from recursive_lth.lottery.trial import Line, Trial, describe, run_trial
from recursive_lth.pruning.cut import Cut, cut
from recursive_lth.running.evidence import gather
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Bench
from recursive_lth.running.start import brings_weights, first_ticket
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket

TICKET = "ticket"


@dataclass(frozen=True)
class Level:
    """One trained ticket: its line, the ticket before and after training, and when it was drawn."""

    line: Line
    trial: Trial
    ticket: Ticket
    drawn: Drawn


@dataclass(frozen=True)
class Shared:
    """What level 0 keeps for every arm that begins like this one; the run's part it is."""

    keep_at: tuple[int, ...]
    tallies: bool
    part: int = 0


Draw = Callable[[Architecture, Any], Weights]


def drawing(experiment: TicketExperiment) -> Draw:
    """Fresh initial values as this experiment draws them, in its basis."""
    encode = pick(BASES, experiment.pruning.basis, "basis").encode

    def draw(architecture: Architecture, generator: Any) -> Weights:
        values = fresh(architecture, generator, experiment.start.initialisation)
        return {n: encode(t) if n in architecture.prunable else t for n, t in values.items()}

    return draw


def born(bench: Bench[TicketExperiment]) -> Ticket:
    """The dense network of a replicate before any training."""
    experiment, shape = bench.experiment, bench.split.sample_shape
    generator = seeds.generator(experiment.seed, "birth")
    ticket = first_ticket(experiment.start, shape, bench.split.classes, generator)
    architecture = ticket.architecture
    if experiment.pruning.basis == "identity":
        return ticket
    encode = pick(BASES, experiment.pruning.basis, "basis").encode
    values = {n: encode(t) if n in architecture.prunable else t for n, t in ticket.weights.items()}
    return replace(ticket, weights=values, rewind=values, basis=experiment.pruning.basis)


def moments_of(experiment: TicketExperiment, per_epoch: int) -> set[int]:
    """The steps of the first training at which something is scored or rewound to."""
    scored = experiment.tickets.score_at
    back = experiment.pruning.rewind_step(per_epoch)
    return {
        *(() if scored == "end" else (moment_step(scored, per_epoch),)),
        *(() if back is None else (back,)),
    }


def levels(
    bench: Bench[TicketExperiment], place: Mapping[str, Any], shared: Shared
) -> Iterator[Level]:
    """Level 0, the dense network, and every level that follows from it."""
    experiment = bench.experiment
    densities, is_one_shot = experiment.tickets.densities, experiment.pruning.schedule == "one_shot"
    seed = seeds.derive(experiment.seed, "training")
    start = born(bench)
    here = {**place, "level": 0, "variant": TICKET}
    bench.meter.begin(shared.part, **told(here))
    trial = Trial(start, here, experiment.training, first_steps(bench), seed)
    first = source = _trained(bench, trial, shared, None, spent=0)
    yield first
    number = 0
    while not source.line["is_diverged"] and (not densities or number < len(densities)):
        density = densities[number] if densities else None
        smaller = next_cut(bench, source.drawn, start.architecture, number, density)
        if smaller is None:
            return
        number += 1
        here = {**place, "level": number, "variant": TICKET}
        bench.meter.begin(shared.part + number, **told(here))
        trial = restart(bench, source.drawn, smaller, here, seed)
        found = _trained(bench, trial, shared, first, spent=source.drawn.spent)
        yield found
        source = first if is_one_shot and densities else found


def next_cut(
    bench: Bench[TicketExperiment],
    drawn: Drawn,
    start: Architecture,
    done: int,
    density: float | None,
) -> Cut | None:
    """The ticket after the cut that follows `done` others; None where nothing is left to cut."""
    pruning = bench.experiment.pruning
    generator = seeds.generator(bench.experiment.seed, "score", done)
    evidence = gather(bench, pruning, generator, drawn.tally)
    with bench.clock.inside("pruning"):
        return cut(drawn.ticket, pruning, evidence, start=start, done=done, density=density)


def told(place: Mapping[str, Any]) -> dict[str, Any]:
    """What of a place the watcher is told, and a ticket remembers."""
    return {key: value for key, value in place.items() if key != "seed"}


def _trained(
    bench: Bench[TicketExperiment], trial: Trial, shared: Shared, first: Level | None, *, spent: int
) -> Level:
    """A level's ticket trained, and drawn at the moment when it is to be scored."""
    tickets = bench.experiment.tickets
    per_epoch = bench.per_epoch(trial.recipe)
    at = None if tickets.score_at == "end" else moment_step(tickets.score_at, per_epoch)
    if first is None:
        trial = replace(trial, keep_at=shared.keep_at, tallies=shared.tallies)
    else:
        at = None if at is None else min(max(at, trial.start), trial.steps)
        trial = replace(trial, keep_at=() if at is None else (at,), tallies=shared.tallies)
    start = trial.ticket.architecture if first is None else first.ticket.architecture
    bird, named = early_stop(bench, trial, start)
    fitted = run_trial(bench, replace(trial, stops_by=named), bird)
    ticket = fitted.ticket
    if first is None and not fitted.is_diverged:
        ticket = _with_rewind(bench, ticket, fitted)
    fitted = replace(fitted, ticket=replace(ticket, provenance=_provenance(bench, trial)))
    dense = fitted.ticket.cost if first is None else first.ticket.cost
    line = describe(bench, trial, fitted, dense, spent_before=spent)
    drawn = _drawn(bench, trial, fitted, at, first)
    drawn = replace(drawn, spent=spent + _spent_until(bench, trial, fitted, drawn.step))
    return Level(line | {"drawn_at": drawn.step}, trial, fitted.ticket, drawn)


def _spent_until(bench: Bench[TicketExperiment], trial: Trial, fitted: Fitted, step: int) -> int:
    """Multiply-adds of a training up to the step drawn at, and that rewound to: the rest is not
    needed to find what is cut from it."""
    back = bench.experiment.pruning.rewind_step(bench.per_epoch(trial.recipe)) or 0
    needed = max(step, back) - trial.start
    return round(fitted.cost * min(1.0, max(0, needed) / max(1, fitted.steps)))


def _with_rewind(bench: Bench[TicketExperiment], ticket: Ticket, fitted: Fitted) -> Ticket:
    """Level 0 with the values that all later levels are rewound to."""
    step = bench.experiment.pruning.rewind_step(bench.per_epoch(bench.experiment.training))
    if step is None or step not in fitted.kept or brings_weights(bench.experiment.start):
        return ticket
    return replace(ticket, rewind=fitted.kept[step].weights)


def _drawn(
    bench: Bench[TicketExperiment],
    trial: Trial,
    fitted: Fitted,
    at: int | None,
    first: Level | None,
) -> Drawn:
    """The trained ticket at the step it is scored at; its own end where no other is named."""
    end = trial.start + fitted.steps
    step = end if at is None else at
    inside = fitted.kept.get(step)
    ticket = fitted.ticket
    if inside is not None and step != end:
        weights: dict[str, Tensor] = masking.apply(inside.weights, ticket.masks)
        ticket = replace(ticket, weights=weights)
    back = bench.experiment.pruning.rewind_step(bench.per_epoch(bench.experiment.training))
    if first is not None:
        rewound = trial.rewound or {}
    else:
        rewound = fitted.kept[back].state if back in fitted.kept else {}
    state = inside.state if inside is not None else {}
    return Drawn(ticket, step, state, fitted.tally, rewound, 0)


def _provenance(bench: Bench[TicketExperiment], trial: Trial) -> dict[str, Any]:
    return {"experiment": bench.experiment.name, **told(trial.place)}
