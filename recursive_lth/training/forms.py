"""The forms in which a ticket can serve: dense, masked, compact, sparse, and as other programs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from recursive_lth.architecture.cost import cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.architecture.network import Weights, operation
from recursive_lth.architecture.sparse import Pattern
from recursive_lth.pruning.compact import compact
from recursive_lth.pruning.merge import merge_norms
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.choice import MARGIN, MOST_DENSITY
from recursive_lth.training.engine import Plan, can_be_sparse, kernel, planned_engine
from recursive_lth.training.timing import in_turns

ONNX = ("onnx", "onnxscript", "onnxruntime")
Logits = Callable[[], Tensor]


@dataclass(frozen=True)
class Form:
    """A way to compute the logits of one batch, and how many parameters it holds.

    Where there is none, `logits` is None and `reason` says why.
    """

    name: str
    logits: Logits | None
    parameters: int = 0
    reason: str = ""


def lightest(ticket: Ticket, inputs: Tensor) -> tuple[Ticket, Ticket] | None:
    """The ticket compact, and its norms merged too, or None where it is none that can be."""
    if not ticket.is_plain:
        return None
    smaller = compact(ticket, inputs)
    return smaller, merge_norms(smaller, inputs)


def forms(ticket: Ticket, light: tuple[Ticket, Ticket] | None, batch: Tensor) -> list[Form]:
    """Every form of the ticket, ready for the batch, on the batch's device; `masked` is the second.

    Dense is the same network with all weights. The last three are made of the compact ticket with
    its norms merged, or of the masked one where it cannot be made compact; sparse computes those of
    its layers with remaining weights alone that are measured faster so for such a batch.
    """
    whole, (small, merged) = ticket.architecture, light or (ticket, ticket)
    readable = ticket.readable()
    dense = {n: torch.where(m, readable[n], ticket.rewind[n]) for n, m in ticket.masks.items()}
    found = [
        _plain("dense", whole, readable | dense, batch),
        _plain("masked", whole, readable, batch),
    ]
    if light is None:
        reason = "pruned places hold values, or weights are coefficients"
        names = ("compact", "compact, merged", "sparse")
        found += [Form(name, None, reason=reason) for name in names]
    else:
        found += [
            _plain("compact", small.architecture, small.weights, batch),
            _plain("compact, merged", merged.architecture, merged.weights, batch),
            _sparse(merged, batch),
        ]
    return [*found, _exported(merged, batch), _onnx(merged, batch)]


def _network(architecture: Architecture, weights: Weights, batch: Tensor) -> nn.Module:
    return module(architecture, weights).to(batch.device, batch.dtype).eval()


def _plain(name: str, architecture: Architecture, weights: Weights, batch: Tensor) -> Form:
    run = partial(_network(architecture, weights, batch), batch)
    return Form(name, run, cost(architecture).parameters)


def _sparse(ticket: Ticket, batch: Tensor) -> Form:
    """The ticket in the sparse engine, as far as that is faster for such a batch."""
    architecture = ticket.architecture
    layers = [n for n in can_be_sparse(architecture) if _is_faster_sparse(ticket, n, batch)]
    if not layers:
        return Form("sparse", None, reason="no layer is faster sparse")
    engine = planned_engine(architecture, ticket.masks, Plan(tuple(layers)), batch.device)
    weights = engine.pack({n: t.to(batch) for n, t in ticket.weights.items()})
    held = sum(weights[name].numel() for name in architecture.trainable)
    return Form("sparse", lambda: engine.forward(weights, batch)[0], held)


def _is_faster_sparse(ticket: Ticket, name: str, batch: Tensor) -> bool:
    """Measured in turns, on a random input of the layer's own shape."""
    layer, mask = ticket.architecture.layers[name], ticket.masks[f"{name}.weight"]
    if int(mask.count_nonzero()) > MOST_DENSITY * mask.numel():
        return False
    shape = (len(batch), *ticket.architecture.shapes[layer.inputs[0]])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(batch)
    own = (f"{name}.weight", f"{name}.bias")
    dense = {n: ticket.weights[n].to(batch) for n in own if n in ticket.weights}
    pattern = Pattern.of(mask.flatten(1).to(batch.device))
    packed = dense | {own[0]: pattern.pack(dense[own[0]])}
    sides = (
        partial(operation(name, layer), dense, [x], None),
        partial(kernel(name, layer, pattern), packed, [x], None),
    )
    with torch.inference_mode():
        slow, fast = in_turns(*sides, batch.device)
    return fast < MARGIN[layer.operation] * slow


def _exported(ticket: Ticket, batch: Tensor) -> Form:
    """What torch.export makes of the module, for batches of this size."""
    made = _network(ticket.architecture, ticket.readable(), batch)
    with torch.no_grad():
        program = torch.export.export(made, (batch,)).module()
    return Form("torch.export", partial(program, batch), cost(ticket.architecture).parameters)


def _onnx(ticket: Ticket, batch: Tensor) -> Form:
    """The module as ONNX, in onnxruntime on as many threads as PyTorch has."""
    name = "onnxruntime"
    if missing := [package for package in ONNX if find_spec(package) is None]:
        cure = "pip install 'recursive-lth[onnx]'"
        return Form(name, None, reason=f"{', '.join(missing)} not installed: {cure}")
    if batch.device.type != "cpu":
        return Form(name, None, reason="measured on the CPU alone")
    import onnxruntime

    made = _network(ticket.architecture, ticket.readable(), batch)
    program = torch.onnx.export(made, (batch,), dynamo=True, verbose=False)
    assert program is not None  # noqa: S101 (None only where it writes a file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait in a loop would take their time from the form whose turn is next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: batch.contiguous().numpy()}
    run = session.run
    return Form(
        name,
        lambda: torch.from_numpy(run(None, feed)[0]),
        cost(ticket.architecture).parameters,
    )
