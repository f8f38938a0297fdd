"""Which engine a training runs on: what the recipe asks for, as far as the job allows."""

from typing import Any

from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.choice import large_and_thin, sparse_layers
from recursive_lth.training.engine import can_be_sparse

MOST_TOGETHER = 0.33  # density of a layer that is sparse in a company


def sparse_of(
    bench: Bench[Any], ticket: Ticket, job: Job, *, is_alone: bool = True
) -> tuple[str, ...]:
    """The layers of a training that are computed with their remaining weights alone.

    Weights that are read through a lens, as coefficients or supermasks are, and tallies of all
    weights leave all dense. `sparse` makes sparse whatever can be and has lost a weight, `auto`
    what measures say. A company is not measured: many at once share the overheads that make
    measures of a lone layer waver, and below a third of its weights a large layer has always been
    faster sparse.
    """
    architecture, recipe, masks = ticket.architecture, job.recipe, ticket.masks
    if recipe.engine == "dense" or job.lens or job.tallies or not ticket.is_plain:
        return ()
    if recipe.engine == "sparse":
        able = can_be_sparse(architecture)
        return tuple(name for name in able if not bool(masks[f"{name}.weight"].all()))
    if not is_alone:
        return large_and_thin(architecture, masks, recipe, MOST_TOGETHER)
    return sparse_layers(architecture, masks, recipe, bench.batches.images.device, bench.choices)
