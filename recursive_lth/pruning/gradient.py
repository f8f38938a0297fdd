"""Scores from the gradient of the loss on some training samples.

All run the network in training mode, on the statistics of the batch, and leave the running ones
alone: the code of GraSP's authors does so; that of Tanaka et al. (2020) scores by SNIP and GraSP
in evaluation mode unless told otherwise. In a basis, gradients are those of the coefficients. Only
remaining weights take part: pruned ones are 0 and score 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.network import network
from recursive_lth.pruning.evidence import Evidence, Scores
from recursive_lth.ticket.ticket import Ticket

TEMPERATURE = 200.0  # GraSP's, by which logits are divided
TAYLOR_BATCH = 32


def snip(ticket: Ticket, evidence: Evidence) -> Scores:
    """|g * w|, over the sum of all (Lee et al. 2019, arXiv 1810.02340).

    The gradient is that of the mean loss over all samples, with the weights that the ticket has;
    some implementations draw others for scoring.
    """
    images, labels = evidence.samples()
    live = _live(ticket, images)
    gradients = _gradients(_loss(ticket, live, images, labels), live)
    scores = {n: (g * live[n].detach()).abs().double() for n, g in gradients.items()}
    total = torch.stack([score.sum() for score in scores.values()]).sum()
    return _home(scores, 1 / total.clamp(min=1e-300))


def taylor(ticket: Ticket, evidence: Evidence) -> Scores:
    """The mean of (g * w)^2 over batches of 32 (Molchanov et al. 2019, arXiv 1906.10771).

    Their code averages over the mini-batches between two prunings, with the weights as they pass
    by, and adds up units; here the weights stand still and each has its own score.
    """
    images, labels = evidence.samples()
    live = _live(ticket, images)
    totals = {n: torch.zeros_like(t, dtype=torch.float64) for n, t in live.items()}
    batches = list(zip(images.split(TAYLOR_BATCH), labels.split(TAYLOR_BATCH), strict=True))
    for some, theirs in batches:
        for name, g in _gradients(_loss(ticket, live, some, theirs), live).items():
            totals[name] += (g * live[name].detach()).double().square()
    return _home(totals, torch.tensor(1 / len(batches)))


def grasp(ticket: Ticket, evidence: Evidence) -> Scores:
    """w * Hg, signed: the lowest, whose removal raises the gradient's norm most, go first.

    Wang et al. (2020, arXiv 2002.07376) call -w * Hg the score and remove the highest; the order
    is the same. g is the gradient and H the Hessian of the loss at temperature 200, both of the
    remaining weights alone. Their code draws new weights for linear layers before it scores and
    takes H and g of halves of the samples; here the ticket's weights and all samples serve.
    """
    images, labels = evidence.samples()
    live = _live(ticket, images)
    loss = _loss(ticket, live, images, labels, temperature=TEMPERATURE)
    slopes = torch.autograd.grad(loss, list(live.values()), create_graph=True)
    masks = [ticket.masks[name].to(images.device) for name in live]
    flow = [g[mask] for g, mask in zip(slopes, masks, strict=True)]
    inner = torch.stack([(g.detach() * g).sum() for g in flow]).sum()
    products = torch.autograd.grad(inner, list(live.values()))
    scores = {
        n: (t.detach() * hg).double() for (n, t), hg in zip(live.items(), products, strict=True)
    }
    return _home(scores, torch.tensor(1.0))


def _live(ticket: Ticket, images: Tensor) -> dict[str, Tensor]:
    """The prunable tensors on the samples' device, as leaves to differentiate."""
    return {
        name: ticket.weights[name].to(images.device, copy=True).requires_grad_()
        for name in ticket.architecture.prunable
    }


def _loss(
    ticket: Ticket,
    live: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
) -> Tensor:
    """The mean cross-entropy of the ticket's network on the live tensors."""
    rest = {n: t.to(images.device) for n, t in ticket.weights.items() if n not in live}
    read = ticket.reading(images.device)
    some = next(iter(live.values()))
    logits, _ = network(ticket.architecture)(
        read(rest | live), images.to(some.dtype), training=True
    )
    return F.cross_entropy(logits / temperature, labels)


def _gradients(loss: Tensor, live: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(live, torch.autograd.grad(loss, list(live.values())), strict=True))


def _home(scores: dict[str, Tensor], factor: Tensor) -> Scores:
    return {name: (score * factor.to(score)).cpu() for name, score in scores.items()}
