"""N:M sparsity: of each M consecutive inputs an output keeps N, as sparse hardware wants it."""

from dataclasses import replace

import torch
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.pruning.evidence import Scores
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket


def prune_n_of_m(ticket: Ticket, scores: Scores, n: int, m: int) -> Ticket:
    """The ticket that keeps, of every run of m inputs of every output, at most its n highest.

    Runs lie along the input axis, in convolutions for each kernel position on its own (Mishra et
    al. 2021, arXiv 2104.08378). A last, shorter run keeps at most n too. Ties go to the earlier
    input. Places that were pruned stay so and are not counted among the n. Raises `InputError`
    where a score is NaN.
    """
    masks = {name: _keep(mask, scores[name], n, m, name) for name, mask in ticket.masks.items()}
    return replace(ticket, masks=masks, weights=masking.apply(ticket.weights, masks))


def _keep(mask: Tensor, score: Tensor, n: int, m: int, name: str) -> Tensor:
    if bool(score[mask].isnan().any()):
        raise InputError(f"scores of {name} hold NaN: the training before has diverged")
    inputs = mask.shape[1]
    last = mask.movedim(1, -1)  # (out, kernel..., in)
    value = score.movedim(1, -1).double().masked_fill(~last, -torch.inf)
    short = -inputs % m
    value = torch.nn.functional.pad(value, (0, short), value=-torch.inf)
    runs = value.unflatten(-1, (-1, m))  # (out, kernel..., runs, m)
    order = runs.argsort(dim=-1, descending=True, stable=True)
    kept = torch.zeros_like(runs, dtype=torch.bool).scatter(-1, order[..., :n], True)
    whole = kept.flatten(-2)[..., :inputs] & last
    return whole.movedim(-1, 1).contiguous()
