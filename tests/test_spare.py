"""Sparing grown weights: the young and the identity skeleton are pruned after all others."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import NO_EVIDENCE, SEEDS, architectures, random_samples
from test_grow import NETWORKS, lived_in

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import GrowthStep, Pruning
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import grow
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.scores import SCORES
from recursive_lth.pruning.spare import spared, sparing
from recursive_lth.pruning.units import remove_units
from recursive_lth.ticket.ticket import Ticket, load_ticket


def grown(generation: int = 3, operator: str = "deepen") -> Ticket:
    ticket = lived_in(NETWORKS["mlp"], 1)
    step = GrowthStep(operator, 0.5, 1.0)
    batch = random_samples(ticket.architecture, 8, 0)
    return grow(ticket, step, batch, generation=generation, generator=seeds.generator(0)).ticket


@pytest.mark.parametrize(("quarantine", "generation", "is_safe"), [
    (1, 3, True), (1, 4, False), (2, 4, True), (2, 5, False), (0, 3, False),
])  # fmt: skip
def test_the_young_are_pruned_after_all_others(
    quarantine: int, generation: int, is_safe: bool
) -> None:
    """Born in generation 3: safe in 3 to 3 + n - 1 while older weights remain."""
    ticket = grown()
    pruning = Pruning(quarantine=quarantine, target_density=0.0, rounds=1, rate=0.3, layer_floor=0)
    found = cut(ticket, pruning, NO_EVIDENCE, start=ticket.architecture, done=0,
                generation=generation)  # fmt: skip
    assert found is not None
    young = {n: (born == 3) & ticket.masks[n] for n, born in ticket.births.items()}
    lost = sum(int((young[n] & ~found.ticket.masks[n]).sum()) for n in young)
    assert (lost == 0) == is_safe
    whole = ticket.cost.remaining_weights
    assert found.ticket.cost.remaining_weights == whole - round(0.3 * whole)


def test_when_all_others_are_gone_the_young_go_too_weakest_first() -> None:
    ticket = grown()
    pruning = Pruning(quarantine=1, target_density=0.05, schedule="one_shot", layer_floor=0)
    found = cut(ticket, pruning, NO_EVIDENCE, start=ticket.architecture, done=0, generation=3)
    assert found is not None
    for name, born in ticket.births.items():
        assert not bool((found.ticket.masks[name] & (born != 3)).any())
    sizes = {
        kept: torch.cat([
            ticket.weights[n][ticket.masks[n] & (b == 3) & (found.ticket.masks[n] == kept)].abs()
            for n, b in ticket.births.items()
        ])
        for kept in (True, False)
    }  # fmt: skip
    assert len(sizes[False])
    assert float(sizes[True].min()) >= float(sizes[False].max())


def test_the_identity_can_be_spared() -> None:
    """Its ones are named by the ticket, survive growth, removal of units and the ticket's file."""
    ticket = grown()
    bones = ticket.skeleton["g3.weight"]
    assert torch.equal(bones, torch.eye(len(bones), dtype=torch.bool))
    weights = {**ticket.weights, "g3.weight": ticket.weights["g3.weight"] * 1e-3}
    weak = replace(ticket, weights=weights)
    for is_spared in (False, True):
        pruning = Pruning(spare_skeleton=is_spared, target_density=0.3, schedule="one_shot")
        found = cut(weak, pruning, NO_EVIDENCE, start=weak.architecture, done=0, generation=9)
        assert found is not None
        assert bool((found.ticket.masks["g3.weight"] >= bones).all()) == is_spared
    again = grow(ticket, GrowthStep("widen", 0.5, 1.0), random_samples(ticket.architecture, 4, 0),
                 generation=4, generator=seeds.generator(1)).ticket  # fmt: skip
    assert int(again.skeleton["g3.weight"].sum()) == len(bones)
    smaller, _ = remove_units(again, {"g3": torch.tensor([0, 2, 3])})
    assert int(smaller.skeleton["g3.weight"].sum()) == 3


def test_the_skeleton_is_saved(tmp_path: Path) -> None:
    ticket = grown()
    loaded = load_ticket(ticket.save(tmp_path / "one.safetensors"))
    assert torch.equal(loaded.skeleton["g3.weight"], ticket.skeleton["g3.weight"])
    assert loaded.digest == ticket.digest
    with pytest.raises(InputError, match=r"skeleton/output\.bias must be a bool"):
        replace(ticket, skeleton={"output.bias": torch.ones(4, dtype=torch.bool)})


@given(architectures(), SEEDS, st.floats(0, 1))
def test_ranks_keep_the_order_of_scores(
    architecture: Architecture, seed: int, share: float
) -> None:
    """Twin: sort all places by (spared, score, place), and number them."""
    ticket = lived_in(architecture, seed)
    draw = torch.Generator().manual_seed(seed)
    places = {n: torch.rand(m.shape, generator=draw) < share for n, m in ticket.masks.items()}
    ranked = sparing(SCORES["magnitude"], places)(ticket, NO_EVIDENCE)
    scores = SCORES["magnitude"](ticket, NO_EVIDENCE)
    entries = []
    for order, name in enumerate(scores):
        cells = zip(places[name].flatten(), scores[name].flatten(), ranked[name].flatten(),
                    strict=True)  # fmt: skip
        entries += [
            ((bool(safe), float(value), order, i), float(rank))
            for i, (safe, value, rank) in enumerate(cells)
        ]
    if any(bool(p.any()) for p in places.values()):
        by_rank = sorted(entries, key=lambda entry: entry[1])
        assert [key for key, _ in by_rank] == sorted(key for key, _ in entries)


def test_units_cannot_be_spared_weight_by_weight() -> None:
    with pytest.raises(InputError, match="spare single weights"):
        Pruning(granularity="unit", quarantine=1)


def test_the_start_network_is_never_young() -> None:
    ticket = lived_in(NETWORKS["mlp"], 1)
    safe = spared(ticket, Pruning(quarantine=9), 1)
    assert not any(bool(place.any()) for place in safe.values())
