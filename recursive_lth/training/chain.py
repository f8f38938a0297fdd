"""Chains: perceptrons whose linear layers are all sparse, alone or many side by side.

They can be taught by a compiled step (`lesson`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.sparse import Pattern


@dataclass(frozen=True)
class Link:
    """A sparse linear layer: its tensors, their pattern, and whether a ReLU follows."""

    weight: str
    bias: str
    pattern: Pattern
    is_rectified: bool = False


@dataclass(frozen=True)
class Chain:
    """Links from the images to the logits, of one network or of `members` joined."""

    links: tuple[Link, ...]
    members: int = 1


def chain_of(
    architecture: Architecture, patterns: Mapping[str, Pattern], members: int = 1
) -> Chain | None:
    """The chain that an architecture is, or that many joined are, whose weights have `patterns`.

    None where a weight is dense, where anything but ReLUs lies between, or off the CPU.
    """
    if not is_chain(architecture) or not patterns.keys() >= set(architecture.prunable):
        return None
    if any(pattern.places.device.type != "cpu" for pattern in patterns.values()):
        return None
    links: list[Link] = []
    for name in architecture.order:
        operation, weight = architecture.layers[name].operation, f"{name}.weight"
        if operation == "linear":
            links.append(Link(weight, f"{name}.bias", patterns[weight]))
        elif operation == "relu":
            links[-1] = replace(links[-1], is_rectified=True)
    return Chain(tuple(links), members)


def is_chain(architecture: Architecture) -> bool:
    """True iff the layers are linear ones in a row, with or without a ReLU after each."""
    layers, order = architecture.layers, architecture.order
    if any(layers[name].inputs != (before,) for before, name in pairwise(order)):
        return False
    kinds = [layers[name].operation for name in order]
    while kinds[1] == "flatten":
        del kinds[1]
    return all(
        kind == "linear" or (kind == "relu" and before == "linear")
        for before, kind in pairwise(kinds)
    )
