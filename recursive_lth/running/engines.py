"""Which engine a training runs on: what the recipe asks for, as far as the job allows."""

from typing import Any

from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.choice import large_and_thin, onednn_layers
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse
from recursive_lth.training.plans import chain_plan, measured_plan, whole_chain

MOST_TOGETHER = 0.33  # density of a layer that is sparse in a company
MOST_IN_CHAIN = 0.6  # of all weights, where the company is a compiled chain: 1.15 times as fast


def plan_of(bench: Bench[Any], ticket: Ticket, job: Job, *, is_alone: bool = True) -> Plan:
    """How the layers of a training are computed.

    Weights that are read through a lens, as coefficients or supermasks are, and tallies of all
    weights leave none sparse. `sparse` makes sparse whatever can be and has lost a weight, or all
    of a chain; `auto` what measures say, and has oneDNN do large dense products where that is
    faster. Companies are not measured: many at once share the overheads that make measures of a
    lone network waver, and below these densities large ones have always been faster sparse.
    """
    architecture, recipe, masks = ticket.architecture, job.recipe, ticket.masks
    if recipe.engine == "dense":
        return DENSE
    device, choices, weights = bench.batches.images.device, bench.choices, ticket.weights
    is_whole = bool(job.lens or job.tallies or not ticket.is_plain)
    if recipe.engine == "sparse":
        able = () if is_whole else can_be_sparse(architecture)
        found = tuple(name for name in able if not bool(masks[f"{name}.weight"].all()))
        chain = whole_chain(architecture, recipe, device) if found else None
        return chain or Plan(found)
    if is_alone and not is_whole:
        return measured_plan(architecture, weights, masks, recipe, device, choices)
    if not is_whole and (chain := chain_plan(architecture, masks, recipe, device, MOST_IN_CHAIN)):
        return chain
    thin = () if is_whole else large_and_thin(architecture, masks, recipe, MOST_TOGETHER)
    return Plan.of(thin, onednn_layers(architecture, weights, recipe, device, choices))
