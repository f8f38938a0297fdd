"""How much of its last hidden layer a network uses. Dormant units: `training.dormant`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import memory_format, network
from recursive_lth.training.samples import BATCH

SPARED = 0.01  # of the sum of singular values: what the smallest may hold together


def features(
    architecture: Architecture, weights: Mapping[str, Tensor], images: Tensor
) -> Tensor | None:
    """What the output layer reads, (samples, units), in evaluation mode; one forward pass.

    None where it reads the network's own input: there is no hidden layer.
    """
    last = architecture.layers[architecture.output].inputs[0]
    source = last
    while architecture.layers[source].operation == "flatten":
        source = architecture.layers[source].inputs[0]
    if source == architecture.input:
        return None
    here = {name: tensor.to(images.device) for name, tensor in weights.items()}
    found: list[Tensor] = []

    def watch(name: str, output: Tensor) -> Tensor:
        if name == last:
            found.append(output)
        return output

    layout = memory_format(architecture)
    with torch.no_grad():
        for batch in images.split(BATCH):
            network(architecture)(here, batch.contiguous(memory_format=layout), watch=watch)
    return torch.cat(found)


def effective_rank(matrix: Tensor) -> float:
    """exp of the entropy of the singular values over their sum: in [1, rank], 0 for a matrix of 0.

    Roy & Vetterli (2007), of features (samples, units) that are not centred. The cost is that of
    the singular values of a matrix of samples by units.
    """
    shares = _shares(matrix)
    return float(torch.special.entr(shares).sum().exp()) if len(shares) else 0.0


def srank(matrix: Tensor, *, spared: float = SPARED) -> int:
    """How many of the largest singular values hold a share of at least 1 - `spared` of the sum.

    Kumar et al. (2021, arXiv 2010.14498), with their 0.01: it falls as a network loses its
    capacity to learn anew. 0 for a matrix of 0.
    """
    shares = _shares(matrix)
    return int((shares.cumsum(0) < 1 - spared).sum()) + 1 if len(shares) else 0


def _shares(matrix: Tensor) -> Tensor:
    """Singular values over their sum, falling, float64; none for a matrix of 0."""
    values: Tensor = torch.linalg.svdvals(matrix.double())
    total = float(values.sum())
    return values / total if total else values[:0]
