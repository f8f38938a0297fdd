"""A traced graph -> the parts of a network: what each does, reads and gives, in running order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from recursive_lth.architecture.importing.functions import (
    APART,
    ONE_PIXEL,
    changes_its_input,
    read_function,
)
from recursive_lth.architecture.importing.modules import read_module
from recursive_lth.architecture.importing.spec import Spec
from recursive_lth.architecture.importing.trace import Shape, name_of, path_of, place_of
from recursive_lth.architecture.layer import ACTIVATIONS
from recursive_lth.errors import InputError

BY_ENTRY = {"add", "concat", "flatten", *ACTIVATIONS}  # what may read (samples, channels, 1)
NAMED = ("linear", "conv", "groupconv", "batchnorm")  # what has parameters, and so their path


@dataclass(frozen=True)
class Part:
    """One operation, the parts that it reads, and the shape of one sample that it gives."""

    spec: Spec
    inputs: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass
class _Reading:
    """What has been read so far; `layer_of` names what a tensor holds now, by its first node.

    Operations in place give the tensor that they read, so what is read from it later, under
    whatever name, is their result.
    """

    module: nn.Module
    values: Mapping[fx.Node, Any]
    taken: set[str]
    parts: dict[str, Part] = field(default_factory=dict)
    first: dict[fx.Node, fx.Node] = field(default_factory=dict)
    layer_of: dict[fx.Node, str] = field(default_factory=dict)
    output: str = ""


def read_parts(
    module: nn.Module, graph: fx.Graph, values: Mapping[fx.Node, Any]
) -> dict[str, Part]:
    """The parts that lead to the output, the input first and the output last.

    Raises `InputError` naming path and operation where something has no counterpart among ours.
    """
    paths = {path for path, _ in module.named_modules() if path}
    reading = _Reading(module, values, paths)
    for node in graph.nodes:
        try:
            _read(reading, node)
        except InputError as error:
            raise InputError(f"{place_of(node)}: {error}") from None
    needed = {reading.output}
    for name in reversed(reading.parts):
        if name in needed:
            needed.update(reading.parts[name].inputs)
    return _with_means({name: part for name, part in reading.parts.items() if name in needed})


def _read(reading: _Reading, node: fx.Node) -> None:
    value = reading.values[node]
    sources = [n for n in _tensors(node) if isinstance(reading.values[n], Shape)]
    if node.op == "placeholder":
        _add(reading, node, "input", Spec("input", channels=value[1]), ())
        return
    if node.op == "output":
        reading.output = _layer(reading, sources[0])
        return
    if node.op == "get_attr":
        raise InputError(
            f"{node.target} is used outside a layer: nn.Linear, nn.Conv2d and BatchNorm hold all "
            "parameters and constants of our networks"
        )
    if not isinstance(value, Shape):
        if _has_tensor(value):
            if node.op == "call_module":
                read_module(reading.module.get_submodule(str(node.target)))  # tells its type
            raise InputError(f"{name_of(node)}() gives several tensors: {APART}")
        return  # a number, such as the size of a batch, which those who use it have as a value
    spec, in_place = _spec(reading, node)
    if spec.operation == "dropout":
        raise InputError("is on in evaluation too: pass training=self.training")
    if spec.operation == "flatten":
        spec = _flattening(node, reading.values[sources[0]], value)
    inputs = tuple(_layer(reading, source) for source in sources)
    if spec.operation == "pass":
        reading.first[node] = reading.first[sources[0]]
        return
    if spec.operation == "add" and reading.values[sources[0]] != reading.values[sources[1]]:
        shapes = " and ".join(str(tuple(reading.values[source])) for source in sources)
        raise InputError(f"add of unlike shapes {shapes}: give both streams one shape")
    if spec.operation not in BY_ENTRY and any(len(reading.values[s]) == 3 for s in sources):
        shape = tuple(reading.values[sources[0]])
        raise InputError(f"{spec.operation} of shape {shape}: use .flatten(1) before it")
    _add(reading, node, _name(reading, node, spec), spec, inputs)
    if in_place:
        reading.first[node] = reading.first[sources[0]]
        reading.layer_of[reading.first[node]] = reading.layer_of[node]


def _spec(reading: _Reading, node: fx.Node) -> tuple[Spec, bool]:
    """What an operation does, and whether it does so in place."""
    if node.op == "call_module":
        found = reading.module.get_submodule(str(node.target))
        spec = read_module(found)
        if spec.operation in NAMED and node.target in reading.parts:
            raise InputError("is used twice: give each use a layer of its own")
        return spec, bool(getattr(found, "inplace", False))
    args, kwargs = map_arg((node.args, node.kwargs), lambda n: reading.values[n])
    return read_function(node.target, args, kwargs), changes_its_input(node.target, node.kwargs)


def _add(reading: _Reading, node: fx.Node, name: str, spec: Spec, inputs: tuple[str, ...]) -> None:
    name = name if spec.operation in NAMED else _free(name, reading.taken)
    reading.taken.add(name)
    reading.parts[name] = Part(spec, inputs, tuple(reading.values[node][1:]))
    reading.first[node] = node
    reading.layer_of[node] = name


def _layer(reading: _Reading, node: fx.Node) -> str:
    return reading.layer_of[reading.first[node]]


def _name(reading: _Reading, node: fx.Node, spec: Spec) -> str:
    """The path of a module; of a function the path where it is called and what it does."""
    if node.op == "call_module":
        target = str(node.target)
        if spec.operation not in NAMED and target not in {*reading.parts}:
            reading.taken.discard(target)  # its own first use
        return target
    path = path_of(node)
    return f"{path}.{spec.operation}" if path else spec.operation


def _free(name: str, taken: set[str]) -> str:
    """The name, or with the first number that makes it one of its own."""
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _flattening(node: fx.Node, before: Shape, after: Shape) -> Spec:
    """Flattening, or nothing, by the shapes before and after; order is always kept.

    A single pixel may lose its two axes one by one: (samples, channels, 1) is flat already.
    """
    count = math.prod(before[1:])
    is_flat = len(before) < 4
    if after == before or (is_flat and after == (before[0], count)):
        return Spec("pass")
    is_line = before[1] == count and after == (before[0], count, 1)
    if is_flat or not (is_line or after == (before[0], count)):
        raise InputError(
            f"{name_of(node)} from {tuple(before)} to {tuple(after)} is no flattening of whole "
            f"samples: {APART}; {ONE_PIXEL}"
        )
    return Spec("flatten")


def _with_means(parts: dict[str, Part]) -> dict[str, Part]:
    """An average over all pixels that is only flattened, as the one operation it is."""
    readers: dict[str, list[str]] = {name: [] for name in parts}
    for name, part in parts.items():
        for source in part.inputs:
            readers[source].append(name)
    found = dict(parts)
    for name, part in parts.items():
        if part.spec != Spec("adaptivepool") or len(readers[name]) != 1:
            continue
        flat = readers[name][0]
        if parts[flat].spec.operation != "flatten":
            continue
        found[name] = replace(part, spec=Spec("meanpool"), shape=part.shape[:1])
        del found[flat]
        for reader in readers[flat]:
            inputs = tuple(name if i == flat else i for i in found[reader].inputs)
            found[reader] = replace(found[reader], inputs=inputs)
    return found


def _tensors(node: fx.Node) -> list[fx.Node]:
    """The nodes that a node reads, in order, one that it reads twice twice."""
    found: list[fx.Node] = []

    def add(source: fx.Node) -> fx.Node:
        found.append(source)
        return source

    map_arg((node.args, node.kwargs), add)
    return found


def _has_tensor(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_has_tensor(part) for part in value)
    return isinstance(value, Tensor)
