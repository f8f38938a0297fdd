"""What a network costs: weights, parameters and multiply-adds, dense and remaining.

Convention: one multiply-add for each weight and each place it is used in the forward pass of
one sample. Biases, norms, activations, pooling and additions are not counted (a merged
BatchNorm is free at inference). A training step counts three forwards: one for the outputs, one
for the gradient of the inputs, one for that of the weights. Evaluation is not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.errors import InputError

FORWARDS_IN_A_STEP = 3
BYTES = 4  # of a float32


@dataclass(frozen=True)
class Cost:
    """Counts for one sample's forward pass; `remaining_*` are those that survive the masks.

    `weights` are the prunable ones (linear and convolution), `parameters` add biases and norms.
    """

    weights: int
    remaining_weights: int
    parameters: int
    remaining_parameters: int
    multiply_adds: int
    remaining_multiply_adds: int

    @property
    def density(self) -> float:
        """The remaining fraction of the prunable weights."""
        return self.remaining_weights / self.weights


def size(architecture: Architecture, tensor: str) -> int:
    """The number of entries of a tensor by name."""
    product = 1
    for n in architecture.shape(tensor):
        product *= n
    return product


def places(architecture: Architecture, tensor: str) -> int:
    """How often each entry of a prunable tensor is used for one sample: 1, or the output pixels."""
    shape = architecture.shapes[tensor.rpartition(".")[0]]
    return shape[1] * shape[2] if len(shape) == 3 else 1


def cost(architecture: Architecture, remaining: Mapping[str, int] | None = None) -> Cost:
    """The cost of an architecture whose prunable tensors keep `remaining` entries each (all).

    Raises `InputError` where `remaining` names another tensor or more entries than there are.
    """
    sizes = {name: size(architecture, name) for name in architecture.tensors}
    whole = {name: sizes[name] for name in architecture.prunable}
    for name, n in (remaining or {}).items():
        if not 0 <= n <= whole.get(name, -1):
            raise InputError(f"{name} cannot keep {n} weights: it has {whole.get(name, 'none')}")
    kept = {**whole, **(remaining or {})}
    parameters = sum(n for name, n in sizes.items() if name.rpartition(".")[2] not in STATISTICS)
    weights = sum(whole.values())
    used = {name: places(architecture, name) for name in whole}
    return Cost(
        weights=weights,
        remaining_weights=sum(kept[name] for name in whole),
        parameters=parameters,
        remaining_parameters=parameters - weights + sum(kept[name] for name in whole),
        multiply_adds=sum(n * used[name] for name, n in whole.items()),
        remaining_multiply_adds=sum(kept[name] * used[name] for name in whole),
    )


def training_cost(remaining_multiply_adds: int, samples: int) -> int:
    """Multiply-adds of training on so many samples (each pass over a sample counts anew)."""
    return FORWARDS_IN_A_STEP * remaining_multiply_adds * samples


def training_memory(architecture: Architecture, *, batch: int, moments: int) -> int:
    """About how many bytes a training of the dense network holds, all in float32.

    Every parameter with its gradient and `moments` tensors of the optimizer's, the norms'
    statistics, and the output of every layer for a batch, which the backward pass reads again. An
    estimate: it knows no workspace of a library, nor outputs that are computed in place.
    """
    entries = {name: size(architecture, name) for name in architecture.tensors}
    held = [
        n if name.rpartition(".")[2] in STATISTICS else (2 + moments) * n
        for name, n in entries.items()
    ]
    outputs = sum(prod(shape) for shape in architecture.shapes.values())
    return BYTES * (sum(held) + batch * outputs)
