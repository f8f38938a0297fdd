"""Which engine a training runs on: what the recipe asks for, as far as the job allows."""

from typing import Any

from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.break_even import sparse_together
from recursive_lth.training.choice import onednn_layers
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse
from recursive_lth.training.plans import measured_plan, whole_chain
from recursive_lth.training.together import can_join


def plan_of(bench: Bench[Any], ticket: Ticket, job: Job, *, is_alone: bool = True) -> Plan:
    """How the layers of a training are computed.

    Weights that are read through a lens, as coefficients or supermasks are, and tallies of all
    weights leave none sparse. `sparse` makes sparse whatever can be and has lost a weight, or all
    of a chain. `auto` goes by what the run has measured: of a network that trains alone its own
    steps, of one that may have company those of a company; and has oneDNN do large dense products
    where that is faster.
    """
    if job.recipe.engine == "dense":
        return DENSE
    architecture, masks = ticket.architecture, ticket.masks
    recipe = bench.batches.fitting(job.recipe)
    device, choices, weights = bench.batches.images.device, bench.choices, ticket.weights
    is_whole = bool(job.lens or job.tallies or not ticket.is_plain)
    if recipe.engine == "sparse":
        able = () if is_whole else can_be_sparse(architecture)
        found = tuple(name for name in able if not bool(masks[f"{name}.weight"].all()))
        chain = whole_chain(architecture, recipe, device) if found else None
        return chain or Plan(found)
    if is_alone and not is_whole:
        return measured_plan(architecture, weights, masks, recipe, device, choices)
    if is_whole or not can_join(architecture, recipe):
        return Plan((), onednn_layers(architecture, weights, recipe, device, choices))
    thin = sparse_together(architecture, masks, recipe, device, choices)
    return Plan.of(thin, onednn_layers(architecture, weights, recipe, device, choices))
