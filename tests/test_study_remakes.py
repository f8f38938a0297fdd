"""Remakes: what each exchanges in a ticket that has been trained, and what it leaves alone."""

from dataclasses import replace

import pytest
import torch
from studies import sparse_ticket

from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.study.remakes import KINDS, remake
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket

SCHEME = "kaiming_normal"
TICKET = sparse_ticket(is_deepened=True)
SAME_MASKS = ("reinit", "shuffled_weights", "signs", "rescaled", "reinit_keep_skeleton",
              "noise_skeleton")  # fmt: skip
SAME_SHAPE = (*SAME_MASKS, "shuffled_mask", "dense")


def draws(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def remade(kind: str, ticket: Ticket = TICKET, number: int = 0) -> Ticket:
    return remake(kind, ticket, draws(number), SCHEME)


def kept(ticket: Ticket, name: str) -> torch.Tensor:
    """A layer's remaining weights."""
    return ticket.weights[name][ticket.masks[name]]


def test_all_kinds_are_tried_here() -> None:
    assert set(KINDS) == {*SAME_SHAPE, "small_dense"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_remake_differs_and_says_from_what(kind: str) -> None:
    """The same draws give the same, the ticket itself is left alone."""
    before = TICKET.digest
    found = remade(kind)
    assert found.digest == remade(kind).digest
    assert found.parent == before == TICKET.digest
    assert any(
        found.weights[n].shape != TICKET.weights[n].shape
        or not torch.equal(found.weights[n], TICKET.weights[n])
        or not torch.equal(found.masks[n], TICKET.masks[n])
        for n in TICKET.masks
    )


@pytest.mark.parametrize("kind", SAME_SHAPE)
def test_the_shape_and_the_rewind_values_stay(kind: str) -> None:
    found = remade(kind)
    assert found.architecture == TICKET.architecture
    for name, value in TICKET.rewind.items():
        torch.testing.assert_close(found.rewind[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("kind", SAME_MASKS)
def test_the_masks_stay(kind: str) -> None:
    found = remade(kind)
    for name, mask in TICKET.masks.items():
        assert torch.equal(found.masks[name], mask)
        assert torch.equal(found.births[name], TICKET.births[name])
        assert not found.weights[name][~mask].any()


@pytest.mark.parametrize(
    "kind", ["shuffled_mask", "shuffled_weights", "signs", "rescaled", "noise_skeleton", "dense"]
)
def test_biases_stay(kind: str) -> None:
    found = remade(kind)
    for name in set(TICKET.weights) - set(TICKET.masks):
        assert TICKET.weights[name].any()
        assert torch.equal(found.weights[name], TICKET.weights[name])


def test_reinit_has_fresh_values_everywhere() -> None:
    """Those of one initialisation, under the mask; biases are 0 as at birth."""
    found, values = remade("reinit"), fresh(TICKET.architecture, draws(), SCHEME)
    wanted = masking.apply(values, TICKET.masks)
    assert all(torch.equal(found.weights[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("kind", ["shuffled_mask", "shuffled_weights"])
def test_shuffling_keeps_the_same_numbers_in_each_layer(kind: str) -> None:
    """Sorted, the remaining weights are those that they were: none is lost, none becomes 0."""
    found = remade(kind)
    for name, mask in TICKET.masks.items():
        assert int(found.masks[name].sum()) == int(mask.sum())
        assert torch.equal(kept(found, name).sort()[0], kept(TICKET, name).sort()[0])
        assert not torch.equal(found.weights[name], TICKET.weights[name])


def test_a_shuffled_mask_takes_births_and_skeleton_along() -> None:
    """Each weight keeps its birth and its bone: as triples they are the same in each layer."""
    found = remade("shuffled_mask")
    assert found.skeleton.keys() == TICKET.skeleton.keys() != set()
    for name, mask in TICKET.masks.items():
        assert torch.equal(found.masks[name], mask) == bool(mask.all())

        def triples(ticket: Ticket, layer: str = name) -> list[tuple[float, int, bool]]:
            bones = ticket.skeleton.get(layer, torch.zeros_like(ticket.masks[layer]))
            columns = (ticket.weights[layer], ticket.births[layer], bones)
            return sorted(zip(*(c.flatten().tolist() for c in columns), strict=True))

        assert triples(found) == triples(TICKET)


def test_signs_keep_signs_and_norms_alone() -> None:
    """One size a layer, so that the layer stays as long: n r^2 = sum of squares."""
    found = remade("signs")
    for name in TICKET.masks:
        assert torch.equal(kept(found, name).sign(), kept(TICKET, name).sign())
        sizes = kept(found, name).abs()
        torch.testing.assert_close(sizes, sizes.mean().expand_as(sizes))
        torch.testing.assert_close(kept(found, name).norm(), kept(TICKET, name).norm())


def test_rescaled_keeps_directions_and_takes_the_norms_of_fresh_ones() -> None:
    """Under the same mask: cosine 1 with what was inherited, the norm that of `fresh`."""
    found, values = remade("rescaled"), fresh(TICKET.architecture, draws(), SCHEME)
    for name, mask in TICKET.masks.items():
        ours, old = found.weights[name].double(), TICKET.weights[name].double()
        cosine = (ours * old).sum() / (ours.norm() * old.norm())
        assert float(cosine) == pytest.approx(1, abs=1e-6)
        assert float(ours.norm()) == pytest.approx(float((values[name] * mask).norm()), rel=1e-5)


@pytest.mark.parametrize("kind", ["rescaled", "signs"])
def test_a_layer_without_weights_stays_so(kind: str) -> None:
    name = next(iter(TICKET.masks))
    empty = {**TICKET.masks, name: torch.zeros_like(TICKET.masks[name])}
    ticket = replace(TICKET, masks=empty, weights=masking.apply(TICKET.weights, empty))
    assert not remade(kind, ticket).weights[name].any()


def test_the_diagonal_control_and_its_counterpart_are_complements() -> None:
    """One keeps the bones that growth put in and nothing else, the other all but these."""
    bare, fleshless = remade("reinit_keep_skeleton"), remade("noise_skeleton")
    values = fresh(TICKET.architecture, draws(), SCHEME)
    bones = {n: b & TICKET.masks[n] for n, b in TICKET.skeleton.items()}
    assert sum(int(b.sum()) for b in bones.values()) >= 6  # a bone for each unit of the new layer
    for name, mask in TICKET.masks.items():
        bone = bones.get(name, torch.zeros_like(mask))
        old, new = TICKET.weights[name], values[name]
        assert torch.equal(bare.weights[name][bone], old[bone])
        assert torch.equal(bare.weights[name][mask & ~bone], new[mask & ~bone])
        assert torch.equal(fleshless.weights[name][bone], new[bone])
        assert torch.equal(fleshless.weights[name][mask & ~bone], old[mask & ~bone])
    assert torch.equal(bare.weights["fc1.bias"], values["fc1.bias"])


def test_dense_brings_back_what_was_cut_as_zeros() -> None:
    found = remade("dense")
    for name, mask in TICKET.masks.items():
        assert bool(found.masks[name].all())
        assert torch.equal(found.weights[name], TICKET.weights[name])
        assert not found.weights[name][~mask].any()


def test_small_dense_costs_no_more() -> None:
    found = remade("small_dense")
    assert found.cost.multiply_adds <= TICKET.cost.remaining_multiply_adds
    assert found.architecture.depth == TICKET.architecture.depth
    assert found.cost.density == 1


@pytest.mark.parametrize(
    ("kind", "ticket", "why"),
    [
        ("shuffled_mask", sparse_ticket(density=1.1), "needs a pruned ticket"),
        ("dense", sparse_ticket(density=1.1), "does not differ"),
        ("noise_skeleton", sparse_ticket(), "has no skeleton"),
        ("reinit_keep_skeleton", sparse_ticket(), "has no skeleton"),
        ("rinit", sparse_ticket(), "unknown remake 'rinit': did you mean 'reinit'"),
        ("rescaled", remade("reinit"), "changes nothing here"),  # with the draws it is made of
    ],
)
def test_a_control_that_would_change_nothing_is_refused(
    kind: str, ticket: Ticket, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        remade(kind, ticket)
