"""A mask on many draws of the weights: how much of its accuracy is the mask's alone."""

from dataclasses import replace
from typing import Any

from recursive_lth import seeds
from recursive_lth.config import TicketExperiment
from recursive_lth.lottery.levels import Level, drawing
from recursive_lth.running.job import Bench
from recursive_lth.statistics import average
from recursive_lth.ticket import masks as masking
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.supermask import frozen


def sampled(bench: Bench[TicketExperiment], level: Level) -> dict[str, Any]:
    """Test accuracy of the untrained mask over fresh weights: mean, sd and n.

    The weight-agnostic score of Gaier & Ha (2019, arXiv 1906.04358), who share one value among all
    weights; here every weight is drawn anew, as the network's were (and made a signed constant
    where the run's are).
    """
    experiment, ticket = bench.experiment, level.ticket
    draw, found = drawing(experiment), []
    for number in range(experiment.tickets.weight_samples):
        values = draw(
            ticket.architecture, seeds.generator(experiment.seed, "weight sample", number)
        )
        fresh = replace(ticket, weights=masking.apply(values, ticket.masks), rewind=values)
        if experiment.supermask.method:
            fresh = frozen(fresh, experiment.supermask)
        weights = fresh.readable()
        found.append(evaluate(ticket.architecture, weights, bench.split.test).accuracy)
    return average(found)
