"""A module's operations as torch.fx traces them, with the shape of everything that flows."""

import operator
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from recursive_lth.architecture.importing.modules import DROPPED, MODULES
from recursive_lth.errors import InputError

DROPOUTS: frozenset[Any] = frozenset(
    {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout}
)


def trace(module: nn.Module) -> fx.Graph:
    """The graph of a module's forward in its present mode, with whole layers as its nodes.

    Raises `InputError` naming the submodule where torch.fx cannot trace it.
    """
    tracer = _Tracer()
    try:
        graph = tracer.trace(module)
    except Exception as error:  # proxies fail in as many ways as there is code to run on them
        where = tracer.path[-1] if tracer.path else "its forward"
        if isinstance(error, NameError) and "not installed as a submodule" in str(error):
            raise InputError(
                f"{where} calls a layer that is no part of it: keep layers in attributes, "
                "nn.ModuleList or nn.Sequential, not in lists"
            ) from None
        raise InputError(
            f"{where} cannot be traced by torch.fx ({_first_line(error)}): a network here is the "
            "same for every input, so let no branch, loop or number depend on the data"
        ) from None
    inputs = [node.name for node in graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise InputError(
            f"forward takes {', '.join(inputs) or 'nothing'}: wrap it in a module whose forward "
            "takes one tensor"
        )
    return graph


class _Tracer(fx.Tracer):
    """Takes ready layers as they are and looks into all else; remembers where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.path: list[str] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = {getattr(kind, "forward", None) for kind in (*MODULES, *DROPPED)}
        return type(m).forward in known or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        self.path.append(self.path_of_module(m))
        found = super().call_module(m, forward, args, kwargs)
        self.path.pop()  # not after an error: its place is asked for
        return found


def difference(first: fx.Graph, second: fx.Graph, module: nn.Module) -> str:
    """Where two traces of a module begin to compute other things, dropout aside; "" if nowhere."""
    sides = [_skeleton(graph, module) for graph in (first, second)]
    for one, other in zip_longest(*sides):
        if one is None or other is None or one[1:] != other[1:]:
            return place_of((one or other)[0])
    return ""


def _skeleton(graph: fx.Graph, module: nn.Module) -> list[tuple[fx.Node, str, str, str]]:
    """Every operation with what it reads, by number; dropout is passed over."""
    numbers: dict[fx.Node, str] = {}
    found: list[tuple[fx.Node, str, str, str]] = []
    for node in graph.nodes:
        is_dropout = node.target in DROPOUTS or (
            node.op == "call_module" and isinstance(module.get_submodule(node.target), DROPPED)
        )
        if is_dropout:
            numbers[node] = numbers[node.all_input_nodes[0]]
            continue
        numbers[node] = f"%{len(found)}"
        read = map_arg((node.args, node.kwargs), lambda n: numbers[n])
        found.append((node, node.op, str(node.target), repr(read)))
    return found


def run(module: nn.Module, batch: Tensor) -> Tensor:
    """What a module makes of a batch. Raises `InputError` where it fails or makes no tensor."""
    try:
        with torch.no_grad():
            out = module(batch.clone())
    except Exception as error:  # whatever the user's code raises
        raise InputError(
            f"the module does not run on a batch of shape {tuple(batch.shape)}: "
            f"{_first_line(error)}"
        ) from None
    if not isinstance(out, Tensor):
        raise InputError(
            f"the module returns {type(out).__name__}, not one tensor of logits: wrap it in a "
            "module that returns these alone"
        )
    return out


def values(module: nn.Module, graph: fx.Graph, batch: Tensor) -> dict[fx.Node, Any]:
    """For each node of the graph the shape of the tensor it gives, or the value that is none."""
    recorder = _Recorder(fx.GraphModule(module, graph))
    with torch.no_grad():
        recorder.run(batch.clone())
    return recorder.found


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.found: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.found[n] = Shape(value.shape) if isinstance(value, Tensor) else value
        return value


class Shape(tuple[int, ...]):
    """The shape of a tensor that flows, samples first: no tuple that the module computes."""

    __slots__ = ()


def path_of(node: fx.Node) -> str:
    """The path of the submodule in whose forward an operation stands; "" for the outermost."""
    stack = list(node.meta.get("nn_module_stack") or {})
    return str(stack[-1]) if stack else ""


def name_of(node: fx.Node) -> str:
    """An operation as a user wrote it, about."""
    if node.op == "call_function":
        return "add" if node.target is operator.add else getattr(node.target, "__name__", node.name)
    return str(node.target)


def place_of(node: fx.Node) -> str:
    """Where an operation stands, for an error's text."""
    path = path_of(node)
    return f"{node.target}" if node.op == "call_module" else f"in {path or 'the outermost forward'}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
