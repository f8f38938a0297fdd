"""Networks with a width between two layers, and the soil that births of new units grow from."""

import torch
import torch.nn.functional as F
from strategies import normal_weights, random_samples
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.network import network
from recursive_lth.growth.birth import Soil
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.growth.widths import symbols
from recursive_lth.ticket.morph import Morph, birth
from recursive_lth.ticket.ticket import Ticket


def dense_net(activation: str = "", hidden: int = 6, inputs: int = 9) -> Architecture:
    """Three linear layers, with an activation behind each but the last or none at all."""
    layers = {
        "input": Layer("input", width="input"),
        "one": Layer("linear", ("input",), "hidden"),
        "two": Layer("linear", ("act_one" if activation else "one",), "wide"),
        "output": Layer("linear", ("act_two" if activation else "two",), "classes"),
    }
    if activation:
        layers["act_one"] = Layer(activation, ("one",))  # type: ignore[arg-type]
        layers["act_two"] = Layer(activation, ("two",))  # type: ignore[arg-type]
    widths = {"input": inputs, "hidden": hidden, "wide": 12, "classes": 5}
    return Architecture(layers, widths)


def conv_net(
    first: tuple[int, int, int],
    second: tuple[int, int, int],
    *,
    between: tuple[str, ...] = ("relu",),
    bias: bool = True,
) -> Architecture:
    """Two convolutions of (kernel, stride, padding) with layers between them, then all pixels."""
    layers = {
        "input": Layer("input", width="input"),
        "one": Layer("conv", ("input",), "hidden", *first, bias=bias),
    }
    last = "one"
    for i, operation in enumerate(between):
        kernel = {"maxpool": 2, "avgpool": 2, "groupconv": 3}.get(operation, 1)
        padding = 1 if operation == "groupconv" else 0
        layers[f"b{i}"] = Layer(operation, (last,), "", kernel, 1, padding)  # type: ignore[arg-type]
        last = f"b{i}"
    layers["two"] = Layer("conv", (last,), "wide", *second)
    layers["act"] = Layer("tanh", ("two",))
    layers["flat"] = Layer("flatten", ("act",))
    layers["output"] = Layer("linear", ("flat",), "classes")
    return Architecture(layers, {"input": 3, "hidden": 4, "wide": 5, "classes": 4}, (9, 8))


def living(architecture: Architecture, seed: int) -> Ticket:
    """A float64 ticket with modest weights everywhere, biases and norms too."""
    whole = seed_ticket(birth(architecture), torch.Generator().manual_seed(seed), "kaiming_normal")
    drawn = normal_weights(architecture, seed)
    shifts = {n: drawn[n] / 4 for n in architecture.tensors if n.endswith("bias")}
    weights = {n: t.double() for n, t in whole.weights.items()} | shifts
    return Ticket(architecture, weights, weights, whole.masks, whole.births)


def widened(
    architecture: Architecture, symbol: str, ratio: float, *, samples: int = 24, seed: int = 0
) -> tuple[Morph, Soil]:
    """A widening of one symbol and its soil, all in float64."""
    names = symbols(architecture)
    place = (names.index(symbol) + 0.5) / len(names)
    change = OPERATORS["widen"](architecture, place=place, ratio=ratio, label="g1")
    generator = torch.Generator().manual_seed(seed)
    values = fresh(change.after, generator, "kaiming_normal")
    return change, Soil(
        living(architecture, seed),
        {name: tensor.double() for name, tensor in values.items()},
        generator,
        random_samples(architecture, samples, seed),
        ratio,
    )


def hidden_signals(soil: Soil) -> tuple[Tensor, Tensor]:
    """What layer "one" reads, and the loss's gradient at the output of layer "two"."""
    kept: dict[str, Tensor] = {}

    def watch(name: str, output: Tensor) -> Tensor:
        if name == "two":
            kept[name] = output.detach().requires_grad_()
            return kept[name]
        return output

    ticket, images = soil.ticket, soil.batch.images
    logits, _ = network(ticket.architecture)(ticket.weights, images, training=True, watch=watch)
    (delta,) = torch.autograd.grad(F.cross_entropy(logits, soil.batch.labels), kept["two"])
    return images, delta
