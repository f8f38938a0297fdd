"""A ticket for inference: BatchNorm merged into the layers before it."""

from torch import Tensor

from recursive_lth.architecture.merge import mergeable_norms, merged_weights
from recursive_lth.pruning.compact import certify_equal, check_plain, in_types_of
from recursive_lth.ticket.masks import apply
from recursive_lth.ticket.ticket import Ticket


def merge_norms(ticket: Ticket, inputs: Tensor | None = None) -> Ticket:
    """The ticket without the norms that alone read a linear or convolution layer.

    Weights and rewind values are merged each with their own statistics; masks stay. Logits in
    evaluation mode are certified equal as in `compact`; it is no ticket to train on, for the norms
    are gone. One without such a norm is handed back itself.

    Raises `InputError` where the ticket does not run on its weights as they stand, or the logits
    are not equal (weights that have diverged).
    """
    check_plain(ticket)
    architecture, merges = mergeable_norms(ticket.architecture)
    if not merges:
        return ticket
    weights = apply(merged_weights(ticket.weights, merges), ticket.masks)
    certify_equal((ticket.architecture, ticket.weights), (architecture, weights), inputs)
    made = Ticket(
        architecture,
        weights=weights,
        rewind=merged_weights(ticket.rewind, merges),
        masks=ticket.masks,
        births=ticket.births,
        skeleton=ticket.skeleton,
    )
    return in_types_of(ticket, made)
