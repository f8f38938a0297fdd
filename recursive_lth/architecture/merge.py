"""BatchNorm merged into the layer before it: in evaluation mode it only scales and shifts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.architecture.layer import WEIGHTED, Layer
from recursive_lth.architecture.network import EPSILON, Weights

Merge = tuple[str, str]  # (weighted layer, the norm that goes into it)


def mergeable_norms(architecture: Architecture) -> tuple[Architecture, tuple[Merge, ...]]:
    """The architecture without the norms that can be merged, and these, in the order they run.

    A norm can be where it alone reads a linear or convolution layer, which then has a bias.
    """
    layers: dict[str, Layer] = dict(architecture.layers)
    merges = []
    for name in architecture.order:
        if layers[name].operation != "batchnorm":
            continue
        (source,) = layers[name].inputs
        readers = Counter(i for layer in layers.values() for i in layer.inputs)
        if layers[source].operation in WEIGHTED and readers[source] == 1:
            merges.append((source, name))
            del layers[name]
            layers[source] = replace(layers[source], bias=True)
            layers = {
                n: replace(layer, inputs=tuple(source if i == name else i for i in layer.inputs))
                for n, layer in layers.items()
            }
    return replace(architecture, layers=layers), tuple(merges)


def merged_weights(weights: Mapping[str, Tensor], merges: tuple[Merge, ...]) -> Weights:
    """The weights after such merges: each row scaled by its norm, in the bias the rest; float64.

    As in Jacob et al. 2018, arXiv 1712.05877, section 3.2, but with the running mean and variance
    of a network that is trained already.
    """
    found = {name: tensor.double() for name, tensor in weights.items()}
    for layer, norm in merges:
        fields = ("weight", "bias", *STATISTICS)
        gamma, beta, mean, var = (found.pop(f"{norm}.{field}") for field in fields)
        scale = gamma / (var + EPSILON).sqrt()
        weight, bias = found[f"{layer}.weight"], found.get(f"{layer}.bias", 0.0)
        found[f"{layer}.weight"] = weight * scale.view(-1, *(1,) * (weight.dim() - 1))
        found[f"{layer}.bias"] = (bias - mean) * scale + beta
    return found
