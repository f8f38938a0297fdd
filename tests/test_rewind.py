"""Rewinding: each weight goes where it should, and what is no weight goes with its unit."""

from dataclasses import replace
from itertools import product
from statistics import pstdev

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    SEEDS,
    architectures,
    exact_masks,
    kept_counts,
    normal_weights,
    random_batch,
)

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.growth.operators import OPERATORS, PLACES
from recursive_lth.pruning.rewind import rewind, rewind_newborn
from recursive_lth.ticket.masks import apply
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited, transplant


def ticket_of(architecture: Architecture, seed: int, kept: dict[str, int]) -> Ticket:
    """A trained and cut ticket in float64; its rewind values are those of another seed."""
    masks = exact_masks(architecture, kept, seed)
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    weights, rewound = (normal_weights(architecture, seed + i) for i in range(2))
    return replace(whole, weights=apply(weights, masks), rewind=rewound, masks=masks)


@st.composite
def tickets(draw: st.DrawFn) -> Ticket:
    architecture = draw(architectures())
    return ticket_of(architecture, draw(SEEDS), draw(kept_counts(architecture)))


@given(tickets())
def test_weights_go_back_and_all_else_stays(ticket: Ticket) -> None:
    """Every tensor, biases and statistics too, is its rewind value, and 0 where it was cut."""
    digest = ticket.digest
    back = rewind(ticket)
    for name, tensor in back.weights.items():
        mask = ticket.masks.get(name, torch.ones_like(tensor, dtype=torch.bool))
        assert torch.equal(tensor, torch.where(mask, ticket.rewind[name], 0))
    assert replace(back, weights=ticket.weights).digest == replace(ticket).digest == digest
    assert rewind(back).digest == back.digest


@given(tickets())
def test_of_the_learning_rate_alone_nothing_is_set_back(ticket: Ticket) -> None:
    assert rewind(ticket, restore="learning_rate").digest == ticket.digest


@given(tickets())
def test_signs_are_kept_at_the_deviation_of_the_layer(ticket: Ticket) -> None:
    """Twin: the deviation of all initial weights of the layer, cut or not, without torch.

    What is no prunable weight goes back as it does for weights.
    """
    back, plain = rewind(ticket, restore="signs"), rewind(ticket)
    for name, tensor in back.weights.items():
        if name not in ticket.masks:
            assert torch.equal(tensor, plain.weights[name])
            continue
        size = pstdev(ticket.rewind[name].flatten().tolist())
        twin = [
            size * ((value > 0) - (value < 0)) * kept
            for value, kept in zip(
                ticket.rewind[name].flatten().tolist(),
                ticket.masks[name].flatten().tolist(),
                strict=True,
            )
        ]
        assert tensor.flatten().tolist() == pytest.approx(twin)
    assert all(torch.equal(back.rewind[n], t) for n, t in ticket.rewind.items())


@given(tickets(), SEEDS)
def test_what_is_filled_runs_on_the_initial_weights(ticket: Ticket, seed: int) -> None:
    """With every remaining weight set back and every other filled, the network is the initial one.

    The masks are what they were, and only what they keep is trained.
    """
    filled = rewind(ticket, pruned="initial")
    assert filled.is_filled
    assert all(torch.equal(filled.masks[n], m) for n, m in ticket.masks.items())
    inputs = random_batch(ticket.architecture, 3, seed)
    run = network(ticket.architecture)
    assert torch.equal(run(filled.readable(), inputs)[0], run(ticket.rewind, inputs)[0])
    assert rewind(filled).is_filled


@given(tickets(), SEEDS)
def test_only_what_had_grown_is_filled(ticket: Ticket, seed: int) -> None:
    """Twin of Zhou et al.'s action, weight by weight: 0 if it was cut after it fell towards 0."""
    trained = normal_weights(ticket.architecture, seed + 2)
    filled = rewind(ticket, pruned="initial_if_grown", trained=trained)
    for name, tensor in filled.readable().items():
        initial = ticket.rewind[name]
        if name not in ticket.masks:
            assert torch.equal(tensor, initial)
            continue
        for place in product(*(range(n) for n in tensor.shape)):
            has_fallen = abs(trained[name][place]) < abs(initial[place])
            is_empty = has_fallen and not ticket.masks[name][place]
            assert tensor[place] == (0 if is_empty else initial[place])
            assert filled.rewind[name][place] == tensor[place]


def test_what_was_decided_at_one_level_stays_at_the_next() -> None:
    """Weights cut before are 0 in `trained`, whatever fills their place; that is no falling.

    Four weights begin at 1. The first fell and the second grew before both were cut; at the next
    level the third, which grew, is cut: the fillings are 0, 1 and 1.
    """
    architecture = mlp((4,), 1, ())
    architecture = architecture.edit(widths={architecture.free_symbols[0]: 1})
    name = architecture.prunable[0]
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    ones = {n: torch.ones_like(t) for n, t in whole.weights.items()}
    ticket = replace(whole, weights=ones, rewind=ones)
    for trained, mask in (([0.5, 2, 2, 2], [0, 0, 1, 1]), ([0, 0, 3, 0.5], [0, 0, 0, 1])):
        weights = ones | {name: torch.tensor([trained], dtype=torch.float32)}
        masks = ticket.masks | {name: torch.tensor([mask], dtype=torch.bool)}
        cut = replace(ticket, weights=apply(weights, masks), masks=masks)
        ticket = rewind(cut, pruned="initial_if_grown", trained=weights)
    assert ticket.readable()[name].tolist() == [[0, 1, 1, 1]]
    assert ticket.weights[name].tolist() == [[0, 0, 0, 1]]


def test_what_grew_cannot_be_told_without_the_trained_weights() -> None:
    architecture = mlp((3,), 2, (3,))
    ticket = ticket_of(architecture, 0, {"fc1.weight": 4, "output.weight": 3})
    with pytest.raises(InputError, match="needs the weights before the cut: give trained"):
        rewind(ticket, pruned="initial_if_grown")
    larger = normal_weights(mlp((3,), 2, (4,)), 0)
    with pytest.raises(InputError, match=r"trained/fc1\.weight must have shape \(3, 3\), got"):
        rewind(ticket, pruned="initial_if_grown", trained=larger)


@given(tickets(), SEEDS, st.data())
def test_newborn_weights_rewind_to_the_step_after_their_birth(
    ticket: Ticket, seed: int, data: st.DataObject
) -> None:
    """Twin, entry by entry, over births drawn at random.

    A weight is newborn iff its birth says so; a unit of a layer iff all weights into it are; a bias
    with the unit of its layer; what a norm holds with the unit in every layer that feeds it.
    """
    architecture = ticket.architecture
    births = {
        n: (torch.rand(architecture.shape(n), generator=torch.Generator().manual_seed(seed)) < 0.5)
        for n in architecture.prunable
    }
    for born in births.values():  # whole units too, which chance alone would hardly make
        units = data.draw(st.lists(st.booleans(), min_size=len(born), max_size=len(born)))
        born[torch.tensor(units)] = True
    ticket = replace(ticket, births={n: 3 * born.to(torch.int16) for n, born in births.items()})
    kept = normal_weights(architecture, seed + 2)
    found = rewind_newborn(ticket, kept, 3)

    def is_newborn(layer: str, unit: int) -> bool:
        if f"{layer}.weight" in births:
            return bool(births[f"{layer}.weight"][unit].all())
        inputs = architecture.layers[layer].inputs
        if architecture.layers[layer].operation == "concat":
            joined = [(i, u) for i in inputs for u in range(architecture.shapes[i][0])]
            return is_newborn(*joined[unit])
        size = architecture.shapes[layer][0]
        return bool(inputs) and all(
            is_newborn(i, unit * architecture.shapes[i][0] // size) for i in inputs
        )

    for name, tensor in found.rewind.items():
        for place in product(*(range(n) for n in tensor.shape)):
            if name in births:
                is_new = bool(births[name][place] & ticket.masks[name][place])
            else:
                is_new = is_newborn(name.rpartition(".")[0], place[0])
            expected = kept[name] if is_new else ticket.rewind[name]
            assert tensor[place] == expected[place], (name, place)
    assert replace(found, rewind=ticket.rewind).digest == ticket.digest


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", ["mlp", "convnet", "resnet-20"])
@pytest.mark.parametrize("place", [0.0, 0.5, 0.99])
def test_all_that_a_growth_brings_is_newborn(operator: str, name: str, place: float) -> None:
    """Of a grown network the newborn are what has no ancestor, biases and norms of a block too.

    A block on a residual stream makes units of the old symbol, and is new all the same; so is a
    norm at its head, which reads old units.
    """
    shape = (4,) if name == "mlp" else (1, 8, 8)
    hidden = {"mlp": (3, 3), "convnet": (2, 3), "resnet-20": (2, 3, 4)}[name]
    before = ARCHITECTURES[name](shape, 2, hidden)
    if not PLACES[operator](before):
        with pytest.raises(InputError, match="nothing can grow here"):
            OPERATORS[operator](before, place=place, ratio=0.5, label="g1")
        return
    change = OPERATORS[operator](before, place=place, ratio=0.5, label="g1")
    after = change.after
    born = {n: torch.full(after.shape(n), 1, dtype=torch.int16) for n in after.prunable}
    old = seed_ticket(birth(before), torch.Generator(), "kaiming_normal")
    grown = replace(
        seed_ticket(birth(after), torch.Generator(), "kaiming_normal"),
        births=transplant(old.births, change, born),
    )
    values = {n: t + 7 for n, t in fresh(after, torch.Generator(), "kaiming_normal").items()}
    found = rewind_newborn(grown, values, 1, new_layers=change.new_layers)
    for tensor, is_old in inherited(change).items():
        expected = torch.where(is_old, grown.rewind[tensor], values[tensor])
        assert torch.equal(found.rewind[tensor], expected), tensor
    none = rewind_newborn(grown, values, 2)
    assert none.digest == grown.digest
