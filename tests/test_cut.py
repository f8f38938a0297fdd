"""Cutting by whatever score, scope, granularity and schedule: counts are exact, ties and all."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Pruning
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.distribution import least_of
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.pruning.schedule import SCOPES, scheduled
from recursive_lth.pruning.scores import SCORES
from recursive_lth.ticket.masks import apply, counts, is_nested, remaining
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

VALUES = ("normal", "ties", "equal")


def ticket_of(architecture: Architecture, values: str, seed: int, kept: dict[str, int]) -> Ticket:
    """A ticket whose weights are normal, tie often, or are all the same."""
    masks = exact_masks(architecture, kept, seed)
    weights = normal_weights(architecture, seed)
    for name in architecture.prunable:
        if values == "ties":
            weights[name] = weights[name].round()
        if values == "equal":
            weights[name] = torch.full_like(weights[name], 0.5)
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    return replace(whole, weights=apply(weights, masks), rewind=weights, masks=masks)


def evidence_for(architecture: Architecture, seed: int) -> Evidence:
    """Samples that fit the network, float64, and a tally."""
    draw = torch.Generator().manual_seed(seed)
    shape = architecture.shapes[architecture.input]
    images = torch.randn(6, *shape, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, architecture.classes, (6,), generator=draw)
    tally = {n: torch.randn(architecture.shape(n), generator=draw) for n in architecture.prunable}
    return Evidence(draw, images, labels, tally)


@pytest.mark.parametrize("scope", SCOPES)
@given(data=st.data())
def test_a_density_is_met_to_the_weight(scope: str, data: st.DataObject) -> None:
    """round(density * weights of the start), whatever is scored, tied, or cut before."""
    architecture = data.draw(architectures())
    score, values = data.draw(st.sampled_from(sorted(SCORES))), data.draw(st.sampled_from(VALUES))
    seed = data.draw(SEEDS)
    ticket = ticket_of(architecture, values, seed, data.draw(kept_counts(architecture)))
    pruning = Pruning(score=score, scope=scope, layer_floor=0, score_rounds=3)
    whole, there = ticket.cost.weights, remaining(ticket.masks)
    least = sum(least_of(architecture, scope, counts(ticket.masks), 0).values())
    keep = data.draw(st.integers(least, there))
    found = cut(ticket, pruning, evidence_for(architecture, seed), start=architecture, done=0,
                density=keep / whole)  # fmt: skip
    assert found is not None
    assert remaining(found.ticket.masks) == keep
    assert is_nested(found.ticket.masks, ticket.masks)
    assert found.morph is None


@pytest.mark.parametrize("scope", ["global", "per_layer"])
@given(data=st.data())
def test_units_are_met_to_the_unit(scope: str, data: st.DataObject) -> None:
    """Of each width, or of all together, exactly so many units go; every width keeps one."""
    architecture = data.draw(architectures())
    score, values = data.draw(st.sampled_from(sorted(SCORES))), data.draw(st.sampled_from(VALUES))
    seed = data.draw(SEEDS)
    ticket = ticket_of(architecture, values, seed, data.draw(kept_counts(architecture)))
    pruning = Pruning(score=score, scope=scope, granularity="unit", rate=0.4, target_density=0.1)
    found = cut(ticket, pruning, evidence_for(architecture, seed), start=architecture, done=0)
    before = {s: architecture.widths[s] for s in architecture.free_symbols}

    def left(units: int) -> int:
        goal = max(1 if scope == "per_layer" else len(before), round(0.1 * units))
        return units if goal >= units else units - min(units - goal, max(1, round(0.4 * units)))

    if found is None:
        totals = before.values() if scope == "per_layer" else [sum(before.values())]
        assert all(left(units) == units for units in totals)
        return
    after = {s: found.ticket.architecture.widths[s] for s in before}
    assert min(after.values()) >= 1
    if scope == "per_layer":
        assert after == {s: left(units) for s, units in before.items()}
    else:
        assert sum(after.values()) == left(sum(before.values()))


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 3)])
@given(data=st.data())
def test_runs_of_inputs_keep_their_n(n: int, m: int, data: st.DataObject) -> None:
    """min(n, what was left) of every run of m inputs of every output, kernel place by place."""
    architecture = data.draw(architectures())
    score, values = data.draw(st.sampled_from(sorted(SCORES))), data.draw(st.sampled_from(VALUES))
    seed = data.draw(SEEDS)
    ticket = ticket_of(architecture, values, seed, data.draw(kept_counts(architecture)))
    pruning = Pruning(score=score, granularity=f"{n}:{m}", target_density=0, rounds=1)
    given_ = evidence_for(architecture, seed)
    found = cut(ticket, pruning, given_, start=architecture, done=0)
    assert found is not None
    assert is_nested(found.ticket.masks, ticket.masks)
    for name, mask in found.ticket.masks.items():
        for begin in range(0, mask.shape[1], m):
            run, old = mask[:, begin : begin + m], ticket.masks[name][:, begin : begin + m]
            assert torch.equal(run.sum(1), old.sum(1).clamp(max=n))
    assert cut(found.ticket, pruning, given_, start=architecture, done=1) is None


def test_n_of_m_keeps_the_highest_and_of_ties_the_first() -> None:
    architecture = mlp((6,), 2, (2,))
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    weights = whole.weights | {
        "fc1.weight": torch.tensor([[1.0, 4, 2, 3, 9, 8], [5, 5, 5, 5, 1, 2]])
    }
    pruning = Pruning(granularity="2:4", target_density=0, rounds=1)
    found = cut(replace(whole, weights=weights), pruning, Evidence(torch.Generator()),
                start=architecture, done=0)  # fmt: skip
    assert found is not None
    wanted = [[0, 1, 0, 1, 1, 1], [1, 1, 0, 0, 1, 1]]
    assert found.ticket.masks["fc1.weight"].int().tolist() == wanted


@given(st.integers(1, 10_000), st.integers(1, 12), st.data())
def test_schedules_reach_their_goal_in_their_rounds(
    kept: int, rounds: int, data: st.DataObject
) -> None:
    """Never rising, exactly at the goal in the end, near the closed form on the way.

    Cubic (Zhu & Gupta 2017): goal + (kept - goal) (1 - t / T)^3; exponential: kept (goal/kept)^t/T.
    Each round rounds to whole weights, and later rounds go on from there: half a weight a round.
    """
    goal = data.draw(st.integers(1, kept))
    for schedule in ("cubic", "exponential"):
        left = kept
        for done in range(rounds):
            after = scheduled(schedule, left, goal, done=done, rounds=rounds)
            share = (done + 1) / rounds
            exact = (
                goal + (kept - goal) * (1 - share) ** 3
                if schedule == "cubic"
                else kept * (goal / kept) ** share
            )
            assert goal <= after <= left
            assert abs(after - exact) <= 0.5 * (done + 1) + 1e-6
            left = after
        assert left == goal


def test_one_shot_goes_straight_to_the_target() -> None:
    architecture = mlp((10,), 4, (10,))
    ticket = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    pruning = Pruning(schedule="one_shot", target_density=0.25)
    found = cut(ticket, pruning, Evidence(torch.Generator()), start=architecture, done=0)
    assert found is not None
    assert remaining(found.ticket.masks) == 35
    again = cut(found.ticket, pruning, Evidence(torch.Generator()), start=architecture, done=1)
    assert again is None


def test_scoring_in_rounds_looks_again() -> None:
    """With three rounds a score is asked three times, each time of a sparser ticket."""
    architecture = mlp((10,), 4, (10,))
    ticket = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    seen: list[int] = []

    def spy(some: Ticket, evidence: Evidence) -> dict[str, torch.Tensor]:
        seen.append(remaining(some.masks))
        return {name: some.weights[name].abs() for name in some.architecture.prunable}

    found = cut(ticket, Pruning(score_rounds=3), Evidence(torch.Generator()), start=architecture,
                done=0, density=1 / 8, score=spy)  # fmt: skip
    assert found is not None
    assert seen == [140, round(140 * (18 / 140) ** (1 / 3)), round(140 * (18 / 140) ** (2 / 3))]
    assert remaining(found.ticket.masks) == 18


def test_what_cannot_be_kept_is_an_error() -> None:
    architecture = mlp((10,), 4, (10,))
    ticket = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    with pytest.raises(InputError, match=r"lower pruning\.layer_floor"):
        cut(ticket, Pruning(layer_floor=20), Evidence(torch.Generator()), start=architecture,
            done=0, density=0.1)  # fmt: skip
    with pytest.raises(InputError, match="global or per_layer"):
        cut(ticket, Pruning(scope="erk", granularity="unit"), Evidence(torch.Generator()),
            start=architecture, done=0)  # fmt: skip
    assert counts(ticket.masks) == {"fc1.weight": 100, "output.weight": 40}
