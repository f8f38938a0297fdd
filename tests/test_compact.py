"""Compaction: equal logits from fewer units, none of which could go; merging norms likewise."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS, architectures, kept_counts, random_batch
from test_units import ticket_of
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import ACTIVATIONS, SLIDES, WEIGHTED, Layer
from recursive_lth.architecture.network import network
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.errors import InputError
from recursive_lth.pruning.compact import certify_equal, compact
from recursive_lth.pruning.merge import merge_norms
from recursive_lth.pruning.paths import constants
from recursive_lth.ticket.masks import apply, is_nested
from recursive_lth.ticket.ticket import Ticket

ZOO = {
    "mlp": (12, 9),
    "lenet-5": (),
    "conv-2": (6,),
    "convnet": (8, 8),
    "vgg-11": (8, 8, 9, 9, 9),
    "resnet-20": (4, 6, 8),
    "mobilenet": (),
    "convmixer": (),
}
SIZE = {"convnet": 16, "lenet-5": 28, "vgg-11": 32, "mobilenet": 32}
SMALLER = {compact: "smaller", merge_norms: "merged"}


def logits_of(ticket: Ticket, batch: Tensor) -> Tensor:
    return network(ticket.architecture)(ticket.weights, batch)[0]


def assert_equal_logits(before: Ticket, after: Ticket, batch: Tensor) -> None:
    """To 1e-10 of the largest, in evaluation mode and float64."""
    old, new = logits_of(before, batch), logits_of(after, batch)
    assert float((old - new).abs().max()) <= 1e-10 * float(old.abs().max())


def smooth(architecture: Architecture) -> Architecture:
    """With SiLU for every activation: no value vanishes or saturates by chance."""
    layers = architecture.layers.items()
    silu = {n: replace(x, operation="silu") for n, x in layers if x.operation in ACTIVATIONS}
    return architecture.edit(layers=silu)


@settings(max_examples=80)
@given(architectures(), SEEDS, st.data())
def test_a_compact_ticket_tells_the_same(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    """Also other samples than those of the certificate; what is left can be made no smaller."""
    ticket = ticket_of(architecture, seed, data.draw(kept_counts(architecture)))
    found = compact(ticket)
    assert_equal_logits(ticket, found, random_batch(architecture, 5, seed))
    assert compact(found) is found
    assert found.cost.remaining_weights <= ticket.cost.remaining_weights
    assert found is ticket or found.parent == ticket.digest


@settings(max_examples=60)
@given(architectures(), SEEDS, st.data())
def test_constants_are_what_no_sample_changes(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    """Against the outputs of every layer: what is called constant is, everywhere, of that value.

    Without padding, and with random weights and a smooth activation, nothing else is constant:
    otherwise a mean over a constant's rim would be.
    """
    architecture = smooth(architecture)
    ticket = ticket_of(architecture, seed, data.draw(kept_counts(architecture)))
    seen: dict[str, Tensor] = {}

    def watch(name: str, output: Tensor) -> Tensor:
        seen[name] = output.movedim(1, 0).flatten(1)  # (entries, samples * pixels)
        return output

    network(architecture)(ticket.weights, random_batch(architecture, 6, seed), watch=watch)
    is_padded = any(x.padding and x.operation in SLIDES for x in architecture.layers.values())
    for name, values in constants(architecture, ticket.weights, ticket.masks).items():
        if name in seen:
            is_constant = ~values.isnan()
            wanted = values[is_constant, None].expand(-1, seen[name].shape[1])
            torch.testing.assert_close(seen[name][is_constant], wanted, rtol=1e-9, atol=1e-9)
            spread = seen[name].amax(1) - seen[name].amin(1)
            assert is_padded or torch.equal(is_constant, spread < 1e-9)


@settings(max_examples=60)
@given(architectures(), SEEDS, st.data())
def test_no_unit_is_left_that_could_go(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    """Noise in place of any unit left, at one of its layers at least, moves a logit.

    A width of one unit may hold one that does nothing.
    """
    architecture = smooth(architecture)
    ticket = compact(ticket_of(architecture, seed, data.draw(kept_counts(architecture))))
    batch = random_batch(ticket.architecture, 4, seed)
    before = logits_of(ticket, batch)
    for symbol in ticket.architecture.free_symbols:
        units = ticket.architecture.widths[symbol]
        for unit in range(units if units > 1 else 0):
            changes = [
                (run_with(ticket, batch, name, noise_in(ticket, name, symbol, unit)) - before)
                for name in ticket.architecture.order[1:]
            ]
            assert any(bool(change.abs().max() > 0) for change in changes), (symbol, unit)


def noise_in(ticket: Ticket, layer: str, symbol: str, unit: int) -> Tensor:
    """Which entries of a layer belong to a unit, walked through its row."""
    mine = []
    for axis in ticket.architecture.unit_rows[layer]:
        for u in range(ticket.architecture.widths[axis.symbol]):
            mine += [axis.symbol == symbol and u == unit] * axis.repeat
    return torch.tensor(mine)


def run_with(ticket: Ticket, batch: Tensor, layer: str, is_noise: Tensor) -> Tensor:
    """The logits with noise at some entries of a layer's output."""
    draw = torch.Generator().manual_seed(1)

    def watch(name: str, output: Tensor) -> Tensor:
        if name != layer:
            return output
        noise = torch.randn(output.shape, dtype=output.dtype, generator=draw)
        shape = (-1, *(1,) * (output.dim() - 2))
        return torch.where(is_noise.view(shape), output + noise, output)

    return network(ticket.architecture)(ticket.weights, batch, watch=watch)[0]


@pytest.mark.parametrize("density", [0.02, 0.1])
@pytest.mark.parametrize("name", ZOO)
def test_networks_of_the_zoo_shrink_and_tell_the_same(name: str, density: float) -> None:
    """Random masks, biases and statistics; then the norms merged too, by which nothing grows."""
    size = SIZE.get(name, 8)
    architecture = ARCHITECTURES[name]((3, size, size), 5, ZOO[name])
    draw = torch.Generator().manual_seed(3)
    ticket = ticket_of(architecture, 3)
    weights = {n: t if "running_var" in n else t / 8 for n, t in ticket.weights.items()}
    masks = {n: torch.rand(m.shape, generator=draw) < density for n, m in ticket.masks.items()}
    ticket = replace(ticket, weights=apply(weights, masks), masks=masks)
    found = compact(ticket)
    batch = random_batch(architecture, 2, 1)
    assert_equal_logits(ticket, found, batch)
    assert found.cost.weights < (1 if density < 0.1 else 1.01) * ticket.cost.weights
    merged = merge_norms(found)
    assert_equal_logits(ticket, merged, batch)
    norms = [x for x in found.architecture.layers.values() if x.operation == "batchnorm"]
    assert (merged is found) == (not norms or name == "convmixer")  # its norms read activations
    assert compact(merged).cost.remaining_weights <= merged.cost.remaining_weights


@given(architectures(), SEEDS)
def test_a_dense_ticket_is_handed_back(architecture: Architecture, seed: int) -> None:
    ticket = ticket_of(architecture, seed)
    assert compact(ticket) is ticket


def perceptron() -> Ticket:
    """3-4-4-2: unit 0 of fc1 is read by none, 1 reads nothing, only a dead one reads 2."""
    ticket = ticket_of(mlp((3,), 2, (4, 4)), 0)
    masks = {n: m.clone() for n, m in ticket.masks.items()}
    masks["fc2.weight"][:, 0] = False
    masks["fc1.weight"][1] = False
    masks["fc2.weight"][:, 2] = False
    masks["fc2.weight"][3, 2] = True
    masks["output.weight"][:, 3] = False
    return replace(ticket, weights=apply(ticket.weights, masks), masks=masks)


def test_dead_units_go_and_constant_ones_are_told_by_biases() -> None:
    ticket = perceptron()
    weights = {**ticket.weights, "fc1.bias": torch.tensor([1.0, 0.5, 1.0, 1.0]).double()}
    ticket = replace(ticket, weights=weights)
    found = compact(ticket)
    assert dict(found.architecture.widths) == {"input": 3, "fc1": 1, "fc2": 3, "classes": 2}
    assert torch.equal(found.weights["fc1.weight"], weights["fc1.weight"][3:])
    assert torch.equal(found.rewind["fc1.weight"], ticket.rewind["fc1.weight"][3:])
    wanted = weights["fc2.bias"][:3] + 0.5 * weights["fc2.weight"][:3, 1]
    torch.testing.assert_close(found.weights["fc2.bias"], wanted)
    assert compact(replace(ticket, provenance={"arm": "a"})).parent != found.parent


def test_a_layer_without_a_weight_leaves_one_unit() -> None:
    """Then the logits are biases, and nothing before the empty layer is of use."""
    ticket = perceptron()
    masks = {**ticket.masks, "fc2.weight": torch.zeros(4, 4, dtype=torch.bool)}
    ticket = replace(ticket, weights=apply(ticket.weights, masks), masks=masks)
    found = compact(ticket)
    assert dict(found.architecture.widths) == {"input": 3, "fc1": 1, "fc2": 1, "classes": 2}
    assert found.cost.remaining_weights == 0
    assert_equal_logits(ticket, found, random_batch(ticket.architecture, 3, 0))


def convolutions(padding: int, *, bias: bool) -> Ticket:
    """Two convolutions; unit 0 of the first reads nothing and is 1 everywhere."""
    layers = {
        "input": Layer("input", width="input"),
        "one": Layer("conv", ("input",), "one", 3),
        "two": Layer("conv", ("one",), "two", 3, padding=padding, bias=bias),
        "norm": Layer("batchnorm", ("two",)),
        "flat": Layer("meanpool", ("norm",)),
        "output": Layer("linear", ("flat",), "classes"),
    }
    widths = {"input": 1, "one": 3, "two": 2, "classes": 2}
    ticket = ticket_of(Architecture(layers, widths, (7, 7)), 0)
    masks = {n: m.clone() for n, m in ticket.masks.items()}
    masks["one.weight"][0] = False
    weights = {**ticket.weights, "one.bias": torch.tensor([1.0, 0.0, 0.0]).double()}
    return replace(ticket, weights=apply(weights, masks), masks=masks)


@pytest.mark.parametrize("bias", [True, False])
def test_a_constant_channel_is_told_only_where_nothing_is_padded(bias: bool) -> None:
    """A reader without a bias gets one; one that pads keeps a channel that is not 0."""
    ticket = convolutions(0, bias=bias)
    found = compact(ticket)
    assert found.architecture.widths["one"] == 2
    assert "two.bias" in found.weights
    assert ("two.bias" in ticket.rewind) or not bool(found.rewind["two.bias"].any())
    padded = convolutions(1, bias=bias)
    assert compact(padded) is padded
    zero = replace(padded, weights=padded.weights | {"one.bias": torch.zeros(3).double()})
    assert compact(zero).architecture.widths["one"] == 2
    assert compact(zero).architecture.layers["two"].bias == bias


def test_types_are_kept() -> None:
    """A bias is folded in float64 and rounded to the ticket's own type."""
    ticket = perceptron()
    single = replace(
        ticket,
        weights={n: t.float() for n, t in ticket.weights.items()},
        rewind={n: t.float() for n, t in ticket.rewind.items()},
    )
    found = compact(single)
    assert {t.dtype for t in (found.weights | found.rewind).values()} == {torch.float32}
    batch = random_batch(ticket.architecture, 4, 0).float()
    torch.testing.assert_close(logits_of(found, batch), logits_of(single, batch))


@settings(max_examples=60)
@given(architectures(has_norms=True), SEEDS, st.data())
def test_merged_norms_tell_the_same(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    """At weights and at rewind values; no norm is left that alone reads a weighted layer."""
    ticket = ticket_of(architecture, seed, data.draw(kept_counts(architecture)))
    merged = merge_norms(ticket)
    batch = random_batch(architecture, 4, seed)
    assert_equal_logits(ticket, merged, batch)
    old = network(architecture)(ticket.rewind, batch)[0]
    new = network(merged.architecture)(merged.rewind, batch)[0]
    assert float((old - new).abs().max()) <= 1e-10 * float(old.abs().max())
    assert is_nested(merged.masks, ticket.masks)
    assert is_nested(ticket.masks, merged.masks)
    after = merged.architecture
    for layer in after.layers.values():
        if layer.operation == "batchnorm":
            (source,) = layer.inputs
            is_alone = after.graph.out_degree(source) == 1
            assert after.layers[source].operation not in WEIGHTED or not is_alone


@pytest.mark.parametrize("make", SMALLER, ids=SMALLER.get)
def test_what_cannot_be_certified_is_refused(make: Callable[[Ticket], Ticket]) -> None:
    ticket = convolutions(0, bias=True)
    with pytest.raises(InputError, match="can be made no smaller"):
        make(replace(ticket, is_filled=True))
    weights = {**ticket.weights, "output.bias": torch.full((2,), torch.nan)}
    with pytest.raises(InputError, match="diverged"):
        make(replace(ticket, weights=weights))


def test_a_certificate_sees_a_change() -> None:
    ticket = perceptron()
    side = (ticket.architecture, ticket.weights)
    assert certify_equal(side, side) == 0
    off = {**ticket.weights, "output.bias": ticket.weights["output.bias"] + 1e-6}
    with pytest.raises(InputError, match="more than rounding"):
        certify_equal(side, (ticket.architecture, off), random_batch(ticket.architecture, 4, 0))
