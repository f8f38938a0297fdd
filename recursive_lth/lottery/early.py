"""Early-bird tickets: stop a level's training once the ticket drawn from it no longer changes."""

from dataclasses import replace

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import TicketExperiment
from recursive_lth.lottery.trial import Trial
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.early_bird import EarlyBird, channel_masks
from recursive_lth.running.evidence import gather
from recursive_lth.running.fit import Stop
from recursive_lth.running.job import Bench, Row
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import Step


def early_stop(
    bench: Bench[TicketExperiment], trial: Trial, start: Architecture
) -> tuple[Stop | None, str]:
    """When to stop a training early, and a name of that rule; (None, "") for a whole training.

    At every look at the validation data the next ticket is drawn; the training stops once it
    differs from each of the last few by at most `tickets.early_bird` (You et al. 2020, arXiv
    1909.11957). Masks of weights are compared, or of BatchNorm's channels where units are pruned.
    """
    tickets, pruning = bench.experiment.tickets, bench.experiment.pruning
    level = int(trial.place["level"])
    is_last = bool(tickets.densities) and level >= len(tickets.densities)
    if not tickets.early_bird or is_last:
        return None, ""
    bird = EarlyBird(tickets.early_bird_queue, tickets.early_bird)
    density = tickets.densities[level] if tickets.densities else None

    def should_stop(rows: list[Row], step: Step) -> bool:
        weights = masking.apply(step.snapshot(), trial.ticket.masks)
        drawn = _draw(bench, replace(trial.ticket, weights=weights), start, level, density)
        return drawn is not None and bird.add(drawn)

    rule = [tickets.early_bird, tickets.early_bird_queue, density, level, repr(pruning)]
    return should_stop, f"early bird {rule}"


def _draw(
    bench: Bench[TicketExperiment],
    ticket: Ticket,
    start: Architecture,
    level: int,
    density: float | None,
) -> Masks | None:
    """The masks of the ticket that would be cut now; None where nothing is left to cut."""
    pruning = bench.experiment.pruning
    if pruning.granularity == "unit":
        return channel_masks(ticket, density or 1 - pruning.rate)
    generator = seeds.generator(bench.experiment.seed, "score", level)
    evidence = gather(bench, pruning, generator, {})
    smaller = cut(ticket, pruning, evidence, start=start, done=level, density=density)
    return None if smaller is None else smaller.ticket.masks
