"""Readings: what the forward sees of a ticket that is filled, or held in another basis."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, normal_weights, random_batch
from test_grow import NETWORKS, lived_in
from torch import Tensor

from recursive_lth.architecture.basis import BASES
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.errors import InputError
from recursive_lth.ticket.reading import make_reading
from recursive_lth.ticket.ticket import Ticket, load_ticket
from recursive_lth.training.lens import lens_of

KINDS = [(basis, is_filled) for basis in sorted(BASES) for is_filled in (False, True)]


def in_double(ticket: Ticket, basis: str, *, is_filled: bool) -> Ticket:
    """The ticket with float64 values: of a basis, and filled or not."""
    weights = {n: t.double() for n, t in ticket.weights.items()}
    rewind = {n: t.double() for n, t in ticket.rewind.items()}
    return replace(ticket, weights=weights, rewind=rewind, basis=basis, is_filled=is_filled)


@given(architectures(), SEEDS, st.sampled_from(KINDS))
def test_the_forward_sees_the_decoded_whole(
    architecture: Architecture, seed: int, kind: tuple[str, bool]
) -> None:
    """Entry by entry: the live value where it remains, else 0 or the rewind value; then decoded."""
    ticket = in_double(lived_in(architecture, seed), kind[0], is_filled=kind[1])
    live = normal_weights(architecture, seed + 1)
    live |= {n: live[n] * mask for n, mask in ticket.masks.items()}
    before = {n: t.clone() for n, t in live.items()}
    found = ticket.reading()(live)
    assert found is not live
    assert found.keys() == live.keys()
    for name, tensor in live.items():
        assert torch.equal(tensor, before[name]), "it changes nothing it is given"
        if name not in ticket.masks:
            assert found[name] is tensor
            continue
        away = ticket.rewind[name] if kind[1] else torch.zeros_like(tensor)
        whole = torch.where(ticket.masks[name], tensor, away)
        torch.testing.assert_close(
            found[name], BASES[kind[0]].decode(whole), rtol=1e-12, atol=1e-12
        )


def test_a_plain_ticket_is_read_as_it_stands() -> None:
    ticket = lived_in(NETWORKS["resnet-20"], 0)
    found = ticket.reading()(ticket.weights)
    assert ticket.is_plain
    assert all(found[name] is tensor for name, tensor in ticket.weights.items())


@pytest.mark.parametrize(("basis", "is_filled"), KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_weights_encoded(name: str, basis: str, is_filled: bool) -> None:
    """w = D(c + fill), so dL/dc = D^T dL/dw, and D^T is E where the basis is orthonormal."""
    ticket = in_double(lived_in(NETWORKS[name], 3), basis, is_filled=is_filled)
    live = {n: t.clone().requires_grad_(n in ticket.masks) for n, t in ticket.weights.items()}
    seen = {n: t.clone().requires_grad_(n in ticket.masks) for n, t in ticket.readable().items()}
    names = list(ticket.masks)
    inside = slopes(ticket.architecture, ticket.reading()(live), [live[n] for n in names])
    outside = slopes(ticket.architecture, seen, [seen[n] for n in names])
    for found, slope in zip(inside, outside, strict=True):
        torch.testing.assert_close(found, BASES[basis].encode(slope), rtol=1e-9, atol=1e-12)


def slopes(
    architecture: Architecture, weights: Mapping[str, Tensor], by: list[Tensor]
) -> tuple[Tensor, ...]:
    """Gradients of a training batch's loss."""
    logits, _ = network(architecture)(weights, random_batch(architecture, 6, 1), training=True)
    loss = F.cross_entropy(logits, torch.arange(6) % architecture.classes)
    return torch.autograd.grad(loss, by)


@pytest.mark.parametrize(("basis", "is_filled"), KINDS)
def test_a_module_and_a_file_read_the_same(basis: str, is_filled: bool, tmp_path: Any) -> None:
    """Saved and loaded, exported or run through the lens of training: the same logits."""
    ticket = replace(lived_in(NETWORKS["convnet"], 0), basis=basis, is_filled=is_filled)
    again = load_ticket(ticket.save(tmp_path / "a.safetensors"))
    assert (again.basis, again.is_filled, again.digest) == (basis, is_filled, ticket.digest)
    images = random_batch(ticket.architecture, 3, 0).float()
    wanted, _ = network(ticket.architecture)(ticket.readable(), images)
    lens = lens_of(again, torch.device("cpu"))
    assert lens.trainable == ticket.architecture.trainable
    found, _ = network(ticket.architecture)(lens.read(again.weights, 0), images)
    assert torch.equal(found, wanted)
    torch.testing.assert_close(again.module().eval()(images), wanted, rtol=1e-4, atol=1e-5)


def test_tickets_that_read_differently_have_other_digests() -> None:
    ticket = lived_in(NETWORKS["mlp"], 0)
    kinds = [replace(ticket, basis=basis, is_filled=filled).digest for basis, filled in KINDS]
    assert len(set(kinds)) == len(KINDS)


def test_an_unknown_basis_is_an_error() -> None:
    with pytest.raises(InputError, match=r"basis .*'dcts'.* did you mean 'dct'"):
        make_reading("dcts", {}, [])
