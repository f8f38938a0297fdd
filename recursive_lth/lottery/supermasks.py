"""Levels that are supermasks: at each density a mask is trained, and the weights are not."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from recursive_lth import seeds
from recursive_lth.config import TicketExperiment, Training
from recursive_lth.errors import InputError
from recursive_lth.lottery.levels import TICKET, Level, Shared, born, levels, told
from recursive_lth.lottery.restart import Drawn
from recursive_lth.lottery.trial import Line, Trial, describe, run_trial
from recursive_lth.pruning.cut import cut
from recursive_lth.running.evidence import gather
from recursive_lth.running.job import Bench
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks, counts
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in
from recursive_lth.training.supermask import (
    first_scores,
    frozen,
    likely_masks,
    supermask_lens,
    top_masks,
)


def supermask_levels(
    bench: Bench[TicketExperiment], place: Mapping[str, Any], shared: Shared
) -> Iterator[Level]:
    """Level 0, the dense network trained; then a supermask at each of `tickets.densities`.

    A Bernoulli mask has the density that its training finds, whatever density is named.
    """
    experiment, settings = bench.experiment, bench.experiment.supermask
    first = next(iter(levels(bench, place, shared)))
    yield first
    still = frozen(born(bench), settings)
    for number, density in enumerate(experiment.tickets.densities, start=1):
        here = {**place, "level": number, "variant": TICKET}
        bench.meter.begin(shared.part + number, **told(here))
        yield _supermask(bench, still, here, density, first)


def _supermask(
    bench: Bench[TicketExperiment], still: Ticket, place: Mapping[str, Any], density: float,
    first: Level,
) -> Level:  # fmt: skip
    """A mask trained over frozen weights, as a level whose ticket was never trained."""
    experiment, settings = bench.experiment, bench.experiment.supermask
    number = int(place["level"])
    seed = seeds.derive(experiment.seed, "supermask", number)
    keep = _keep(bench, still, density)
    device = bench.batches.images.device
    scored = first_scores(still, settings, seeds.generator(seed, "first scores"))
    recipe = _recipe(experiment)
    trial = Trial(
        scored,
        place,
        recipe,
        steps_in(settings.epochs, len(bench.batches), recipe.batch_size),
        seed,
        lens=supermask_lens(still, settings, keep, seed, device),
        read_by=f"{settings.method} {still.digest} {sorted(keep.items())}",
    )
    fitted = run_trial(bench, trial)
    masks = _masks(experiment, still, fitted.ticket, keep)
    learnt = {n: t for n, t in fitted.ticket.weights.items() if n not in masks}  # BatchNorm's means
    found = replace(still, masks=masks, weights=masking.apply(still.weights | learnt, masks))
    _check_untouched(found, still)
    found = replace(found, parent=still.digest, provenance=told(place))
    evaluated = replace(fitted, ticket=found, best={}, tested={})
    line: Line = describe(bench, trial, evaluated, first.ticket.cost, spent_before=0)
    line |= {"parent": still.digest, "drawn_at": None}
    untrained = replace(trial, ticket=found, lens=None, read_by="")
    return Level(
        line, untrained, found, Drawn(found, 0, {}, {}, {}, line["training_multiply_adds"])
    )


def _keep(bench: Bench[TicketExperiment], still: Ticket, density: float) -> dict[str, int]:
    """How many weights each layer keeps at a density: what its scope would leave of any scores."""
    pruning = replace(bench.experiment.pruning, score="magnitude")
    evidence = gather(bench, pruning, torch.Generator(), {})
    found = cut(still, pruning, evidence, start=still.architecture, done=0, density=density)
    return counts(still.masks if found is None else found.ticket.masks)


def _recipe(experiment: TicketExperiment) -> Training:
    """The recipe by which scores are trained."""
    settings = experiment.supermask
    return replace(
        experiment.training,
        epochs=settings.epochs,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def _masks(
    experiment: TicketExperiment, still: Ticket, scored: Ticket, keep: Mapping[str, int]
) -> Masks:
    if experiment.supermask.method != "edge_popup":
        return likely_masks(still, scored.weights)
    sizes = {name: scored.weights[name].abs() for name in keep}
    return top_masks(still, sizes, keep)


def _check_untouched(found: Ticket, still: Ticket) -> None:
    """Raise unless every weight that remains has the very bits it was born with."""
    for name, mask in found.masks.items():
        same = found.weights[name][mask].equal(still.weights[name][mask])
        if not same:
            raise InputError(f"supermask changed {name}: this is a fault of ours")
