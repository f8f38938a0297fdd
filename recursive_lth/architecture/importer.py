"""A `torch.nn.Module` of the user's -> Architecture and weights, through torch.fx."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.importing.door import check_input, check_module
from recursive_lth.architecture.importing.parts import Part, read_parts
from recursive_lth.architecture.importing.streams import Streams, streams
from recursive_lth.architecture.importing.trace import difference, run, trace, values
from recursive_lth.architecture.layer import MAKES_UNITS, Layer
from recursive_lth.architecture.network import Weights, network
from recursive_lth.errors import InputError

TOLERANCE = 1e-6  # largest difference of an output, relative to the largest, in float64


def from_module(module: nn.Module, example_input: Tensor) -> tuple[Architecture, Weights]:
    """The architecture of a module and a copy of its weights, under the module's own names.

    `example_input` is a batch as the module reads it, (samples, features) or (samples, channels,
    height, width). Layers are named by their paths, functions by where they are called; what is
    added shares a width symbol, named after the first layer that makes it. The module is traced in
    evaluation mode (Reed et al. 2022, arXiv 2112.08429) and left as it is. Dropout and identities
    go: dropout is the recipe's (`training.dropout`). `requires_grad` is not read: what was frozen
    trains with all the rest. Weights keep their float type, float32 or float64; a run that starts
    with them (`start.architecture`, `--start`) casts them to float32.

    The result is held against the module in float64, on the example and one sample more, with the
    weights as they are and shaken, since a scale of 0 hides what lies behind it. Raises
    `InputError` naming path and operation where ours cannot do the same or the outputs differ.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> architecture, weights = from_module(model, torch.zeros(2, 4))
    >>> architecture.free_symbols, sorted(weights)
    (('0',), ['0.bias', '0.weight', '2.bias', '2.weight'])
    """
    check_module(module)
    check_input(example_input)
    twin = _twin(module)
    batch = example_input.detach().to(device="cpu", dtype=torch.float64)
    in_training = trace(twin.train())
    graph = trace(twin.eval())
    run(twin, batch)
    parts = read_parts(twin, graph, values(twin, graph, batch))
    if where := difference(graph, in_training, twin):
        raise InputError(
            f"{where}: computes other things in training than in evaluation: let no forward depend "
            "on self.training (dropout aside)"
        )
    architecture = _architecture(parts, streams(parts), tuple(batch.shape[2:]))
    _check_used(module, architecture)
    _check_outputs(twin, architecture, torch.cat([batch, batch[:1]]))
    del twin, graph, in_training  # large ones need the room
    state = module.state_dict()
    weights = {name: state[name].detach().cpu().clone() for name in architecture.tensors}
    return architecture, weights


def _twin(module: nn.Module) -> nn.Module:
    """A copy of the module in float64 on the CPU, to be run and changed."""
    try:
        return copy.deepcopy(module).to(device="cpu", dtype=torch.float64)
    except RuntimeError as error:  # computed tensors, such as those of weight_norm
        raise InputError(
            f"the module cannot be copied ({error}): let its weights be parameters, not computed"
        ) from None


def _architecture(
    parts: Mapping[str, Part], found: Streams, spatial: tuple[int, ...]
) -> Architecture:
    """The parts as layers, with the symbols of their streams."""
    output = list(parts)[-1]
    if parts[output].spec.operation != "linear":
        raise InputError(
            f"{output}: the last layer must be nn.Linear, which makes the logits, got "
            f"{parts[output].spec.operation}: leave away what follows it, the loss takes logits"
        )
    layers: dict[str, Layer] = {}
    units: dict[str, int] = {}
    for name, part in parts.items():
        spec = part.spec
        makes = spec.operation in MAKES_UNITS
        symbol = found.symbols[name] if makes else ""
        if makes:
            count = spec.channels // found.widths[symbol]
        else:
            count = spec.channels // spec.groups if spec.operation == "groupconv" else 1
        layers[name] = Layer(
            spec.operation,  # type: ignore[arg-type]  # Layer checks it
            part.inputs,
            symbol,
            spec.kernel,
            spec.stride,
            spec.padding,
            spec.bias,
            count,
        )
        units |= {symbol: found.widths[symbol]} if makes else {}
    return Architecture(layers, units, spatial)


def _check_used(module: nn.Module, architecture: Architecture) -> None:
    for name, _ in module.named_parameters():
        if name not in architecture.tensors:
            raise InputError(
                f"{name} takes no part in the output: delete its layer from the module"
            )


def _check_outputs(twin: nn.Module, architecture: Architecture, batch: Tensor) -> None:
    """Hold the pure forward against the module, with its weights as they are and shaken."""
    generator = seeds.generator(0, "importer")
    for way in ("", " with other weights"):
        if way:
            _shake(twin, generator)
        expected = run(twin, batch)
        tensors = twin.state_dict()
        with torch.no_grad():
            found, _ = network(architecture)({n: tensors[n] for n in architecture.tensors}, batch)
        if expected.shape != found.shape:
            raise InputError(
                f"the module gives {tuple(expected.shape)} for {len(batch)} samples and the import "
                f"{tuple(found.shape)}: let it not depend on the size of the batch"
            )
        if not bool(expected.isfinite().all()):
            raise InputError(f"the module's outputs on example_input{way} are not finite")
        difference, scale = (found - expected).abs().max(), expected.abs().max()
        if not difference <= TOLERANCE * scale:
            raise InputError(
                f"the import does not compute what the module does{way}: outputs differ by "
                f"{float(difference):.3g} of {float(scale):.3g}. Operations in place on what is "
                "read elsewhere, and hooks, are not seen: write them otherwise"
            )


def _shake(twin: nn.Module, generator: torch.Generator) -> None:
    """Other values of about the same size: every row rescaled, and tensors of zeros filled."""
    with torch.no_grad():
        for tensor in twin.state_dict().values():
            if not tensor.is_floating_point() or not tensor.dim():
                continue
            if not bool(tensor.any()):
                tensor.uniform_(-0.1, 0.1, generator=generator)
            rows = torch.rand(len(tensor), generator=generator, dtype=tensor.dtype) + 0.5
            tensor.mul_(rows.view(-1, *[1] * (tensor.dim() - 1)))
