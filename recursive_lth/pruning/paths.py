"""Which entries after each layer never change, and which the logits depend on.

Both follow the remaining weights alone, never the samples: an entry is a channel or a feature of a
layer's output, and `mask` says which weights remain, whatever their values.
"""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.architecture.layer import WEIGHTED, Layer, Shape
from recursive_lth.architecture.network import EPSILON, FUNCTIONS

VARIES = torch.nan  # marks an entry that depends on the input; arithmetic hands it on


def constants(
    architecture: Architecture, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """After each layer the value of every entry that is one for all samples and pixels, else NaN.

    Evaluation mode; float64, (channels,) or (features,). What a padded layer reads is the same at
    the rim only where it is 0.
    """
    found: dict[str, Tensor] = {}
    for name in architecture.order:
        layer, shape = architecture.layers[name], architecture.shapes[name]
        if layer.operation == "input":
            found[name] = torch.full(shape[:1], VARIES, dtype=torch.float64)
            continue
        read = [found[i] for i in layer.inputs]
        if layer.operation in WEIGHTED:
            weight, mask = weights[f"{name}.weight"].double(), masks[f"{name}.weight"]
            found[name] = contributions(layer, read[0], weight, mask)
            if layer.bias:
                found[name] = found[name] + weights[f"{name}.bias"].double()
        else:
            pixels = prod(architecture.shapes[layer.inputs[0]][1:])
            found[name] = _handed_on(name, layer, read, pixels, weights)
    return found


def _handed_on(
    name: str, layer: Layer, read: list[Tensor], pixels: int, weights: Mapping[str, Tensor]
) -> Tensor:
    """What a layer without weights of its own makes of constants."""
    match layer.operation:
        case "batchnorm":
            fields = ("weight", "bias", *STATISTICS)
            gamma, beta, mean, var = (weights[f"{name}.{f}"].double() for f in fields)
            return (read[0] - mean) / (var + EPSILON).sqrt() * gamma + beta
        case "add":
            return torch.stack(read).sum(0)
        case "concat":
            return torch.cat(read)
        case "flatten":
            return read[0].repeat_interleave(pixels)
        case "avgpool":
            return at_the_rim(layer, read[0])
        case activation if activation in FUNCTIONS:
            return FUNCTIONS[activation](read[0])
        case _:  # the largest and the mean of equal pixels
            return read[0]


def at_the_rim(layer: Layer, read: Tensor) -> Tensor:
    """The constants that a layer reads, without those that its padding would make vary."""
    return read.masked_fill(read != 0, VARIES) if layer.padding else read


def pairs(layer: Layer, read: Tensor, weight: Tensor) -> Tensor:
    """Entries that are read, laid out as the weights' first two axes: (out, in)."""
    out, width = weight.shape[:2]
    if layer.operation != "groupconv":
        return read.expand(out, width)
    groups = len(read) // width
    return read.view(groups, width).repeat_interleave(out // groups, 0)


def contributions(layer: Layer, read: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """What the masked weights add to each entry that a layer makes, NaN where it varies, (out,)."""
    seen = pairs(layer, at_the_rim(layer, read), weight)
    seen = seen.reshape(*seen.shape, *(1,) * (weight.dim() - 2))
    return (weight * seen).masked_fill(~mask, 0).flatten(1).sum(1)


def folds(layer: Layer, read: Tensor, weight: Tensor) -> Tensor:
    """Which of the entries read can be told by a bias instead, bool (out, in)."""
    return ~pairs(layer, at_the_rim(layer, read), weight).isnan()


def needed(
    architecture: Architecture, masks: Mapping[str, Tensor], constant: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The entries after each layer that the logits depend on, and for each mask the weights used.

    A used weight makes an entry that is needed and reads one whose value no bias can tell. Both
    are bool: (channels,) by layer, and by name in the mask's shape.
    """
    shapes = architecture.shapes
    live = {n: torch.zeros(shapes[n][:1], dtype=torch.bool) for n in architecture.order}
    live[architecture.output][:] = True
    used: dict[str, Tensor] = {}
    for name in reversed(architecture.order[1:]):
        layer = architecture.layers[name]
        if layer.operation in WEIGHTED:
            mask, (source,) = masks[f"{name}.weight"], layer.inputs
            reads = live[name][:, None] & ~folds(layer, constant[source], mask)
            used[f"{name}.weight"] = mask & reads.view(*reads.shape, *(1,) * (mask.dim() - 2))
            live[source] |= _read(layer, used[f"{name}.weight"], shapes[source])
        elif layer.operation == "concat":
            parts = live[name].split([shapes[i][0] for i in layer.inputs])
            for source, part in zip(layer.inputs, parts, strict=True):
                live[source] = live[source] | part
        else:
            for source in layer.inputs:
                part = live[name]
                if layer.operation == "flatten":
                    part = part.view(shapes[source][0], -1).any(1)
                live[source] |= part
    return live, used


def _read(layer: Layer, used: Tensor, shape: Shape) -> Tensor:
    """Which of the entries that come in the used weights of a layer read."""
    reads = used.flatten(2).any(2) if used.dim() > 2 else used
    if layer.operation == "groupconv":
        return reads.view(shape[0] // reads.shape[1], -1, reads.shape[1]).any(1).flatten()
    return reads.any(0)


def needed_units(architecture: Architecture, live: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For each width symbol the units of which some entry somewhere is needed, bool."""
    found = {s: torch.zeros(n, dtype=torch.bool) for s, n in architecture.widths.items()}
    for name, row in architecture.unit_rows.items():
        sizes = [architecture.widths[axis.symbol] * axis.repeat for axis in row]
        for axis, part in zip(row, live[name].split(sizes), strict=True):
            found[axis.symbol] |= part.view(-1, axis.repeat).any(1)
    return found
