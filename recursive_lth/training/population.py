"""A population: many networks of one graph as one program, each with widths and masks of its own.

Activations are (members, features, samples), features padded to the widest member's. A linear layer
is one batched product of padded matrices or, where its weights are sparse, one product with a
block-diagonal sparse matrix; by oneDNN each member has a product of its own, and its matrix lies
apart. Padding is masked: it begins at 0 and no remaining weight reads it.
Images are (streams, features, samples): members that see the same ones read them where they lie.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS
from recursive_lth.architecture.network import FUNCTIONS, Weights
from recursive_lth.architecture.sparse import Pattern, sparse_product
from recursive_lth.ticket.moments import State
from recursive_lth.training.chain import Chain, chain_of
from recursive_lth.training.engine import Engine, Plan, planned_engine, rectified
from recursive_lth.training.onednn import product

JOINED = frozenset({"input", "flatten", "linear", "add", *ACTIVATIONS})  # what a population can run
Graph = tuple[tuple[str, str, tuple[str, ...], bool], ...]


def graph_of(architecture: Architecture) -> Graph | None:
    """What members must have in common: layers, inputs and biases; None where none can join."""
    layers = architecture.layers
    if any(layers[name].operation not in JOINED for name in architecture.order):
        return None
    return tuple(
        (name, layers[name].operation, layers[name].inputs, layers[name].bias)
        for name in architecture.order
    )


@dataclass(frozen=True)
class Population:
    """The layers of many members joined; `patterns` are those of layers that are sparse.

    `engines` are the members' own, which compute one of them alone from what `take` gives.
    """

    architectures: tuple[Architecture, ...]
    patterns: Mapping[str, Pattern]
    engines: tuple[Engine, ...]
    apart: frozenset[str]  # weights that are not joined
    cover: Mapping[str, Tensor]  # of dense weights, as they are packed: what may be other than 0
    streams: Tensor  # which images each member sees, (members,)
    images: frozenset[str]  # where they are, as they come
    rectified: frozenset[str]  # sparse layers with which the ReLU is done that alone reads them

    @property
    def chain(self) -> Chain | None:
        """The layers as a chain, if all are sparse."""
        return chain_of(self.architectures[0], self.patterns, len(self.engines))

    def pack(self, members: Sequence[Mapping[str, Tensor]]) -> Weights:
        """One tensor for all members: (members, ...) padded by 0, or values block after block.

        Of what lies apart one for each, padded too.
        """
        found: Weights = {}
        for name in members[0]:
            parts = [tensors[name] for tensors in members]
            if name in self.apart:
                found |= dict(zip(_keys(name, len(parts)), _padded(parts), strict=True))
            elif not parts[0].dim():
                found[name] = parts[0]  # a count of steps, the same for all
            elif name in self.patterns:
                pairs = zip(self.engines, parts, strict=True)
                found[name] = torch.cat([e.patterns[name].pack(p) for e, p in pairs])
            else:
                found[name] = torch.stack(_padded(parts))
        return found

    def pack_state(self, members: Sequence[State]) -> State:
        """The members' optimizers as one."""
        return {kind: self.pack([state[kind] for state in members]) for kind in members[0]}

    def take(self, joined: Mapping[str, Tensor], number: int) -> Weights:
        """One member's tensors, packed as its own engine wants them: views of the joined."""
        architecture, found = self.architectures[number], {}
        for key, tensor in joined.items():
            name, owner = _whose(key)
            if owner not in (None, number):
                continue
            if not tensor.dim():
                found[name] = tensor
            elif name in self.patterns:
                counts = [len(engine.patterns[name].places) for engine in self.engines]
                found[name] = tensor.split(counts)[number]
            else:
                corner = tuple(slice(n) for n in architecture.shape(name))
                found[name] = (tensor[number] if owner is None else tensor)[corner]
        return found

    def keys(self, names: Iterable[str]) -> list[str]:
        """What these tensors are called where they are joined."""
        count = len(self.engines)
        return [k for n in names for k in (_keys(n, count) if n in self.apart else [n])]

    def owners(self, key: str) -> Tensor | int | None:
        """Whose a joined tensor is, or each of a sparse one's values, (values,); None: a row's."""
        name, owner = _whose(key)
        if name not in self.patterns:
            return owner
        counts = torch.tensor([len(engine.patterns[name].places) for engine in self.engines])
        found = torch.arange(len(counts)).repeat_interleave(counts)
        return found.to(self.patterns[name].places.device)

    def forward(self, joined: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Logits (members, classes, samples) for x (streams, features, samples)."""
        layers = self.architectures[0].layers
        values: Weights = {}
        for name in self.architectures[0].order:
            layer, read = layers[name], [values[source] for source in layers[name].inputs]
            if name in self.images:
                values[name] = x  # features lie flat from the start
                continue
            if layer.operation == "linear":
                values[name] = self._linear(name, joined, read[0])
                continue
            if layer.inputs[0] in self.rectified:
                values[name] = read[0]
                continue
            read = [
                value.index_select(0, self.streams) if source in self.images else value
                for source, value in zip(layer.inputs, read, strict=True)
            ]
            if layer.operation == "add":
                values[name] = sum(read[1:], start=read[0])
            else:
                values[name] = FUNCTIONS[layer.operation](read[0])
        return values[self.architectures[0].output]

    def _linear(self, name: str, joined: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """What a layer gives for what each member has computed, or for the images."""
        weight, bias, count = f"{name}.weight", joined.get(f"{name}.bias"), len(self.engines)
        samples, flat = x.shape[2], None if bias is None else bias.flatten()
        if weight in self.patterns:
            pattern, is_rectified = self.patterns[weight], name in self.rectified
            out = sparse_product(
                x.flatten(0, 1), joined[weight], flat, pattern, is_rectified=is_rectified
            )
            return out.view(count, -1, samples)
        if weight in self.apart:
            rows = x.unbind() if len(x) == count else [x[n] for n in self.streams.tolist()]
            pairs = zip(_keys(weight, count), rows, strict=True)
            out = torch.stack([product(joined[key], row.t()) for key, row in pairs])
            return out if bias is None else out + bias[:, :, None]
        if len(x) == 1:  # one product for all
            matrix = joined[weight].flatten(0, 1)
            out = matrix @ x[0] if flat is None else torch.addmm(flat[:, None], matrix, x[0])
            return out.view(count, -1, samples)
        read = x if len(x) == count else x.index_select(0, self.streams)
        if bias is None:
            return torch.bmm(joined[weight], read)
        return torch.baddbmm(bias[:, :, None], joined[weight], read)


def join(
    architectures: Sequence[Architecture],
    masks: Sequence[Mapping[str, Tensor]],
    plan: Plan,
    streams: Tensor,
) -> Population:
    """A population of members of one graph, whose layers are computed as the plan says.

    `streams` (members,) numbers from 0 whose images are the same.
    """
    device, images = streams.device, _images(architectures[0])
    here = [{name: mask.to(device) for name, mask in each.items()} for each in masks]
    engines = tuple(
        planned_engine(architecture, each, plan, device)
        for architecture, each in zip(architectures, here, strict=True)
    )
    patterns: dict[str, Pattern] = {}
    apart, cover = frozenset(f"{name}.weight" for name in plan.onednn), Weights()
    for weight in architectures[0].prunable:
        parts = [each[weight] for each in here]
        if weight.removesuffix(".weight") in plan.sparse:
            out, width = _widest(parts)
            source = architectures[0].layers[weight.removesuffix(".weight")].inputs[0]
            read = streams.tolist() if source in images else range(len(parts))
            patterns[weight] = Pattern.blocks(parts, out, width, read)
        elif weight in apart:
            cover |= dict(zip(_keys(weight, len(parts)), _padded(parts), strict=True))
        else:
            cover[weight] = torch.stack(_padded(parts))
    done = frozenset(n for n in rectified(architectures[0]) if f"{n}.weight" in patterns)
    return Population(tuple(architectures), patterns, engines, apart, cover, streams, images, done)


def _images(architecture: Architecture) -> frozenset[str]:
    """The places where the images are, as they come."""
    found: set[str] = set()
    for name in architecture.order:
        layer = architecture.layers[name]
        is_flat = layer.operation == "flatten" and found.issuperset(layer.inputs)
        if layer.operation == "input" or is_flat:
            found.add(name)
    return frozenset(found)


def _keys(name: str, count: int) -> list[str]:
    """What the members' own tensors of a name are called."""
    return [f"{name} of {number}" for number in range(count)]


def _whose(key: str) -> tuple[str, int | None]:
    """The tensor's name, and the number of the member whose own it is."""
    name, _, owner = key.partition(" of ")
    return name, int(owner) if owner else None


def _widest(parts: Sequence[Tensor]) -> list[int]:
    """The largest size along each axis."""
    return [max(part.shape[d] for part in parts) for d in range(parts[0].dim())]


def _padded(parts: Sequence[Tensor]) -> list[Tensor]:
    """Copies, each in the corner of what would hold the largest."""
    shape, found = _widest(parts), []
    for part in parts:
        whole = part.new_zeros(shape)
        whole[tuple(slice(n) for n in part.shape)] = part
        found.append(whole)
    return found
