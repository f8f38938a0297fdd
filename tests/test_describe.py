"""What a lineage line says of a ticket's weights: when they were born, and what a growth cost."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from test_grow import NETWORKS, lived_in, sprout_of

from recursive_lth.config import GrowthStep
from recursive_lth.growth.grow import describe
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.search.describe import count_survivors, describe_growth, describe_ticket
from recursive_lth.ticket.ticket import Ticket


def slowly_counted(ticket: Ticket) -> dict[str, int]:
    """One weight after the other."""
    found: Counter[int] = Counter()
    for name, mask in ticket.masks.items():
        for remains, birth in zip(
            mask.flatten().tolist(), ticket.births[name].flatten().tolist(), strict=True
        ):
            found[birth] += remains
    return {str(birth): found[birth] for birth in sorted(found) if found[birth]}


@pytest.mark.parametrize("kind", NETWORKS)
def test_survivors_part_the_remaining_weights(kind: str) -> None:
    """Every remaining weight was born once, so the counts sum to all of them; oldest first."""
    ticket = lived_in(NETWORKS[kind], 0)
    births = {
        n: torch.arange(t.numel()).remainder(13).view(t.shape).to(torch.int16)
        for n, t in ticket.births.items()
    }
    mixed = replace(ticket, births=births)
    found = count_survivors(mixed)
    assert found == slowly_counted(mixed)
    assert list(found) == sorted(found, key=int)
    assert sum(found.values()) == mixed.cost.remaining_weights
    assert describe_ticket(mixed)["survivors"] == found


def test_a_growth_says_what_came() -> None:
    """Dense new weights: all that the widened layers gain; nothing leaves."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    sprout = sprout_of(ticket, GrowthStep("widen", 0.0, 0.5, mask="dense"))
    told = describe_growth(ticket, sprout, 3)
    assert told["born_weights"] == sprout.ticket.cost.weights - ticket.cost.weights
    assert told["left_weights"] == 0


def test_a_constant_budget_is_paid_for() -> None:
    """As many weights remain as before, so as many old ones leave as new ones stay."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    sprout = sprout_of(ticket, GrowthStep("deepen", 0.0, 0.5, mask="constant_budget"))
    told = describe_growth(ticket, sprout, 3)
    assert told["born_weights"] == told["left_weights"] > 0


@pytest.mark.parametrize(("initialisation", "leaves"), [("regrow", False), ("rigl", True)])
def test_a_rewiring_counts_what_returned(initialisation: str, leaves: bool) -> None:
    """Returned weights are born anew; RigL drops as many as return, NeST's growth drops none."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    sprout = sprout_of(ticket, GrowthStep("rewire", 0.0, 0.3, initialisation))
    told = describe_growth(ticket, sprout, 3)
    masks = [(ticket.masks[n], sprout.ticket.masks[n]) for n in ticket.masks]
    assert told["born_weights"] == sum(int((new & ~old).sum()) for old, new in masks) > 0
    assert told["left_weights"] == sum(int((old & ~new).sum()) for old, new in masks)
    assert (told["left_weights"] > 0) == leaves
    assert (told["new_units"], told["new_layers"]) == ({}, [])


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_growth_names_its_place(operator: str) -> None:
    """The symbol that gains units, a new layer, or the place that was asked for: never nothing."""
    architecture = NETWORKS["resnet-20"]
    change = OPERATORS[operator](architecture, place=0.4, ratio=0.5, label="g3")
    told = describe(GrowthStep(operator, 0.4, 0.5), change)
    where = told["where"]
    known = {*change.after.widths, *change.after.layers, "everywhere"}
    assert where in known
    if operator in {"split", "widen"}:
        assert told["new_units"] == {where: change.after.widths[where] - architecture.widths[where]}
