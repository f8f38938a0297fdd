"""Controls: one battery over all of them; what each changes, and that it changes nothing else."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights
from torch import Generator

from recursive_lth.architecture.basis import BASES
from recursive_lth.architecture.cost import cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning import controls
from recursive_lth.pruning.controls import (
    CONTROLS,
    RESHAPED,
    control,
    scaled_to,
    steps_at_equal_cost,
)
from recursive_lth.ticket.masks import apply, counts, dense
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

MASKED = sorted(CONTROLS.keys() - RESHAPED)


def draw(architecture: Architecture, generator: Generator) -> Weights:
    """Fresh float64 values, biases and norms too, so that what is drawn shows everywhere."""
    return normal_weights(architecture, int(torch.randint(2**31, (1,), generator=generator)))


def ready(architecture: Architecture, seed: int, kept: dict[str, int]) -> Ticket:
    """A ticket that is ready to train: masked rewind values, all of them different."""
    masks, values = exact_masks(architecture, kept, seed), normal_weights(architecture, seed + 1)
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    return replace(whole, weights=apply(values, masks), rewind=values, masks=masks)


@st.composite
def tickets(sample: st.DrawFn, *, is_filled: bool = False) -> Ticket:
    """Tickets with a layer in which something can be rearranged: two weights left of three."""
    architecture = sample(architectures())
    kept = sample(kept_counts(architecture))
    sizes = counts(dense(architecture))
    assume(any(2 <= n < sizes[name] for name, n in kept.items()))
    return replace(ready(architecture, sample(SEEDS), kept), is_filled=is_filled)


def generator_of(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("is_filled", [False, True])
@given(data=st.data(), seed=SEEDS)
def test_every_control_is_one(name: str, is_filled: bool, data: st.DataObject, seed: int) -> None:
    """It differs from its ticket, is ready to train, is drawn the same again, and names both.

    The masked ones keep the number of weights of every layer. The ticket is left alone.
    """
    ticket = data.draw(tickets(is_filled=is_filled))
    digest = ticket.digest
    found = control(name, ticket, draw, generator_of(seed))
    assert found.digest != digest == replace(ticket).digest
    assert (found.parent, found.provenance) == (digest, {"control": name})
    ready_again = apply(found.rewind, found.masks)
    assert all(torch.equal(tensor, ready_again[n]) for n, tensor in found.weights.items())
    assert control(name, ticket, draw, generator_of(seed)).digest == found.digest
    if name in RESHAPED:
        assert found.cost.density == 1
        assert not found.is_filled
    else:
        assert found.architecture == ticket.architecture
        assert counts(found.masks) == counts(ticket.masks)
        assert all(torch.equal(found.births[n], b) for n, b in ticket.births.items())
        assert found.is_filled == is_filled
    if name != "shuffled_mask" and name not in RESHAPED:
        assert all(torch.equal(found.masks[n], mask) for n, mask in ticket.masks.items())
    if name not in {"reinit", "small_dense"}:  # which draw every tensor anew
        unweighted = found.weights.keys() - found.masks.keys()
        assert all(torch.equal(found.weights[n], ticket.weights[n]) for n in unweighted)


@given(tickets(), SEEDS)
def test_reinit_takes_what_is_drawn_and_nothing_else(ticket: Ticket, seed: int) -> None:
    found = control("reinit", ticket, draw, generator_of(seed))
    drawn = draw(ticket.architecture, generator_of(seed))
    assert all(torch.equal(found.rewind[n], tensor) for n, tensor in drawn.items())


@given(tickets(), SEEDS)
def test_a_shuffled_mask_moves_in_every_layer_that_can(ticket: Ticket, seed: int) -> None:
    """A layer that keeps none or all of its weights has one arrangement only."""
    found = control("shuffled_mask", ticket, draw, generator_of(seed))
    for name, mask in ticket.masks.items():
        can_move = 0 < int(mask.sum()) < mask.numel()
        assert torch.equal(found.masks[name], mask) != can_move
        assert torch.equal(found.weights[name], ticket.rewind[name] * found.masks[name])


def test_every_other_arrangement_of_a_mask_is_as_likely() -> None:
    """One of three places: two other arrangements, each in half of the draws, +-5 deviations."""
    ticket = ready(mlp((3,), 2, (1,)), 0, {"fc1.weight": 1, "output.weight": 2})
    generator, seen = generator_of(0), Counter[int]()
    for _ in range(400):
        found = control("shuffled_mask", ticket, draw, generator)
        seen[int(found.masks["fc1.weight"].flatten().int().argmax())] += 1
    assert len(seen) == 2
    assert all(abs(n - 200) < 5 * 10 for n in seen.values())


@given(tickets(), SEEDS)
def test_shuffled_weights_are_the_same_weights_elsewhere(ticket: Ticket, seed: int) -> None:
    """Of distinct weights at least two change places wherever there are two."""
    found = control("shuffled_weights", ticket, draw, generator_of(seed))
    for name, mask in ticket.masks.items():
        before, after = ticket.weights[name][mask], found.weights[name][mask]
        assert sorted(before.tolist()) == sorted(after.tolist())
        assert torch.equal(before, after) == (len(before) < 2)
        assert torch.equal(found.rewind[name][~mask], ticket.rewind[name][~mask])


@given(tickets())
def test_signs_are_all_that_the_sign_control_keeps(ticket: Ticket) -> None:
    """Within a layer all sizes are one, and every sign is the ticket's; in one place it is 0.

    A layer of a single weight has no deviation.
    """
    found = control("signs", ticket, draw, torch.Generator())
    for name, mask in ticket.masks.items():
        before, after = ticket.weights[name][mask], found.weights[name][mask]
        assert len(set(after.abs().tolist())) <= 1
        assert torch.equal(after.sign(), before.sign() * (mask.numel() > 1))


@given(tickets())
def test_dense_uncovers_the_initial_network(ticket: Ticket) -> None:
    found = control("dense", ticket, draw, torch.Generator())
    assert all(torch.equal(tensor, ticket.rewind[n]) for n, tensor in found.weights.items())
    assert counts(found.masks) == counts(dense(ticket.architecture))


@given(tickets(is_filled=True), SEEDS)
def test_what_is_filled_with_zero_stays_zero(ticket: Ticket, seed: int) -> None:
    """Else a new draw would differ from its ticket in what it freezes as well."""
    empty = {
        n: ~m & (torch.rand(m.shape, generator=generator_of(seed)) < 0.5)
        for n, m in ticket.masks.items()
    }
    rewound = {n: t.masked_fill(empty[n], 0) if n in empty else t for n, t in ticket.rewind.items()}
    found = control("reinit", replace(ticket, rewind=rewound), draw, generator_of(seed))
    for name, weights in found.readable().items():
        if name in empty:
            assert torch.equal(weights == 0, empty[name])


@given(architectures(), st.integers(0, 120), st.integers(-1, 1))
def test_a_small_dense_network_is_the_largest_that_fits(
    architecture: Architecture, size: int, more: int
) -> None:
    """Twin: go through every factor k / 120 from above; widths are at most 4, so none is missed.

    What may be spent is what one of them costs, or one more or less. The depth stays, and where not
    even widths of 1 fit, they are 1.
    """
    free = architecture.free_symbols

    def at(factor: Fraction) -> Architecture:
        widths = {s: max(1, int(architecture.widths[s] * factor)) for s in free}
        return architecture.edit(widths=widths)

    sizes = [at(Fraction(k, 120)) for k in range(120, -1, -1)]
    costs = [cost(each).multiply_adds for each in sizes]
    fitting = [s for s, n in zip(sizes, costs, strict=True) if n <= costs[size] + more]
    found = scaled_to(architecture, costs[size] + more)
    assert found == (fitting[0] if fitting else sizes[-1])
    assert found.depth == architecture.depth


@pytest.mark.parametrize("name", ["mlp", "lenet-300-100", "conv-2", "convnet", "resnet-20"])
@pytest.mark.parametrize("density", [0.9, 0.3, 0.036])
def test_real_networks_shrink_to_what_is_left(name: str, density: float) -> None:
    """The largest width of the next larger network would already cost too much."""
    architecture = ARCHITECTURES[name]((3, 16, 16), 10, ())
    left = round(cost(architecture).multiply_adds * density)
    found = scaled_to(architecture, left)
    assert cost(found).multiply_adds <= left
    assert set(found.layers) == set(architecture.layers)
    factors = {
        Fraction(found.widths[s] + 1, architecture.widths[s]) for s in architecture.free_symbols
    }
    larger = {
        s: max(1, int(architecture.widths[s] * min(factors))) for s in architecture.free_symbols
    }
    assert cost(architecture.edit(widths=larger)).multiply_adds > left


@given(tickets(), SEEDS, st.integers(1, 1000))
def test_steps_at_equal_cost_are_as_near_as_can_be(ticket: Ticket, seed: int, steps: int) -> None:
    """One step more or fewer would be no nearer; controls with the ticket's counts take as many."""
    for name in CONTROLS:
        rival = control(name, ticket, draw, generator_of(seed))
        yours, own = rival.cost.remaining_multiply_adds, ticket.cost.remaining_multiply_adds
        found = steps_at_equal_cost(ticket, rival, steps)
        gap = abs(found * yours - steps * own)
        assert found >= 1
        assert gap <= abs((found + 1) * yours - steps * own)
        assert found == 1 or gap <= abs((found - 1) * yours - steps * own)
        if name in MASKED:
            assert found == steps or own == 0


@pytest.mark.parametrize("name", MASKED)
def test_in_a_basis_a_control_arranges_coefficients(name: str) -> None:
    """There masks and counts are of coefficients; the network runs on what they decode to."""
    architecture = mlp((4,), 3, (5,))
    plain = ready(architecture, 0, {"fc1.weight": 9, "output.weight": 7})
    ticket = replace(plain, basis="dct")
    found = control(name, ticket, draw, generator_of(0))
    assert found.basis == "dct"
    decoded = BASES["dct"].decode(found.weights["fc1.weight"])
    assert torch.allclose(found.readable()["fc1.weight"], decoded)
    assert counts(found.masks) == counts(ticket.masks)


@pytest.mark.parametrize("name", ["dense", "shuffled_mask"])
def test_a_control_that_cannot_differ_is_an_error(name: str) -> None:
    """Of a dense network nothing is hidden, and its mask has no other arrangement."""
    architecture = mlp((3,), 2, (3,))
    ticket = ready(architecture, 0, counts(dense(architecture)))
    with pytest.raises(InputError, match=f"control {name} does not differ from the ticket"):
        control(name, ticket, draw, torch.Generator())
    with pytest.raises(InputError, match="control 'shufled_mask'"):
        control("shufled_mask", ticket, draw, torch.Generator())


def test_controls_that_do_not_do_what_they_say_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traps others fell into: a shuffle that shuffles nothing, and one that loses weights."""
    ticket = ready(mlp((3,), 2, (3,)), 0, {"fc1.weight": 4, "output.weight": 3})

    def lazy(ticket: Ticket, draw: controls.Draw, generator: Generator) -> Ticket:
        return ticket

    def careless(ticket: Ticket, draw: controls.Draw, generator: Generator) -> Ticket:
        masks = {n: torch.zeros_like(mask) for n, mask in ticket.masks.items()}
        return replace(ticket, masks=masks, weights=apply(ticket.weights, masks))

    run = partial(control, ticket=ticket, draw=draw, generator=torch.Generator())
    for made, name, told in (
        (lazy, "shuffled_mask", r"must move fc1\.weight's mask"),
        (lazy, "shuffled_weights", "does not differ from the ticket"),
        (careless, "reinit", r"must keep 4 weights of fc1\.weight"),
        (CONTROLS["shuffled_mask"], "signs", r"must not move fc1\.weight's mask"),
    ):
        monkeypatch.setattr(controls, "CONTROLS", {name: made})
        with pytest.raises(InputError, match=told):
            run(name)


def test_fresh_values_are_those_of_a_first_birth() -> None:
    """With the library's own drawing: weights anew, biases 0, norms the identity."""
    architecture = ARCHITECTURES["convnet"]((1, 8, 8), 2, (3, 4))
    kept = {n: size // 2 for n, size in counts(dense(architecture)).items()}
    ticket = ready(architecture, 0, kept)
    found = control("reinit", ticket, partial(fresh, scheme="kaiming_normal"), generator_of(0))
    assert found.weights["conv1_norm.weight"].tolist() == [1, 1, 1]
    assert found.weights["conv1_norm.running_mean"].tolist() == [0, 0, 0]
    assert found.weights["output.bias"].tolist() == [0, 0]
