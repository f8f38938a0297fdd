"""Engines: how the layers of a ticket are computed while it trains.

The dense engine computes masked matrices, zeros and all. A planned one holds and computes the
remaining weights of some layers alone (`architecture.sparse`): their gradients and moments have as
many entries; and it has large dense products done by oneDNN. A ticket never knows which trained it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import (
    Forward,
    Run,
    Weights,
    network,
    network_with,
    reads_input,
)
from recursive_lth.architecture.sparse import Pattern, sparse_linear
from recursive_lth.ticket.moments import State
from recursive_lth.training import onednn
from recursive_lth.training.chain import Chain, chain_of

SPARSE = frozenset({"linear", "conv"})  # operations that have a sparse form


@dataclass(frozen=True)
class Plan:
    """The layers that PyTorch does not compute as they stand."""

    sparse: tuple[str, ...] = ()  # with their remaining weights alone
    onednn: tuple[str, ...] = ()  # dense, by oneDNN

    @staticmethod
    def of(sparse: tuple[str, ...], by_onednn: tuple[str, ...]) -> "Plan":
        """These layers sparse, and of the others those that oneDNN does."""
        return Plan(sparse, tuple(name for name in by_onednn if name not in sparse))


DENSE = Plan()


@dataclass(frozen=True)
class Engine:
    """A forward over packed tensors, and the patterns and shapes of those that are packed.

    Where it `is_turned` images that lie feature by feature need not be copied. Where the layers are
    a `chain`, all sparse, they can be trained by a compiled step.
    """

    forward: Forward
    patterns: Mapping[str, Pattern] = field(default_factory=dict)  # by name of the tensor
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    is_turned: bool = False
    chain: Chain | None = None

    @property
    def density(self) -> float:
        """What remains of the weights that are packed; 0 where none are."""
        whole = sum(math.prod(shape) for shape in self.shapes.values())
        return sum(len(p.places) for p in self.patterns.values()) / max(1, whole)

    def pack(self, tensors: Mapping[str, Tensor]) -> Weights:
        """The tensors with the packed ones as vectors of their remaining entries.

        What is one number a tensor, as a count of steps, stays as it is.
        """
        return {
            name: self.patterns[name].pack(tensor)
            if name in self.patterns and tensor.dim()
            else tensor
            for name, tensor in tensors.items()
        }

    def unpack(self, tensors: Mapping[str, Tensor]) -> Weights:
        """The tensors in their own shapes, 0 where they are pruned."""
        return {
            name: self.patterns[name].unpack(tensor).view(self.shapes[name])
            if name in self.patterns and tensor.dim()
            else tensor
            for name, tensor in tensors.items()
        }

    def pack_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> State:
        """An optimizer's state for packed tensors."""
        return {kind: self.pack(tensors) for kind, tensors in state.items()}

    def unpack_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> State:
        """An optimizer's state for tensors in their own shapes."""
        return {kind: self.unpack(tensors) for kind, tensors in state.items()}


def dense_engine(architecture: Architecture) -> Engine:
    """Every layer is computed as it stands."""
    return Engine(network(architecture))


def planned_engine(
    architecture: Architecture, masks: Mapping[str, Tensor], plan: Plan, device: torch.device
) -> Engine:
    """The layers of the plan, linear or convolution, are computed as it says.

    Dense linear layers beside sparse ones read what lies feature by feature as it lies: twelve
    times as fast with few classes, for whose shape matrix products are slow the other way round.
    A ReLU that alone reads a sparse layer is done there, in place.
    """
    patterns, shapes, kernels = {}, {}, {}
    is_turned, relus = bool(plan.sparse), rectified(architecture)
    for name in architecture.order:
        layer, tensor = architecture.layers[name], f"{name}.weight"
        if name in plan.sparse:
            patterns[tensor] = Pattern.of(masks[tensor].flatten(1).to(device))
            shapes[tensor] = tuple(masks[tensor].shape)
            kernels[name] = kernel(name, layer, patterns[tensor], is_rectified=name in relus)
            if name in relus:
                kernels[relus[name]] = _handed_on
        elif name in plan.onednn:
            kernels[name] = onednn.linear(name, is_turned=is_turned)
        elif is_turned and layer.operation == "linear":
            kernels[name] = _turned_linear(name)
    first = [n for n in architecture.order[1:] if reads_input(architecture, n)]
    reads = {(architecture.layers[n].operation, n in plan.sparse) for n in first}
    is_direct = reads <= {("flatten", False), ("linear", True)}
    chain = chain_of(architecture, patterns)
    return Engine(network_with(architecture, kernels), patterns, shapes, is_direct, chain)


def can_be_sparse(architecture: Architecture) -> tuple[str, ...]:
    """The layers that have a sparse form, from input to output."""
    return tuple(n for n in architecture.order if architecture.layers[n].operation in SPARSE)


def rectified(architecture: Architecture) -> dict[str, str]:
    """The layers that nothing but a ReLU reads, each with its ReLU."""
    layers = architecture.layers
    readers: dict[str, list[str]] = {}
    for name, layer in layers.items():
        for source in layer.inputs:
            readers.setdefault(source, []).append(name)
    only = {source: found[0] for source, found in readers.items() if len(found) == 1}
    return {source: name for source, name in only.items() if layers[name].operation == "relu"}


def kernel(name: str, layer: Layer, pattern: Pattern, *, is_rectified: bool = False) -> Run:
    """A sparse layer as a function of (weights, inputs, statistics); its weight is packed.

    Where it `is_rectified` the ReLU after it is done too.
    """
    weight, bias = f"{name}.weight", f"{name}.bias"
    product = partial(sparse_linear, pattern=pattern, is_rectified=is_rectified)

    def linear(w: Mapping[str, Tensor], x: list[Tensor], statistics: Weights | None) -> Tensor:
        return product(x[0], w[weight], w.get(bias))

    def conv(w: Mapping[str, Tensor], x: list[Tensor], statistics: Weights | None) -> Tensor:
        columns, size = _unfolded(x[0], layer)
        out = product(columns.t(), w[weight], w.get(bias)).t()
        out = out.view(-1, len(x[0]), *size).transpose(0, 1)
        return out.contiguous(memory_format=torch.channels_last)  # as dense ones hand it on

    return linear if layer.operation == "linear" else conv


def _handed_on(w: Mapping[str, Tensor], x: list[Tensor], statistics: Weights | None) -> Tensor:
    """What has been computed with the layer before."""
    return x[0]


def _turned_linear(name: str) -> Run:
    """A dense linear layer that computes (out, samples) and gives it as (samples, out)."""
    weight, bias = f"{name}.weight", f"{name}.bias"

    def run(w: Mapping[str, Tensor], x: list[Tensor], statistics: Weights | None) -> Tensor:
        if bias not in w:
            return torch.mm(w[weight], x[0].t()).t()
        return torch.addmm(w[bias][:, None], w[weight], x[0].t()).t()

    return run


def _unfolded(x: Tensor, layer: Layer) -> tuple[Tensor, tuple[int, int]]:
    """What a kernel reads at each place, (in * kernel^2, samples * places), and how many places."""
    k, stride, padding = layer.kernel, layer.stride, layer.padding
    height, width = ((n + 2 * padding - k) // stride + 1 for n in x.shape[2:])
    if k == 1 and not padding:
        read = x[:, :, ::stride, ::stride].transpose(0, 1)
    else:
        read = F.unfold(x, k, padding=padding, stride=stride).transpose(0, 1)
    return read.reshape(x.shape[1] * k * k, -1), (height, width)
