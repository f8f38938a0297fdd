"""Supermasks: what is frozen, what scores begin as, and which masks the forward reads of them."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, kept_counts, normal_weights
from test_grow import NETWORKS, lived_in

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import Weights
from recursive_lth.config import Supermask
from recursive_lth.errors import InputError
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.lens import Lens
from recursive_lth.training.supermask import (
    METHODS,
    SPREAD,
    first_scores,
    frozen,
    likely_masks,
    supermask_lens,
    top_masks,
)

CPU = torch.device("cpu")


def doubled(ticket: Ticket) -> Ticket:
    """The ticket in float64."""
    weights = {n: t.double() for n, t in ticket.weights.items()}
    return replace(ticket, weights=weights, rewind=weights)


def half_of(ticket: Ticket) -> dict[str, int]:
    """Half of what remains of each tensor, at least 1."""
    return {name: (count + 1) // 2 for name, count in masking.counts(ticket.masks).items()}


def lens_for(ticket: Ticket, method: str, keep: Mapping[str, int] | None = None) -> Lens:
    return supermask_lens(ticket, Supermask(method=method), keep or half_of(ticket), 7, CPU)


def rough_scores(ticket: Ticket, seed: int) -> Weights:
    """Live tensors whose scores take few values, so that most are equal to others."""
    values = normal_weights(ticket.architecture, seed)
    return {n: t.mul(1.5).round() if n in ticket.masks else t for n, t in values.items()}


def test_frozen_weights_are_as_born_or_signed_constants() -> None:
    """sign(w) times the deviation of all the layer's initial weights; the rest as it was."""
    ticket = lived_in(NETWORKS["convnet"], 0)
    assert frozen(ticket, Supermask(weights="as_born")) is ticket
    found = frozen(ticket, Supermask(weights="signed_constant"))
    assert all(torch.equal(found.masks[n], m) for n, m in ticket.masks.items())
    for name, born in ticket.rewind.items():
        if name not in ticket.masks:
            assert torch.equal(found.weights[name], born)
            continue
        mean = sum(born.flatten().tolist()) / born.numel()
        deviation = math.sqrt(sum((w - mean) ** 2 for w in born.flatten().tolist()) / born.numel())
        wanted = [math.copysign(deviation, w) for w in born.flatten().tolist()]
        assert found.rewind[name].flatten().tolist() == pytest.approx(wanted, rel=1e-5)
        assert torch.equal(found.weights[name], found.rewind[name] * ticket.masks[name])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network", NETWORKS)
def test_first_scores_stand_in_the_place_of_weights(network: str, method: str) -> None:
    """Edge-popup: uniform in +-1 / sqrt(fan_in); else small. By seed; 0 where nothing remains."""
    ticket = lived_in(NETWORKS[network], 0)
    settings = Supermask(method=method)
    found = first_scores(ticket, settings, seeds.generator(1, "scores"))
    again = first_scores(ticket, settings, seeds.generator(1, "scores"))
    other = first_scores(ticket, settings, seeds.generator(2, "scores"))
    assert found.digest == again.digest != other.digest
    for name, tensor in found.weights.items():
        if name not in ticket.masks:
            assert torch.equal(tensor, ticket.weights[name])
            continue
        kept = tensor[ticket.masks[name]]
        assert not tensor[~ticket.masks[name]].any()
        fan_in = math.prod(ticket.architecture.shape(name)[1:])
        bound = 1 / math.sqrt(fan_in) if method == "edge_popup" else 6 * SPREAD
        assert len(set(kept.tolist())) > 0.9 * len(kept)
        assert kept.abs().max() <= bound
        if len(kept) > 50:
            deviation = bound / math.sqrt(3) if method == "edge_popup" else SPREAD
            assert float(kept.std()) == pytest.approx(deviation, rel=0.3)


@given(architectures(), st.data(), SEEDS)
def test_edge_popup_reads_exactly_the_top_of_each_layer(
    architecture: Architecture, data: st.DataObject, seed: int
) -> None:
    """Twin: sort the remaining places by (|score|, index), keep the last of them.

    What the forward saw at the end is the mask that is found, bit by bit, ties or not.
    """
    ticket = doubled(lived_in(architecture, seed))
    left = data.draw(kept_counts(architecture))
    keep = {n: min(k, int(ticket.masks[n].sum())) for n, k in left.items()}
    live = rough_scores(ticket, seed)
    before = {n: t.clone() for n, t in live.items()}
    seen = lens_for(ticket, "edge_popup", keep).read(live, 3)
    found = top_masks(ticket, {n: live[n].abs() for n in keep}, keep)
    assert masking.is_nested(found, ticket.masks)
    for name, tensor in live.items():
        assert torch.equal(tensor, before[name])
        if name not in keep:
            assert seen[name] is tensor
            continue
        places = ticket.masks[name].flatten().nonzero().flatten().tolist()
        sizes = tensor.abs().flatten().tolist()
        places.sort(key=lambda place: (sizes[place], place))
        wanted = torch.zeros(tensor.numel(), dtype=torch.bool)
        wanted[places[len(places) - keep[name] :]] = True
        assert torch.equal(found[name].flatten(), wanted)
        assert torch.equal(seen[name], ticket.weights[name] * found[name])


def test_edge_popup_reads_the_same_at_every_step() -> None:
    ticket = lived_in(NETWORKS["mlp"], 0)
    lens, live = lens_for(ticket, "edge_popup"), rough_scores(ticket, 0)
    first, *others = (lens.read(live, step) for step in (None, 0, 1))
    assert all(torch.equal(first[n], other[n]) for other in others for n in first)


@pytest.mark.parametrize("method", ["bernoulli", "reinforce"])
def test_masks_are_drawn_by_step(method: str) -> None:
    """Each weight is kept sigmoid(score) of the time; a step has one mask, another step another.

    Over n steps the share has the deviation sqrt(p (1-p) / n); five of them are allowed.
    """
    ticket = lived_in(NETWORKS["mlp"], 0)
    lens = lens_for(ticket, method)
    live = {n: t.float() for n, t in normal_weights(ticket.architecture, 1).items()}
    steps = 400
    shares = {n: torch.zeros(m.shape) for n, m in ticket.masks.items()}
    for step in range(steps):
        seen = lens.read(live, step)
        for name, mask in ticket.masks.items():
            kept = seen[name] != 0
            assert not (kept & ~mask).any()
            assert torch.equal(seen[name], ticket.weights[name] * kept)
            shares[name] += kept / steps
    for name, mask in ticket.masks.items():
        chance = live[name].sigmoid()
        allowed = 5 * (chance * (1 - chance) / steps).sqrt()
        assert ((shares[name] - chance).abs() <= allowed)[mask].all()
    first, again, other = (lens.read(live, step)["fc1.weight"] for step in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("method", ["bernoulli", "reinforce"])
def test_the_likelier_mask_is_evaluated_and_found(method: str) -> None:
    ticket = lived_in(NETWORKS["mlp"], 0)
    live = normal_weights(ticket.architecture, 1)
    seen, found = lens_for(ticket, method).read(live, None), likely_masks(ticket, live)
    for name, mask in ticket.masks.items():
        assert torch.equal(found[name], mask & (live[name].sigmoid() > 0.5))
        assert torch.equal(seen[name], ticket.weights[name] * found[name])


@pytest.mark.parametrize("count", [-1, 1000, None])
def test_impossible_counts_are_refused(count: int | None) -> None:
    ticket = lived_in(NETWORKS["mlp"], 0)
    keep = half_of(ticket) | ({} if count is None else {"fc1.weight": count})
    if count is None:
        del keep["fc1.weight"]
    with pytest.raises(InputError, match=rf"keeps 0 to \d+ weights of fc1.weight, got {count}"):
        lens_for(ticket, "edge_popup", keep)


def test_an_unknown_method_is_refused() -> None:
    ticket = lived_in(NETWORKS["mlp"], 0)
    settings = replace(Supermask(), method="")
    with pytest.raises(InputError, match="supermask method"):
        supermask_lens(ticket, settings, half_of(ticket), 0, CPU)
