"""Early-bird tickets: stop a level's training once the ticket drawn from it no longer changes."""

from dataclasses import replace

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import TicketExperiment
from recursive_lth.lottery.trial import Trial
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.early_bird import EarlyBird, channel_masks, channels
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
    It never stops before the step to rewind to, nor a level that nothing is cut from.
    """
    tickets, pruning = bench.experiment.tickets, bench.experiment.pruning
    level = int(trial.place["level"])
    is_last = bool(tickets.densities) and level >= len(tickets.densities)
    is_leaf = level > 0 and bool(tickets.densities) and pruning.schedule == "one_shot"
    if not tickets.early_bird or is_last or is_leaf:
        return None, ""
    least = pruning.rewind_step(bench.per_epoch(trial.recipe)) or 0
    bird = EarlyBird(tickets.early_bird_queue, tickets.early_bird)
    density = tickets.densities[level] if tickets.densities else None

    def should_stop(rows: list[Row], step: Step) -> bool:
        weights = masking.apply(step.snapshot(), trial.ticket.masks)
        drawn = _draw(bench, replace(trial.ticket, weights=weights), start, level, density)
        return drawn is not None and bird.add(drawn) and step.number >= least

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
    generator = seeds.generator(bench.experiment.seed, "score", level)
    evidence = gather(bench, pruning, generator, {})
    smaller = cut(ticket, pruning, evidence, start=start, done=level, density=density)
    if smaller is None:
        return None
    if pruning.granularity == "unit":
        here, whole = channels(ticket.architecture), channels(start)
        share = 1 - pruning.rate if density is None else min(1.0, density * whole / here)
        return channel_masks(ticket, share)
    return smaller.ticket.masks
