"""An optimizer's state through structural changes: against a twin, entry by entry."""

from typing import Any

import pytest
import torch
from changes import morphs
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures
from test_grow import NETWORKS, lived_in, sprout_of
from test_loop import run
from test_transplant import ancestors
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import GrowthStep, Pruning, Training
from recursive_lth.errors import InputError
from recursive_lth.growth.optimizer import INHERIT, carry, carry_path, carry_warmup, shares_of
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.ticket.moments import State, move_state
from recursive_lth.ticket.morph import Morph, compose, morph


def invented(architecture: Architecture, seed: int, *, is_aged: bool) -> State:
    """A state as of Adam, of ages from 0 to 9 or all 7, with factors on every second tensor."""
    draw = torch.Generator().manual_seed(seed)
    names = architecture.trainable

    def drawn(name: str) -> Tensor:
        return torch.rand(architecture.shape(name), generator=draw)

    state: State = {kind: {n: drawn(n) for n in names} for kind in ("exp_avg", "exp_avg_sq")}
    if is_aged:
        ages = {n: (drawn(n) * 10).floor() for n in names}
        state["age"] = {n: t for n, t in ages.items() if bool((t != t.max()).any())}
        state["step"] = {n: t.max() for n, t in ages.items()}
        state["gain"] = {n: drawn(n) + 1 for n in names[::2]}
    else:
        state["step"] = {n: torch.tensor(7.0) for n in names}
    return state


def age_of(state: State, architecture: Architecture, name: str) -> Tensor:
    """The age of each entry, told or not."""
    step = float(state["step"][name])
    return state.get("age", {}).get(name, torch.full(architecture.shape(name), step))


@given(st.data(), st.booleans(), st.integers(0, 99))
def test_entries_move_with_their_weights(data: Any, is_aged: bool, seed: int) -> None:
    """Moments, ages and factors of an heir are its ancestor's; the new have 0, 0 and 1.

    A new or reborn entry is as in an optimizer that begins, whatever the change.
    """
    before = data.draw(architectures())
    change: Morph = data.draw(morphs(before, is_injective=False))
    state = invented(before, seed, is_aged=is_aged)
    chosen = next(iter(change.after.trainable))
    reborn = {chosen: torch.rand(change.after.shape(chosen)) < 0.3}
    moved = move_state(state, change, reborn=reborn)
    for name in change.after.trainable:
        found = {kind: moved[kind][name] for kind in ("exp_avg", "exp_avg_sq")}
        found["age"] = age_of(moved, change.after, name)
        shape = change.after.shape(name)
        found["gain"] = moved.get("gain", {}).get(name, torch.ones(shape))
        for index, source in ancestors(change, name):
            if name in reborn and bool(reborn[name][index]):
                source = None
            expected = {"exp_avg": 0.0, "exp_avg_sq": 0.0, "age": 0.0, "gain": 1.0}
            if source is not None:
                expected = {kind: float(state[kind][name][source]) for kind in list(expected)[:2]}
                expected["age"] = float(age_of(state, before, name)[source])
                gains = state.get("gain", {})
                expected["gain"] = float(gains[name][source]) if name in gains else 1.0
            assert {kind: float(found[kind][index]) for kind in found} == expected


@given(st.data())
def test_ages_are_told_where_they_differ(data: Any) -> None:
    """A count is enough for a tensor of one age: no kinds that PyTorch's optimizers do not know."""
    before = data.draw(architectures())
    change: Morph = data.draw(morphs(before))
    moved = move_state(invented(before, 0, is_aged=False), change)
    for name in change.after.trainable:
        ages = age_of(moved, change.after, name)
        is_told = name in moved.get("age", {})
        assert is_told == bool((ages != ages.flatten()[0]).any())
        assert float(moved["step"][name]) == float(ages.max())
    same = move_state(invented(before, 0, is_aged=False), morph(before, before, {}))
    assert same.keys() == {"exp_avg", "exp_avg_sq", "step"}


@given(st.data())
def test_moves_compose(data: Any) -> None:
    """Two injective changes one after the other are their composition."""
    before = data.draw(architectures())
    first = data.draw(morphs(before, "one"))
    second = data.draw(morphs(first.after, "two"))
    try:
        both = compose(first, second)
    except InputError:
        return
    state = invented(before, 1, is_aged=True)
    stepwise, at_once = move_state(move_state(state, first), second), move_state(state, both)
    assert stepwise.keys() == at_once.keys()
    for kind, tensors in at_once.items():
        assert tensors.keys() == stepwise[kind].keys()
        assert all(torch.equal(t, stepwise[kind][n]) for n, t in tensors.items()), kind


@pytest.mark.parametrize("kind", NETWORKS)
def test_copies_by_hand(kind: str) -> None:
    """m s and v s^2 where a copy is made, m and v behind it; with the path kept, m and v.

    Then gain is 1/s where a copy is made and rate is s behind it.
    """
    ticket = lived_in(NETWORKS[kind], 0)
    sprout = sprout_of(ticket, GrowthStep("split", 0.4, 0.6, "split_unevenly"))
    state = invented(ticket.architecture, 0, is_aged=False)
    plain, path = carry(state, sprout, 0), carry_path(state, sprout, 0)
    shares, after = shares_of(sprout), sprout.morph.after
    (symbol,) = shares
    assert "gain" not in plain
    for name in after.trainable:
        rows = after.tensors[name]
        for index, source in ancestors(sprout.morph, name):
            assert source is not None
            units = [entry // axis.repeat for entry, (axis,) in zip(index, rows, strict=True)]
            slope = float(shares[symbol][units[0]]) if rows[0][0].symbol == symbol else 1.0
            is_read = len(rows) > 1 and rows[1][0].symbol == symbol
            part = float(shares[symbol][units[1]]) if is_read else 1.0
            mean, square = (float(state[k][name][source]) for k in ("exp_avg", "exp_avg_sq"))
            assert float(plain["exp_avg"][name][index]) == pytest.approx(mean * slope)
            assert float(plain["exp_avg_sq"][name][index]) == pytest.approx(square * slope**2)
            assert float(path["exp_avg"][name][index]) == mean
            for factor, value in (("gain", 1 / slope), ("rate", part)):
                found = path[factor].get(name)
                assert (1.0 if found is None else float(found[index])) == pytest.approx(value)


def test_shares_are_above_0() -> None:
    architecture = NETWORKS["mlp"]
    with pytest.raises(InputError, match="shares of fc1 must be above 0, got 0"):
        move_state({}, morph(architecture, architecture, {}), shares={"fc1": torch.zeros(7)})


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_pruned_state(granularity: str) -> None:
    """After a widening and a cut: pruned weights' moments stay 0, ages move with what stays.

    Ages then run on together, and a weight that returns begins anew.
    """
    ticket = lived_in(NETWORKS["mlp"], 0)
    recipe = Training(batch_size=8)
    *_, last = run(ticket, recipe)
    sprout = sprout_of(ticket, GrowthStep("widen", 0.0, 0.5))
    state = carry(last.state(), sprout, 0)
    young = {n: t == 0 for n, t in state["age"].items()}
    assert young
    pruning = Pruning(granularity=granularity, rate=0.5)
    smaller = cut(
        sprout.ticket,
        pruning,
        Evidence(torch.Generator()),
        start=sprout.ticket.architecture,
        done=0,
    )
    assert smaller is not None
    moved = smaller.moved(state)
    if smaller.morph is not None:
        for name in young:
            expected = move_state({"exp_avg": state["age"]}, smaller.morph)["exp_avg"][name]
            assert torch.equal(age_of(moved, smaller.ticket.architecture, name), expected)
    *_, later = run(smaller.ticket, recipe, state=moved, steps=9)
    after = later.state()
    for name, mask in smaller.ticket.masks.items():
        for kind in ("exp_avg", "exp_avg_sq"):
            assert not bool(after[kind][name][~mask].any())
        assert not bool(later.weights[name][~mask].any())
        ages = age_of(moved, smaller.ticket.architecture, name)
        assert torch.equal(age_of(after, smaller.ticket.architecture, name), ages + 9)
    again = sprout_of(smaller.ticket, GrowthStep("rewire", 0.5, 0.3, "regrow"))
    assert any(bool(t.any()) for t in again.revived.values())
    revived = carry(after, again, 0)
    for name, places in again.revived.items():
        assert not bool(age_of(revived, again.ticket.architecture, name)[places].any())


def test_warm_up_is_for_the_new() -> None:
    """carry_warmup differs from carry in the rate of new entries alone."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    *_, last = run(ticket, Training(batch_size=8))
    sprout = sprout_of(ticket, GrowthStep("widen", 0.0, 0.5))
    plain, warm = (INHERIT[p](last.state(), sprout, 20) for p in ("carry", "carry_warmup"))
    assert INHERIT["reset"](last.state(), sprout, 20) == {}
    assert warm.keys() - plain.keys() == {"warm", "rise"}
    for name, ages in plain["age"].items():
        assert torch.equal(warm["warm"][name], (ages > 0).float())
        assert float(warm["rise"][name]) == pytest.approx(1 / 20)
    assert carry_warmup(last.state(), sprout, 20)["exp_avg"].keys() == plain["exp_avg"].keys()
