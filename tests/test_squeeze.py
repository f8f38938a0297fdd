"""Squeezing undoes every growth that adds something, bit for bit; compounds are one growth."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, random_samples
from test_grow import NETWORKS, lived_in

from recursive_lth import seeds
from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.compound import grow_any
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.operators import COMPOUNDS, OPERATORS, PLACES
from recursive_lth.growth.squeeze import squeeze
from recursive_lth.pruning.units import remove_units
from recursive_lth.ticket.ticket import Ticket

ADDING = sorted({*OPERATORS} - {"rewire"})  # re-wiring adds no unit and no layer: pruning undoes it


def grown(ticket: Ticket, operator: str, place: float = 0.4, mask: str = "dense") -> Sprout:
    step = GrowthStep(operator, place, 0.7, mask=mask)
    batch = random_samples(ticket.architecture, 8, 0)
    return grow_any(ticket, step, batch, generation=3, generator=seeds.generator(0, "birth"))


def assert_same(one: Ticket, other: Ticket) -> None:
    """The same structure, and every tensor bit for bit."""
    assert one.architecture == other.architecture
    for group in ("weights", "rewind", "masks", "births"):
        here, there = getattr(one, group), getattr(other, group)
        assert here.keys() == there.keys()
        assert all(torch.equal(here[name], there[name]) for name in here), group


@pytest.mark.parametrize("operator", ADDING)
@pytest.mark.parametrize("network", NETWORKS)
def test_squeezing_undoes_a_growth(network: str, operator: str) -> None:
    """At every place: the parts of a split weight add up to it, all else comes back as it was."""
    ticket = lived_in(NETWORKS[network], 1)
    places = len(PLACES[operator](ticket.architecture))
    for i in range(0, places, max(1, places // 3)):
        sprout = grown(ticket, operator, (i + 0.5) / places)
        assert_same(squeeze(sprout.ticket, sprout.morph), ticket)


@given(architectures(), st.sampled_from(ADDING), SEEDS)
def test_squeezing_undoes_growths_of_random_networks(
    architecture: object, operator: str, seed: int
) -> None:
    ticket = lived_in(architecture, seed)  # type: ignore[arg-type]
    if PLACES[operator](ticket.architecture):
        sprout = grown(ticket, operator, 0.5, "parent_density")
        assert_same(squeeze(sprout.ticket, sprout.morph), ticket)


def test_what_was_removed_cannot_be_brought_back() -> None:
    ticket = lived_in(NETWORKS["mlp"], 1)
    smaller, change = remove_units(ticket, {"fc1": torch.tensor([0, 2])})
    with pytest.raises(InputError, match="has removed units"):
        squeeze(smaller, change)
    with pytest.raises(InputError, match="not of the shape"):
        squeeze(ticket, change)


@pytest.mark.parametrize("operator", COMPOUNDS)
def test_a_compound_is_its_parts_one_after_the_other(operator: str) -> None:
    """One morph from beginning to end; exact, since every part is; undone at once."""
    ticket = lived_in(NETWORKS["resnet-20"], 1)
    sprout = grown(ticket, operator)
    assert sprout.morph.before == ticket.architecture
    assert sprout.morph.after == sprout.ticket.architecture
    assert sprout.ticket.parent == ticket.digest
    assert sprout.step.operator == sprout.certificate.operator == operator
    assert sprout.certificate.claims_exact
    assert max(sprout.certificate.eval, sprout.certificate.train) <= 1e-10
    assert sprout.morph.new_layers
    first = grown(ticket, COMPOUNDS[operator][0]).ticket.architecture.widths
    assert sum(sprout.ticket.architecture.widths.values()) > sum(first.values())
    assert_same(squeeze(sprout.ticket, sprout.morph), ticket)


def test_a_compound_with_a_part_that_changes_the_function_claims_nothing() -> None:
    ticket = lived_in(NETWORKS["convnet"], 1)
    batch = random_samples(ticket.architecture, 8, 0)
    step = GrowthStep("deepen_widen", 0.4, 0.7, "kaiming")
    draw = seeds.generator(0, "birth")
    sprout = grow_any(ticket, step, batch, generation=3, generator=draw)
    assert not sprout.certificate.claims_exact
    assert "kaiming" in sprout.certificate.reason
    paid = grow_any(ticket, replace(step, initialisation="preserving", mask="constant_budget"),
                    batch, generation=3, generator=seeds.generator(0))  # fmt: skip
    assert "pay" in paid.certificate.reason
    assert paid.ticket.cost.remaining_weights == ticket.cost.remaining_weights
