"""Dormant units: those that are next to silent beside the others of their layer."""

from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS
from recursive_lth.architecture.network import Weights, network

SILENT = 0.025  # of the mean of a layer


def dormant_share(architecture: Architecture, weights: Weights, images: Tensor) -> float:
    """The share of all activations' units that are dormant on these images, in [0, 1].

    A unit's mean |activation| over samples and pixels is at most `SILENT` of its layer's mean
    (Sokar et al. 2023, arXiv 2302.12902, with their tau for supervised networks). Units whose
    incoming weights are all pruned count too. 0 where a network has no activation.
    """
    dormant = units = 0

    def watch(name: str, output: Tensor) -> Tensor:
        nonlocal dormant, units
        if architecture.layers[name].operation in ACTIVATIONS:
            size = output.abs().transpose(0, 1).flatten(1).mean(1)
            dormant += int((size <= SILENT * size.mean()).sum())
            units += len(size)
        return output

    network(architecture)(weights, images, training=False, watch=watch)
    return dormant / max(1, units)
