"""Scores from the size of a weight against the others that remain in its layer.

So layers of unlike scale and size compete under the global scope. All are float64. The idea is of
Vandersmissen & Oramas (2023, arXiv 2302.11244), of whose formulas we could read none: the forms
below are ours, and numbers need not equal theirs.
"""

import torch
from torch import Tensor

from recursive_lth.pruning.evidence import Evidence, Scores
from recursive_lth.ticket.ticket import Ticket


def magnitude_rms(ticket: Ticket, evidence: Evidence) -> Scores:
    """|w| over the root mean square of the layer's remaining weights.

    Dividing by a sum or a norm favours small layers; the root mean square does not depend on the
    layer's size.
    """
    return {n: _spread(ticket, n, w / w.square().mean().sqrt()) for n, w in _sizes(ticket)}


def l1_norm(ticket: Ticket, evidence: Evidence) -> Scores:
    """|w| over the sum of |w| in the layer."""
    return {n: _spread(ticket, n, w / w.sum()) for n, w in _sizes(ticket)}


def l2_norm(ticket: Ticket, evidence: Evidence) -> Scores:
    """w^2 over the sum of w^2 in the layer; ranks as |w| over the layer's Euclidean norm does."""
    return {n: _spread(ticket, n, w.square() / w.square().sum()) for n, w in _sizes(ticket)}


def softmax(ticket: Ticket, evidence: Evidence) -> Scores:
    """The softmax of |w| over the layer: exp(|w|) over its sum."""
    return {n: _spread(ticket, n, w.softmax(0)) for n, w in _sizes(ticket)}


def min_max(ticket: Ticket, evidence: Evidence) -> Scores:
    """(|w| - least) / (largest - least) in the layer; 0 where all are alike."""
    return {
        n: _spread(ticket, n, (w - w.min()) / (w.max() - w.min()) if len(w) else w)
        for n, w in _sizes(ticket)
    }


def lamp(ticket: Ticket, evidence: Evidence) -> Scores:
    """w^2 over the sum of all w^2 in the layer that are no smaller (Lee et al. 2021, 2010.07611).

    The largest weight of every layer scores 1, so a global threshold empties none. Of equal weights
    the later is taken for the larger, as a stable sort leaves them.
    """
    scores = {}
    for name, size in _sizes(ticket):
        square, order = size.square().sort(stable=True)
        above = square.flip(0).cumsum(0).flip(0)
        score = torch.empty_like(square)
        score[order] = square / above
        scores[name] = _spread(ticket, name, score)
    return scores


def _sizes(ticket: Ticket) -> list[tuple[str, Tensor]]:
    """Each layer's remaining |w|, flat, float64."""
    return [
        (name, ticket.weights[name][ticket.masks[name]].abs().double())
        for name in ticket.architecture.prunable
    ]


def _spread(ticket: Ticket, name: str, values: Tensor) -> Tensor:
    """Scores of the remaining weights in the tensor's shape; what was 0 / 0 is 0.

    That is where all weights of the layer are 0, or, for `min_max`, of one size; a weight that is
    not finite stays so, for the selection to refuse.
    """
    mask = ticket.masks[name]
    is_void = values.isnan() & ticket.weights[name][mask].isfinite()
    whole = torch.zeros(mask.shape, dtype=torch.float64)
    whole[mask] = values.masked_fill(is_void, 0)
    return whole
