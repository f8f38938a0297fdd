"""The experiment's trigger at work: what it reads is gathered at each look of a training."""

from dataclasses import dataclass, replace

from recursive_lth import seeds
from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Experiment, pick
from recursive_lth.pruning.cut import cut
from recursive_lth.running.evidence import gather
from recursive_lth.running.fit import Stop
from recursive_lth.running.job import Bench, Row
from recursive_lth.search.triggers import TRIGGERS, Evidence
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.dormant import dormant_share
from recursive_lth.training.loop import Step

SAMPLES = 256  # on which units show whether they are dormant


@dataclass(frozen=True)
class StopRule:
    """When a training stops, and whether that depends on more than its curve."""

    should_stop: Stop
    remembers: bool


def stop_rule(
    bench: Bench[Experiment], ticket: Ticket, generation: int, *, start_loss: float, overhead: int
) -> StopRule:
    """The experiment's trigger for the training of a ticket that was just grown."""
    growth, recipe = bench.experiment.growth, bench.experiment.training
    trigger = pick(TRIGGERS, growth.trigger, "growth.trigger")
    least = bench.experiment.pruning.rewind_step(bench.per_epoch(recipe)) or 0
    batch_size = min(recipe.batch_size, len(bench.batches))
    known = Evidence(
        start_loss,
        overhead,
        training_cost(ticket.cost.remaining_multiply_adds, batch_size),
        growth.trigger_patience,
        growth.trigger_threshold,
        growth.trigger_distance,
        growth.trigger_share,
    )
    masks: list[Masks] = []
    shares: list[float] = []

    def should_stop(rows: list[Row], step: Step) -> bool:
        if growth.trigger == "mask_stability":
            masks.extend(_drawn(bench, _now(ticket, step), generation))
        if growth.trigger == "dormant":
            images = bench.split.train.first(SAMPLES).images.cpu()
            shares.append(dormant_share(ticket.architecture, _now(ticket, step).weights, images))
        evidence = replace(known, masks=masks, dormant=shares)
        return trigger(rows, evidence) and step.number >= least

    return StopRule(should_stop, growth.trigger in {"mask_stability", "dormant"})


def _now(ticket: Ticket, step: Step) -> Ticket:
    return replace(ticket, weights=masking.apply(step.snapshot(), ticket.masks))


def _drawn(bench: Bench[Experiment], ticket: Ticket, generation: int) -> list[Masks]:
    """The masks of the first round of pruning, were it now; none where nothing is left to cut."""
    experiment = bench.experiment
    generator = seeds.generator(experiment.seed, "generation", generation, "score", 0)
    evidence = gather(bench, experiment.pruning, generator, {})
    smaller = cut(
        ticket,
        experiment.pruning,
        evidence,
        start=ticket.architecture,
        done=0,
        generation=generation,
    )
    return [] if smaller is None else [smaller.ticket.masks]
