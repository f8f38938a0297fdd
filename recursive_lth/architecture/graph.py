"""Architecture: a frozen graph of layers with widths; shapes, axes, depth, text and digest."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import networkx as nx

from recursive_lth.architecture.layer import (
    CONVOLUTIONS,
    WEIGHTED,
    Axis,
    Layer,
    Row,
    Shape,
    group_symbol,
    kernel_symbol,
    only,
    output_row,
    output_shape,
    tensor_rows,
)
from recursive_lth.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True, eq=False)
class Architecture:
    """A network's structure: named layers, the size of each width symbol, the pixels that come in.

    `spatial` is (height, width) for images of `widths[input symbol]` channels and () for flat
    features. The constructor checks that the graph is whole and every shape fits; two
    architectures are equal iff their canonical texts are.
    """

    layers: Mapping[str, Layer]
    widths: Mapping[str, int]
    spatial: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        layers = {name: self.layers[name] for name in sorted(self.layers)}
        widths = {symbol: self.widths[symbol] for symbol in sorted(self.widths)}
        object.__setattr__(self, "layers", MappingProxyType(layers))
        object.__setattr__(self, "widths", MappingProxyType(widths))
        object.__setattr__(self, "spatial", tuple(self.spatial))
        _check_names(self)
        _check_graph(self)
        _ = self._flow  # raises where a shape or a symbol does not fit

    @cached_property
    def graph(self) -> "nx.DiGraph[str]":
        """The layers as a frozen networkx graph; edges run with the data."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.layers)
        graph.add_edges_from((i, name) for name, layer in self.layers.items() for i in layer.inputs)
        nx.freeze(graph)
        return graph

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The layers in the order they run: topological, ties broken by name."""
        return tuple(nx.lexicographical_topological_sort(self.graph))

    @cached_property
    def _flow(self) -> tuple[dict[str, Shape], dict[str, Row]]:
        shapes: dict[str, Shape] = {}
        rows: dict[str, Row] = {}
        for name in self.order:
            layer = self.layers[name]
            if layer.operation == "input":
                shapes[name] = (self.widths[layer.width], *self.spatial)
                rows[name] = (Axis(layer.width),)
                continue
            sources = [shapes[i] for i in layer.inputs]
            try:
                rows[name] = output_row(layer, [rows[i] for i in layer.inputs], sources[0])
                symbol = rows[name][0].symbol if layer.operation in WEIGHTED else ""
                shapes[name] = output_shape(layer, sources, self.widths.get(symbol, 0))
            except InputError as error:
                raise InputError(f"layer {name} ({layer.operation}) {error}") from None
        return shapes, rows

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of one sample after each layer."""
        return self._flow[0]

    @property
    def unit_rows(self) -> dict[str, Row]:
        """The named axis that runs over the units after each layer."""
        return self._flow[1]

    @cached_property
    def tensors(self) -> Mapping[str, tuple[Row, ...]]:
        """Every tensor's named axes, in the order the layers run; PyTorch's names."""
        found: dict[str, tuple[Row, ...]] = {}
        for name in self.order:
            layer = self.layers[name]
            if layer.inputs:
                found |= tensor_rows(name, layer, self.unit_rows[layer.inputs[0]])
        return MappingProxyType(found)

    @cached_property
    def trainable(self) -> tuple[str, ...]:
        """Names of the tensors that an optimizer moves: all but BatchNorm's running statistics."""
        return tuple(n for n in self.tensors if n.rpartition(".")[2] not in STATISTICS)

    @cached_property
    def prunable(self) -> tuple[str, ...]:
        """Names of the weights of linear and convolution layers; biases and norms are never cut."""
        weighted = (n for n in self.order if self.layers[n].operation in WEIGHTED)
        return tuple(f"{name}.weight" for name in weighted)

    @cached_property
    def symbols(self) -> Mapping[str, int]:
        """The size of every symbol: the widths, and each convolution's kernel and groups."""
        found = dict(self.widths)
        for name, layer in self.layers.items():
            if layer.operation in CONVOLUTIONS:
                found[kernel_symbol(name)] = layer.kernel
            if layer.operation == "groupconv":
                found[group_symbol(name)] = only(self.unit_rows[layer.inputs[0]]).repeat
        return MappingProxyType(found)

    def shape(self, tensor: str) -> Shape:
        """The shape of a tensor by name."""
        return tuple(
            sum(self.symbols[axis.symbol] * axis.repeat for axis in row)
            for row in self.tensors[tensor]
        )

    @cached_property
    def input(self) -> str:
        """The name of the input layer."""
        return next(n for n, layer in self.layers.items() if layer.operation == "input")

    @cached_property
    def output(self) -> str:
        """The name of the layer whose output are the logits."""
        return next(n for n in self.layers if self.graph.out_degree(n) == 0)

    @property
    def classes(self) -> int:
        """The number of logits."""
        return self.shapes[self.output][0]

    @cached_property
    def free_symbols(self) -> tuple[str, ...]:
        """Width symbols that may change size: all but the input's and the logits', as they run."""
        fixed = {self.layers[self.input].width, self.layers[self.output].width}
        made = (self.layers[name].width for name in self.order)
        return tuple(dict.fromkeys(s for s in made if s and s not in fixed))

    @cached_property
    def depth(self) -> int:
        """Weight layers on the longest path from input to logits."""
        depths: dict[str, int] = {}
        for name in self.order:
            layer = self.layers[name]
            before = max((depths[i] for i in layer.inputs), default=0)
            depths[name] = before + (layer.operation in WEIGHTED)
        return depths[self.output]

    @cached_property
    def canonical(self) -> str:
        """The one text of this architecture: JSON with sorted keys and every field written out."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical text, hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __reduce__(self) -> tuple[Any, ...]:
        """Built anew when pickled or copied: a mapping proxy can be neither."""
        return Architecture, (dict(self.layers), dict(self.widths), self.spatial)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is its inverse."""
        return {
            "format": FORMAT,
            "spatial": list(self.spatial),
            "widths": dict(self.widths),
            "layers": {
                n: asdict(layer) | {"inputs": list(layer.inputs)}
                for n, layer in self.layers.items()
            },
        }

    @staticmethod
    def from_dict(data: Any) -> "Architecture":
        """The architecture that `to_dict` wrote. Raises `InputError` where the data are not one."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, Mapping) else data
            raise InputError(f"architecture format must be {FORMAT}, got {found!r}")
        try:
            layers = {str(name): _layer(name, fields) for name, fields in data["layers"].items()}
            return Architecture(layers, data["widths"], tuple(data["spatial"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not an architecture: {error!r}") from None

    @staticmethod
    def from_module(
        module: "nn.Module", example_input: "Tensor"
    ) -> "tuple[Architecture, dict[str, Tensor]]":
        """The architecture and the weights of a module of the user's: `importer.from_module`."""
        from recursive_lth.architecture.importer import from_module

        return from_module(module, example_input)

    def edit(
        self, layers: Mapping[str, Layer] | None = None, widths: Mapping[str, int] | None = None
    ) -> "Architecture":
        """A new architecture with these layers and widths added or replaced."""
        return replace(
            self, layers={**self.layers, **(layers or {})}, widths={**self.widths, **(widths or {})}
        )


def _layer(name: str, fields: Mapping[str, Any]) -> Layer:
    try:
        return Layer(**{**fields, "inputs": tuple(fields["inputs"])})
    except InputError as error:
        raise InputError(f"layer {name}: {error}") from None
    except (KeyError, TypeError) as error:
        raise InputError(f"layer {name} is not a layer: {error!r}") from None


def _check_names(architecture: Architecture) -> None:
    for name in (*architecture.layers, *architecture.widths):
        if not NAME.fullmatch(name):
            raise InputError(f"names are letters, digits, _, - and single dots, got {name!r}")
    for name in architecture.layers:
        outer = name.rpartition(".")[0]
        while outer:
            if outer in architecture.layers:
                raise InputError(f"layer {name} would lie inside layer {outer}: rename one")
            outer = outer.rpartition(".")[0]
    kernels = {own(n) for n in architecture.layers for own in (kernel_symbol, group_symbol)}
    for symbol, size in architecture.widths.items():
        if type(size) is not int or size < 1:
            raise InputError(f"width {symbol} must be an integer >= 1, got {size!r}")
        if symbol in kernels:
            raise InputError(f"width {symbol} has the name of a convolution's own axis: rename it")
    used = {layer.width for layer in architecture.layers.values()} - {""}
    if used != set(architecture.widths):
        odd = sorted(used ^ set(architecture.widths))
        raise InputError(f"layers and widths must name the same symbols; only one has {odd}")
    if len(architecture.spatial) not in (0, 2) or any(
        type(n) is not int or n < 1 for n in architecture.spatial
    ):
        raise InputError(f"spatial must be () or (height, width), got {architecture.spatial}")


def _check_graph(architecture: Architecture) -> None:
    for name, layer in architecture.layers.items():
        for source in layer.inputs:
            if source not in architecture.layers:
                raise InputError(f"layer {name} reads {source!r}, which does not exist")
    graph = architecture.graph
    if not nx.is_directed_acyclic_graph(graph):
        raise InputError(f"layers form a cycle: {nx.find_cycle(graph)}")
    inputs = [n for n, layer in architecture.layers.items() if layer.operation == "input"]
    outputs = [n for n in graph if graph.out_degree(n) == 0]
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(f"needs one input and one output, got {inputs} and {outputs}")
    last = architecture.layers[outputs[0]]
    if last.operation != "linear" or last.multiple != 1:
        raise InputError(f"the last layer {outputs[0]} must be linear: it makes the logits")
