"""The ticket that a `torch.nn.Module` of the user's is."""

import torch
from torch import Tensor, nn

from recursive_lth.architecture.importer import from_module
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket


def ticket_from_module(
    module: nn.Module, example_input: Tensor, *, masks_from_zeros: bool = False
) -> Ticket:
    """The module as a dense ticket whose rewind values are its weights, all born in generation 0.

    With `masks_from_zeros` weights of linear and convolution layers that are exactly 0 are pruned,
    as after `torch.nn.utils.prune.remove`. `requires_grad` is not read: all weights train, frozen
    ones too. Weights keep their float type, float32 or float64; a run that starts with the saved
    ticket casts them to float32. Raises `InputError` as `importer.from_module` does.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> ticket_from_module(model, torch.zeros(2, 4)).cost.weights
    18
    """
    architecture, weights = from_module(module, example_input)
    masks = masking.dense(architecture)
    if masks_from_zeros:
        masks = {name: weights[name] != 0 for name in masks}
        weights = masking.apply(weights, masks)  # no -0
    births = {n: torch.zeros(m.shape, dtype=torch.int16) for n, m in masks.items()}
    return Ticket(architecture, weights=weights, rewind=weights, masks=masks, births=births)
