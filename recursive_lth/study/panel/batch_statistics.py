"""BatchNorm's running statistics, measured anew."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.architecture.network import MOMENTUM, Weights, memory_format, network
from recursive_lth.training.samples import BATCH


def reestimated(
    architecture: Architecture, weights: Mapping[str, Tensor], images: Tensor
) -> Weights:
    """The weights with BatchNorm's running statistics measured on these images, on their device.

    The mean over batches of at most 500 of each batch's mean and unbiased variance, as PyTorch's
    `momentum=None` has it: weights that lie between two networks have statistics of neither
    (Jordan et al. 2023, arXiv 2211.08403). One forward pass; networks without norms are
    handed back as they are.
    """
    here = {name: tensor.to(images.device) for name, tensor in weights.items()}
    names = [n for n in architecture.tensors if n.rpartition(".")[2] in STATISTICS]
    if not names:
        return here
    empty = here | {name: torch.zeros_like(here[name]) for name in names}
    batches = images.tensor_split(-(-len(images) // BATCH))
    totals = {name: torch.zeros_like(here[name]) for name in names}
    layout = memory_format(architecture)
    with torch.no_grad():
        for batch in batches:
            some = batch.contiguous(memory_format=layout)
            _, found = network(architecture)(empty, some, training=True)
            totals = {n: t + found[n] / (MOMENTUM * len(batches)) for n, t in totals.items()}
    return here | totals
