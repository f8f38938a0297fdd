"""Which engine a training runs on: what the recipe asks for, as far as the job allows."""

from typing import Any

from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.choice import sparse_layers
from recursive_lth.training.engine import Engine, can_be_sparse, dense_engine, sparse_engine


def engine_for(bench: Bench[Any], ticket: Ticket, job: Job) -> Engine:
    """The engine of a training.

    Weights that are read through a lens, as coefficients or supermasks are, and tallies of all
    weights take the dense one. `sparse` makes sparse whatever can be and has lost a weight, `auto`
    what measures say.
    """
    architecture, recipe, masks = ticket.architecture, job.recipe, ticket.masks
    device = bench.batches.images.device
    if recipe.engine == "dense" or job.lens or job.tallies or not ticket.is_plain:
        return dense_engine(architecture)
    if recipe.engine == "auto":
        layers = sparse_layers(architecture, masks, recipe, device, bench.choices)
    else:
        able = can_be_sparse(architecture)
        layers = tuple(name for name in able if not bool(masks[f"{name}.weight"].all()))
    return sparse_engine(architecture, masks, layers, device)
