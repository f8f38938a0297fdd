"""Which engine a training runs on: what the recipe asks for, as far as the job allows."""

from collections.abc import Collection
from typing import Any

from recursive_lth.config import Training
from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.choice import large_and_thin, measured_plan, onednn_layers
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse

MOST_TOGETHER = 0.33  # density of a layer that is sparse in a company
MOST_BESIDE_ONEDNN = 0.28  # of one whose dense products oneDNN would do


def plan_of(bench: Bench[Any], ticket: Ticket, job: Job, *, is_alone: bool = True) -> Plan:
    """How the layers of a training are computed.

    Weights that are read through a lens, as coefficients or supermasks are, and tallies of all
    weights leave none sparse. `sparse` makes sparse whatever can be and has lost a weight, `auto`
    what measures say, and has oneDNN do large dense products where that is faster. A company's
    sparse layers are not measured: many at once share the overheads that make measures of a lone
    layer waver, and below a third of its weights a large layer has always been faster sparse, below
    a little less where oneDNN does the dense ones.
    """
    architecture, recipe, masks = ticket.architecture, job.recipe, ticket.masks
    if recipe.engine == "dense":
        return DENSE
    is_whole = bool(job.lens or job.tallies or not ticket.is_plain)
    if recipe.engine == "sparse":
        able = () if is_whole else can_be_sparse(architecture)
        return Plan(tuple(name for name in able if not bool(masks[f"{name}.weight"].all())))
    device, choices, weights = bench.batches.images.device, bench.choices, ticket.weights
    if is_alone and not is_whole:
        return measured_plan(architecture, weights, masks, recipe, device, choices)
    by_onednn = onednn_layers(architecture, weights, recipe, device, choices)
    return Plan.of(() if is_whole else _thin(ticket, recipe, by_onednn), by_onednn)


def _thin(ticket: Ticket, recipe: Training, by_onednn: Collection[str]) -> tuple[str, ...]:
    """The layers that are sparse in a company."""
    thin, thinner = (
        large_and_thin(ticket.architecture, ticket.masks, recipe, density)
        for density in (MOST_TOGETHER, MOST_BESIDE_ONEDNN)
    )
    return tuple(name for name in thin if name in thinner or name not in by_onednn)
