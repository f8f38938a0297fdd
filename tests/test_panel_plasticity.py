"""Planted effects that probes must find, and the rivals that they hold a network against.

An effect is planted in a network at hand: weights of 0, which no gradient moves but in the last
bias; weights 30 times as large; a long training on random labels, which ages a network (Lyle et al.
2023, arXiv 2303.01486). What is planted is far beyond what a seed moves.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from probe_scenes import scaled, scene, spied

from recursive_lth.running.fit import Fitted
from recursive_lth.study.panel.catalogue import PANEL
from recursive_lth.study.panel.probes import (
    SHORT,
    accuracy_of,
    instability,
    learning_loss_area,
    new_task_accuracy,
    random_label_fit,
)
from recursive_lth.study.panel.rivals import (
    LONG,
    PERTURB,
    SHRINK,
    against_fresh,
    fresh_like,
    further_accuracy,
    shrink_perturb_gain,
    warm_start_gap,
)
from recursive_lth.study.scene import Scene
from recursive_lth.ticket.ticket import Ticket


@pytest.mark.parametrize("name", ["plasticity", "random_label_plasticity", "new_labels_plasticity"])
@pytest.mark.parametrize("factor", [0.0, 30.0])
def test_a_network_that_cannot_move_has_less_plasticity(name: str, factor: float) -> None:
    """Than the fresh one, and than what it was before it was spoilt."""
    fresh = scene("fresh")
    spoilt = PANEL[name].read(scaled(fresh, factor))
    young = PANEL[name].read(fresh)
    assert spoilt is not None
    assert young is not None
    assert spoilt < -0.15
    assert spoilt < young - 0.15


def test_random_labels_age_a_network() -> None:
    """Sixty epochs of learning nonsense by heart leave less room for other nonsense."""
    aged = PANEL["random_label_plasticity"].read(scene("aged"))
    young = PANEL["random_label_plasticity"].read(scene("fresh"))
    assert aged is not None
    assert young is not None
    assert aged < -0.15
    assert aged < young - 0.15
    slower = PANEL["random_label_loss_against_fresh"].read(scene("aged"))
    as_ever = PANEL["random_label_loss_against_fresh"].read(scene("fresh"))
    assert slower is not None
    assert as_ever is not None
    assert slower > as_ever + 0.1


def test_another_fresh_network_is_no_other() -> None:
    """The fresh rival against itself: no difference, to the bit."""
    fresh = scene("fresh")
    rival = replace(fresh, ticket=fresh_like(fresh))
    for read in (new_task_accuracy, random_label_fit, learning_loss_area):
        assert against_fresh(read)(rival) == 0
    assert warm_start_gap(rival) == 0


def test_fresh_like_is_of_the_same_shape_and_none_of_the_weights() -> None:
    """Masks are kept and hold; the same for every scene of a seed with these masks."""
    here = scene("pruned")
    fresh = fresh_like(here)
    assert fresh.architecture == here.architecture
    for name, mask in here.ticket.masks.items():
        assert torch.equal(fresh.masks[name], mask)
        assert not bool(fresh.weights[name][~mask].any())
        assert not torch.equal(fresh.weights[name], here.ticket.weights[name])
        assert not torch.equal(fresh.weights[name], here.ticket.rewind[name] * mask)
    spoilt = fresh_like(scaled(here, 2.0))
    assert spoilt.digest == fresh.digest


def test_what_it_knows_is_a_head_start() -> None:
    """Of its own data a trained network loses less on the way; nothing of it is left elsewhere."""
    known = PANEL["learning_against_fresh"].read(scene("trained"))
    new = PANEL["plasticity"].read(scene("trained"))
    assert known is not None
    assert new is not None
    assert known < -0.5
    assert abs(new) < 0.15


def test_a_warm_start_hurts_who_cannot_move() -> None:
    """And what is shaken can: weights of 0 get a gradient from fresh ones."""
    stuck = scaled(scene("fresh"), 0.0)
    gap, gain = warm_start_gap(stuck), shrink_perturb_gain(stuck)
    assert gap is not None
    assert gain is not None
    assert gap > 0.5
    assert gain > 0.5


def test_stable_once_trained_and_not_before() -> None:
    """Frankle et al.: the barrier falls as training goes on; the same order twice has none."""
    fresh, trained = instability(scene("fresh")), instability(scene("trained"))
    assert fresh is not None
    assert trained is not None
    assert fresh > trained + 0.02
    here = scene("fresh")

    def in_one_order(name: str, ticket: Ticket, **how: Any) -> Fitted:
        return here.fit(name, ticket, **{**how, "order": 0})

    assert instability(replace(here, fit=in_one_order)) == 0


@pytest.mark.parametrize(
    ("read", "name", "epochs"),
    [
        (warm_start_gap, "further", LONG),
        (PANEL["plasticity"].read, "new task", SHORT),
        (PANEL["new_labels_plasticity"].read, "new labels", SHORT),
    ],
)
def test_rivals_train_alike(
    read: Callable[[Scene], float | None], name: str, epochs: float
) -> None:
    """On the same data and batches, at the cost it says: more steps where masks are sparser."""
    here, spy = spied(scene("pruned"))
    assert read(here) is not None
    (one, mine, how), (other, fresh, likewise) = spy.calls
    assert one == other == name
    assert how == likewise
    assert how["epochs"] == epochs
    assert mine.digest == here.ticket.digest
    assert fresh.digest == fresh_like(here).digest
    costs = [here.fit(name, ticket, **how).cost for ticket in (mine, fresh)]
    assert costs[0] == costs[1]
    assert costs[0] == pytest.approx(epochs * here.epoch_cost, rel=0.02)


def test_shrink_perturb_moves_as_it_says() -> None:
    """The copy that is trained has 0.6 of the weights and 0.1 of fresh ones; the other is as is."""
    here, spy = spied(scene("pruned"))
    gain = shrink_perturb_gain(here)
    (_, moved, _), (_, plain, _) = spy.calls
    assert plain.digest == here.ticket.digest
    for name, mask in here.ticket.masks.items():
        rest = moved.weights[name] - SHRINK * here.ticket.weights[name]
        assert not bool(rest[~mask].any())
        fan_in = rest.shape[1]
        expected = PERTURB * (2 / fan_in) ** 0.5
        assert float(rest[mask].std()) == pytest.approx(expected, rel=0.3)
    ends = [further_accuracy(replace(here, ticket=ticket)) for ticket in (moved, plain)]
    assert ends[0] is not None
    assert ends[1] is not None
    assert gain == ends[0] - ends[1]


def test_a_probe_that_diverges_says_nothing() -> None:
    """So does the difference from a fresh network, which does not."""
    lost = scaled(scene("fresh"), 1e30)
    assert new_task_accuracy(scene("fresh")) is not None
    for measure in PANEL.values():
        if measure.kind == "probe":
            assert measure.read(lost) is None
    assert accuracy_of(None) is None
