"""The Erdos-Renyi kernel: how densities fall with the size of a layer."""

import math

from recursive_lth.architecture.graph import Architecture


def erk(architecture: Architecture) -> dict[str, float]:
    """Densities in proportion to (out + in + height + width) / (out * in * height * width).

    The Erdos-Renyi kernel of Evci et al. (2020, arXiv 1911.11134); for a linear layer Mocanu et al.
    (2018, arXiv 1707.04780).
    """
    shapes = {name: architecture.shape(name) for name in architecture.prunable}
    return {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
