"""Which engine a training runs on: what the recipe asks for, as far as the job allows."""

from typing import Any

from recursive_lth.architecture.cost import places
from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.choice import LEAST_WORK, sparse_layers
from recursive_lth.training.engine import can_be_sparse

MOST_TOGETHER = 0.25  # density of a layer that is sparse in a company


def sparse_of(bench: Bench[Any], ticket: Ticket, job: Job) -> tuple[str, ...]:
    """The layers of a training that are computed with their remaining weights alone.

    Weights that are read through a lens, as coefficients or supermasks are, and tallies of all
    weights leave all dense. `sparse` makes sparse whatever can be and has lost a weight, `auto`
    what measures say.
    """
    architecture, recipe, masks = ticket.architecture, job.recipe, ticket.masks
    if recipe.engine == "dense" or job.lens or job.tallies or not ticket.is_plain:
        return ()
    if recipe.engine == "auto":
        device = bench.batches.images.device
        return sparse_layers(architecture, masks, recipe, device, bench.choices)
    able = can_be_sparse(architecture)
    return tuple(name for name in able if not bool(masks[f"{name}.weight"].all()))


def sparse_together(ticket: Ticket, job: Job) -> tuple[str, ...]:
    """The layers that a company computes with their remaining weights alone, unmeasured.

    Many at once share the overheads that make measures of a lone layer waver: below a quarter of
    its weights a large layer has always been faster sparse.
    """
    architecture, recipe, masks = ticket.architecture, job.recipe, ticket.masks
    if recipe.engine == "dense":
        return ()
    found = []
    for name in can_be_sparse(architecture):
        mask = masks[f"{name}.weight"]
        remaining = int(mask.count_nonzero())
        work = mask.numel() * places(architecture, f"{name}.weight") * recipe.batch_size
        is_wanted = recipe.engine == "sparse" and remaining < mask.numel()
        if is_wanted or (remaining <= MOST_TOGETHER * mask.numel() and work >= LEAST_WORK):
            found.append(name)
    return tuple(found)
