"""Whole units: scores add up what vanishes with them, removal is real and leaves the rest alone."""

from dataclasses import replace

import pytest
import torch
from changes import row_units
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.units import lowest_units, remove_units, unit_scores
from recursive_lth.ticket.masks import apply
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket


def ticket_of(architecture: Architecture, seed: int, kept: dict[str, int] | None = None) -> Ticket:
    masks = exact_masks(architecture, kept, seed) if kept else None
    weights = normal_weights(architecture, seed)
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    masks = masks or whole.masks
    return replace(whole, weights=apply(weights, masks), rewind=weights, masks=masks)


@given(architectures(), SEEDS, st.data())
def test_a_unit_scores_the_mean_of_what_vanishes_with_it(
    architecture: Architecture, seed: int, data: st.DataObject
) -> None:
    """Entry by entry: every remaining weight that any of its axes puts under the unit."""
    kept = data.draw(kept_counts(architecture))
    ticket = ticket_of(architecture, seed, kept)
    scores = {n: ticket.weights[n].abs() for n in architecture.prunable}
    found = unit_scores(architecture, ticket.masks, scores)
    assert found.keys() == set(architecture.free_symbols)
    for symbol, score in found.items():
        for unit in range(architecture.widths[symbol]):
            under = []
            for name in architecture.prunable:
                kept_places = ticket.masks[name].nonzero()
                for row, column in zip(architecture.tensors[name], kept_places.T, strict=True):
                    owners = [(a.symbol, u) for _, a, u, _ in row_units(row, architecture)]
                    under += [
                        float(scores[name][tuple(place)])
                        for place, entry in zip(kept_places, column.tolist(), strict=True)
                        if owners[entry] == (symbol, unit)
                    ]
            wanted = sum(under) / len(under) if under else -torch.inf
            assert float(score[unit]) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("mlp", (5, 4)), ("conv-2", (4,)), ("convnet", (4, 3)), ("resnet-20", (3, 4, 5))],
)
def test_units_of_zeros_can_go_unseen(name: str, hidden: tuple[int, ...]) -> None:
    """Where all that comes into a unit is 0, removing it changes no logit, in either mode.

    With BatchNorm the scale and bias must be 0 too; what goes out of it then reads zeros.
    """
    architecture = ARCHITECTURES[name]((2, 8, 8), 3, hidden)
    ticket = ticket_of(architecture, 1)
    weights = {n: t.clone() for n, t in ticket.weights.items()}
    gone = dict.fromkeys(architecture.free_symbols, 1)
    for tensor, rows in architecture.tensors.items():
        (axis,) = rows[0]
        if axis.symbol in gone and not tensor.endswith(("running_mean", "running_var")):
            weights[tensor].view(architecture.widths[axis.symbol], -1)[gone[axis.symbol]] = 0
    ticket = replace(ticket, weights=weights)
    kept = {
        s: torch.tensor([u for u in range(architecture.widths[s]) if u != unit])
        for s, unit in gone.items()
    }
    smaller, change = remove_units(ticket, kept)
    images = torch.randn(
        5, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    for training in (False, True):
        before, _ = network(architecture)(ticket.weights, images, training=training)
        after, _ = network(smaller.architecture)(smaller.weights, images, training=training)
        assert torch.allclose(before, after, atol=1e-10)
    assert all(smaller.architecture.widths[s] == architecture.widths[s] - 1 for s in gone)
    assert smaller.parent == ticket.digest
    assert change.before == architecture
    assert smaller.cost.weights < ticket.cost.weights


@given(SEEDS, st.data())
def test_the_lowest_units_go_and_every_width_keeps_one(seed: int, data: st.DataObject) -> None:
    """By (score, symbol, place), against a plain sort over all units that may go."""
    draw = torch.Generator().manual_seed(seed)
    widths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    scores = {
        f"s{i}": torch.randint(0, 3, (width,), generator=draw).double()
        for i, width in enumerate(widths)
    }
    may_go = []
    for i, (symbol, score) in enumerate(scores.items()):
        order = sorted(range(len(score)), key=lambda u, s=score: (float(s[u]), u))  # type: ignore[misc]
        may_go += [(float(score[u]), i, u, symbol) for u in order[:-1]]
    count = data.draw(st.integers(0, len(may_go)))
    gone = {(symbol, u) for _, _, u, symbol in sorted(may_go)[:count]}
    kept = lowest_units(scores, count)
    for symbol, score in scores.items():
        assert kept[symbol].tolist() == [u for u in range(len(score)) if (symbol, u) not in gone]
    with pytest.raises(InputError, match="every width keeps one"):
        lowest_units(scores, len(may_go) + 1)


def test_everything_moves_with_its_unit() -> None:
    """Weights, rewind values, masks and births of the units that stay."""
    ticket = ticket_of(mlp((3,), 2, (4,)), 0, {"fc1.weight": 7, "output.weight": 5})
    smaller, _ = remove_units(ticket, {"fc1": torch.tensor([0, 3])})
    for group in ("weights", "rewind", "masks", "births"):
        old, new = getattr(ticket, group), getattr(smaller, group)
        assert torch.equal(new["fc1.weight"], old["fc1.weight"][[0, 3]])
        assert torch.equal(new["output.weight"], old["output.weight"][:, [0, 3]])
    assert torch.equal(smaller.weights["fc1.bias"], ticket.weights["fc1.bias"][[0, 3]])
