"""Schedules: what a round removes, and that rounds end exactly where they shall."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from strategies import NO_EVIDENCE, SEEDS, architectures, exact_masks, kept_counts

from recursive_lth.architecture.cost import size
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import lenet_300_100, mlp
from recursive_lth.config import Pruning
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.prune import prune
from recursive_lth.pruning.schedule import Group, next_round, target
from recursive_lth.pruning.scores import SCORES
from recursive_lth.ticket.masks import Masks, apply, counts, remaining
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

ENDS: tuple[dict[str, Any], ...] = (
    {"rounds": 3, "target_density": 0},
    {"target_weights": 7},
    {"target_density": 0.3, "rounds": 9},
)

SCOPES = ("global", "per_layer")  # where rates are those of groups


def masked(architecture: Architecture, masks: Masks) -> Ticket:
    """A ticket of this architecture with these masks."""
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    return replace(whole, masks=masks, weights=apply(whole.weights, masks))


@st.composite
def prunings(draw: DrawFn) -> Pruning:
    """Any scope, rates, floor and end; targets may lie anywhere."""
    return Pruning(
        scope=draw(st.sampled_from(sorted(SCOPES))),
        rate=draw(st.floats(0.05, 0.95)),
        output_rate=draw(st.none() | st.floats(0, 0.95)),
        layer_floor=draw(st.integers(1, 3)),
        **draw(st.sampled_from(ENDS)),
    )


def expected_groups(architecture: Architecture, pruning: Pruning) -> list[tuple[str, ...]]:
    """Which tensors compete with one another, from the meaning of the scope."""
    output = f"{architecture.output}.weight"
    rest = tuple(name for name in architecture.prunable if name != output)
    if pruning.scope == "per_layer":
        return [(name,) for name in architecture.prunable]
    return [architecture.prunable] if pruning.output_rate is None else [rest, (output,)]


def has_own_targets(pruning: Pruning) -> bool:
    """True iff each layer is to reach the target density by itself."""
    return (
        pruning.scope == "per_layer" and not pruning.target_weights and pruning.target_density > 0
    )


def least(architecture: Architecture, pruning: Pruning, name: str) -> int:
    """How few weights a layer may be left with."""
    own = round(pruning.target_density * size(architecture, name))
    return max(pruning.layer_floor, own if has_own_targets(pruning) else 0)


@given(st.data())
def test_a_round_removes_its_share(data: st.DataObject) -> None:
    """Each group loses round(rate * remaining), at least 1; all together at most the excess.

    Where the shares would pass the target they are cut in proportion: no group then loses more than
    its share, and none differs from the exact proportion by a whole weight. A density is each
    layer's own target where each layer is pruned for itself; there nothing is shared out.
    """
    architecture = data.draw(architectures())
    kept = data.draw(kept_counts(architecture))
    pruning = data.draw(prunings())
    ticket = masked(architecture, exact_masks(architecture, kept, data.draw(SEEDS)))
    wishes = {}
    for names in expected_groups(architecture, pruning):
        is_output = names == (f"{architecture.output}.weight",)
        own = pruning.output_rate if is_output else None
        rate = pruning.rate if own is None else own
        share = max(round(rate * sum(kept[name] for name in names)), 1 if rate else 0)
        free = sum(max(0, kept[name] - least(architecture, pruning, name)) for name in names)
        wishes[names] = min(share, free)
    excess = max(0, sum(kept.values()) - target(architecture, pruning))
    if has_own_targets(pruning):
        excess = sum(wishes.values())
    found = {group.names: group.remove for group in next_round(ticket, pruning, done=0)}
    wanted = sum(wishes.values())
    assert set(found) <= set(wishes)
    assert all(remove > 0 for remove in found.values())
    assert sum(found.values()) == min(wanted, excess)
    for names, wish in wishes.items():
        exact = wish * min(1.0, excess / wanted) if wanted else 0
        assert abs(found.get(names, 0) - exact) < 1
        assert found.get(names, 0) <= wish


@given(st.data())
def test_the_last_round_stops_at_the_target(data: st.DataObject) -> None:
    """Rounds end with exactly `target` weights where each layer keeps more than the floor.

    At rate 1/2 and without an own output rate every group of at least 2 weights can lose one
    (round(0.5 * 2) = 1), so only floors can stop the descent above the target.
    """
    architecture = data.draw(architectures())
    sizes = {name: size(architecture, name) for name in architecture.prunable}
    floor = data.draw(st.integers(1, 3))
    least = sum(min(floor, n) for n in sizes.values())
    wanted = data.draw(st.integers(least, sum(sizes.values())))
    scope = data.draw(st.sampled_from(sorted(SCOPES)))
    pruning = Pruning(scope=scope, rate=0.5, target_weights=wanted, layer_floor=floor)
    ticket = masked(architecture, exact_masks(architecture, sizes, 0))
    done = 0
    while groups := next_round(ticket, pruning, done=done):
        before = remaining(ticket.masks)
        ticket = prune(ticket, SCORES["magnitude"], groups, NO_EVIDENCE, floor=floor)
        assert wanted <= remaining(ticket.masks) < before
        done += 1
    assert remaining(ticket.masks) == wanted
    assert all(n >= min(floor, sizes[name]) for name, n in counts(ticket.masks).items())


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_density_falls_geometrically(scope: str, rate: float) -> None:
    """After n rounds (1-p)^n remains (Frankle & Carbin 2019, arXiv 1803.03635).

    A group of N keeps N(1-p)^n but for rounding: each round adds at most 1/2, and later rounds
    shrink what earlier ones added, so the error stays below (1/2) / p in each group.
    """
    architecture = mlp((30,), 10, (40, 20))
    sizes = {name: size(architecture, name) for name in architecture.prunable}
    ticket = masked(architecture, exact_masks(architecture, sizes, 0))
    groups = len(sizes) if scope == "per_layer" else 1
    for done in range(1, 7):
        pruning = Pruning(scope=scope, rate=rate, rounds=done, target_density=0)
        cut = next_round(ticket, pruning, done=done - 1)
        ticket = prune(ticket, SCORES["magnitude"], cut, NO_EVIDENCE)
        exact = sum(sizes.values()) * (1 - rate) ** done
        assert abs(remaining(ticket.masks) - exact) <= groups / 2 / rate
        assert next_round(ticket, pruning, done=done) == ()


def test_lenet_reaches_the_densities_of_the_paper() -> None:
    """LeNet-300-100 at 20 % a layer and 10 % for the output, as Frankle & Carbin (2019) prune it.

    Of 266,200 weights 21.1 %, 13.5 % and 3.6 % remain after 7, 9 and 15 rounds: the figures that
    the paper names, from (265,200 * .8^n + 1,000 * .9^n) / 266,200.
    """
    architecture = lenet_300_100((1, 28, 28), 10, ())
    pruning = Pruning(scope="per_layer", rate=0.2, output_rate=0.1, rounds=15, target_density=0)
    ticket = masked(
        architecture,
        exact_masks(architecture, {n: size(architecture, n) for n in architecture.prunable}, 0),
    )
    assert remaining(ticket.masks) == 266_200
    found = {}
    for done in range(15):
        ticket = prune(
            ticket, SCORES["magnitude"], next_round(ticket, pruning, done=done), NO_EVIDENCE
        )
        found[done + 1] = 100 * remaining(ticket.masks) / 266_200
    assert {n: round(found[n], 1) for n in (7, 9, 15)} == {7: 21.1, 9: 13.5, 15: 3.6}
    assert next_round(ticket, pruning, done=15) == ()


@given(st.data())
def test_each_layer_reaches_a_density_of_its_own(data: st.DataObject) -> None:
    """Under the per-layer scope a layer of n weights ends with round(density * n), or its floor.

    Rate 1/2 can take one of any 2 weights, so only a layer's own least number stops it.
    """
    architecture = data.draw(architectures())
    sizes = {name: size(architecture, name) for name in architecture.prunable}
    density, floor = data.draw(st.floats(0.01, 1)), data.draw(st.integers(1, 3))
    pruning = Pruning(scope="per_layer", rate=0.5, target_density=density, layer_floor=floor)
    ticket, done = masked(architecture, exact_masks(architecture, sizes, 0)), 0
    while groups := next_round(ticket, pruning, done=done):
        ticket = prune(ticket, SCORES["magnitude"], groups, NO_EVIDENCE, floor=floor)
        done += 1
    expected = {name: min(n, max(floor, round(density * n))) for name, n in sizes.items()}
    assert counts(ticket.masks) == expected


def test_a_density_is_of_all_layers_together_where_all_compete() -> None:
    """Half of two layers of 100: by layer 50 each, globally the weak one pays to its floor."""
    architecture = mlp((10,), 10, (10,))
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    weak = whole.weights | {"fc1.weight": torch.full((10, 10), 1e-9)}
    left = {}
    for scope in SCOPES:
        pruning = Pruning(scope=scope, rate=0.9, target_density=0.5)
        ticket = replace(whole, weights=weak)
        while groups := next_round(ticket, pruning, done=0):
            ticket = prune(ticket, SCORES["magnitude"], groups, NO_EVIDENCE)
        left[scope] = tuple(counts(ticket.masks).values())
    assert left == {"global": (1, 99), "per_layer": (50, 50)}


def test_the_output_layer_has_its_own_rate() -> None:
    """Under both scopes the output loses its own share; a rate of 0 leaves it whole."""
    architecture = mlp((10,), 10, (10,))
    whole = masked(
        architecture, exact_masks(architecture, {"fc1.weight": 100, "output.weight": 100}, 0)
    )
    for scope in SCOPES:
        pruning = Pruning(scope=scope, rate=0.2, output_rate=0.1, rounds=1, target_density=0)
        assert next_round(whole, pruning, done=0) == (
            Group(("fc1.weight",), 20),
            Group(("output.weight",), 10),
        )
        spared = replace(pruning, output_rate=0.0)
        assert next_round(whole, spared, done=0) == (Group(("fc1.weight",), 20),)


def test_target() -> None:
    """A density is that of the architecture as it is now, at least one weight; else the number."""
    architecture = mlp((10,), 10, (10,))
    assert target(architecture, Pruning(target_density=0.25)) == 50
    assert target(architecture, Pruning(target_density=0.0001)) == 1
    assert target(architecture, Pruning(target_weights=70, target_density=0.9)) == 70
    assert target(architecture, Pruning(rounds=2, target_density=0)) == 0
    assert target(mlp((10,), 10, (20,)), Pruning(target_density=0.25)) == 100


def test_a_met_target_needs_no_round() -> None:
    """With as many weights as wanted, or fewer, nothing is removed."""
    architecture = mlp((10,), 10, (10,))
    ticket = masked(
        architecture, exact_masks(architecture, {"fc1.weight": 30, "output.weight": 20}, 0)
    )
    assert next_round(ticket, Pruning(target_weights=50), done=0) == ()
    assert next_round(ticket, Pruning(target_weights=51), done=0) == ()
    assert sum(g.remove for g in next_round(ticket, Pruning(target_weights=49), done=0)) == 1


@pytest.mark.parametrize("scope", SCOPES)
def test_small_shares_do_not_end_the_descent(scope: str) -> None:
    """At rate 0.1 a layer of 4 loses round(0.4) = 0, yet its target of 2 is within its floor.

    A round that may remove something removes at least one weight, or the law that the last round
    stops exactly at the target fails for small layers.
    """
    architecture = mlp((2,), 2, (2,))
    ticket = masked(
        architecture, exact_masks(architecture, {"fc1.weight": 2, "output.weight": 2}, 0)
    )
    pruning = Pruning(scope=scope, rate=0.1, target_weights=2)
    for done in range(9):
        groups = next_round(ticket, pruning, done=done)
        ticket = prune(ticket, SCORES["magnitude"], groups, NO_EVIDENCE)
    assert remaining(ticket.masks) == 2
