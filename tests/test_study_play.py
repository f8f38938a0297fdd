"""Play: what the moves of an arm do to the network that the next training begins with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from studies import plan, played, small

from recursive_lth import seeds
from recursive_lth.growth.fresh import fresh
from recursive_lth.running.stages import Stages
from recursive_lth.study.play import Trained
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket


def trained(folder: Path, *moves: str, **how: Any) -> tuple[Trained, ...]:
    """The trainings of an arm of these moves."""
    return played(small(arms={"a": moves}, **how), Stages(folder), is_real=True)["a"].trainings


def is_same(one: Ticket, other: Ticket) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_a_training_begins_where_the_one_before_has_ended(tmp_path: Path) -> None:
    first, second = trained(tmp_path, "train 0.5", "train 0.5")
    assert is_same(first.after, second.before)
    assert not is_same(first.before, first.after)
    assert second.curve[0]["val_loss"] == pytest.approx(first.curve[-1]["val_loss"])


def test_rewinding_goes_back_to_birth_or_to_what_was_remembered(tmp_path: Path) -> None:
    """Under the mask that there is by then."""
    moves = ("train 0.5", "prune 0.5", "rewind", "train 0.5", "remember", "train 0.5", "prune 0.3",
             "rewind", "train 0.5")  # fmt: skip
    first, second, third, fourth = trained(tmp_path, *moves)
    born = masking.apply(first.before.weights, second.before.masks)
    kept = masking.apply(second.after.weights, fourth.before.masks)
    for name in born:
        assert torch.equal(second.before.weights[name], born[name])
        assert torch.equal(fourth.before.weights[name], kept[name])
    assert is_same(third.before, second.after)
    assert fourth.before.cost.remaining_weights == round(0.3 * 1184)


def test_a_cut_takes_the_smallest_of_what_is_left(tmp_path: Path) -> None:
    """Global magnitude: no weight that goes is larger than one that stays, and none comes back."""
    first, second, third = trained(tmp_path, *("train 0.5", "prune 0.5") * 2, "prune 0.2",
                                   "train 0.5")[:3]  # fmt: skip
    for done, cut, count in ((first, second, 592), (second, third, 237)):
        old, masks = done.after.weights, cut.before.masks
        stays = torch.cat([old[name][mask].abs() for name, mask in masks.items()])
        goes = torch.cat([old[n][~mask & done.after.masks[n]].abs() for n, mask in masks.items()])
        assert len(stays) == count
        assert stays.min() >= goes.max()
        assert all(not (mask & ~done.after.masks[name]).any() for name, mask in masks.items())


def test_a_layer_is_not_cut_again_for_what_another_was_born_with(tmp_path: Path) -> None:
    """Under scope=per_layer each layer comes to the density by itself, old or new."""
    deepen = "grow deepen initialisation=identity"
    cut = "prune 0.25 scope=per_layer"
    moves = (cut, deepen, cut, deepen, cut, "train 0.5")
    (done,) = trained(tmp_path, *moves)
    for mask in done.before.masks.values():
        assert int(mask.sum()) == round(0.25 * mask.numel())


def test_an_optimizer_that_is_carried_on_makes_a_difference(tmp_path: Path) -> None:
    """Also over a cut and a growth, for which its moments move along."""
    between = ("prune 0.5", "grow widen ratio=0.5")
    reset = trained(tmp_path / "r", "train 0.5", *between, "train 0.5")[1]
    carried = trained(tmp_path / "c", "train 0.5", *between, "train 0.5 state=carry")[1]
    assert is_same(reset.before, carried.before)
    assert not is_same(reset.after, carried.after)


def test_shrinking_and_perturbing_adds_fresh_weights(tmp_path: Path) -> None:
    first, second = trained(tmp_path, "train 0.5", "shrink_perturb 0.5 0.1", "train 0.5")
    draws = seeds.generator(3, "move", "ShrinkPerturb", 0)
    noise = fresh(first.after.architecture, draws, "kaiming_normal")
    for name, weights in first.after.weights.items():
        wanted = 0.5 * weights + 0.1 * noise[name]
        torch.testing.assert_close(second.before.weights[name], wanted)


def test_a_training_on_a_task_sees_its_data_alone(tmp_path: Path) -> None:
    """Other labels to learn, its own validation data; the next training is on the study's again."""
    tasks = ({"name": "two", "classes": [3, 8]},)
    first, second, third = trained(tmp_path, "train 1", "train 3 on=two", "train 0.2", tasks=tasks)
    assert [done.data.classes for done in (first, second, third)] == [(), (3, 8), ()]
    assert second.curve[-1]["val_accuracy"] >= 0.8  # by 3 and 8, which are now 0 and 1
    assert third.curve[0]["val_accuracy"] <= 0.4


def test_settings_and_lengths_hold_for_one_training(tmp_path: Path) -> None:
    first, second = trained(tmp_path, "train 0.5 learning_rate=1e-9 optimizer=sgd", "train 0.5")
    assert first.recipe.learning_rate == 1e-9
    assert second.recipe == small().training
    for name, weights in first.before.weights.items():
        torch.testing.assert_close(first.after.weights[name], weights, atol=1e-6, rtol=0)


def test_moves_draw_the_same_in_every_arm(tmp_path: Any) -> None:
    """A growth's new weights depend on seed and number of the growth, not on what came before."""
    arms = {
        "one": ("train 0.2", "grow deepen initialisation=kaiming", "train 0.2"),
        "two": ("train 0.2", "prune 0.5 score=random", "remake reinit", "rewind",
                "grow deepen initialisation=kaiming", "train 0.2"),
    }  # fmt: skip
    found = played(small(arms=arms), Stages(tmp_path), is_real=True)
    one, two = (found[name].trainings[1].before for name in arms)
    new = next(name for name in one.masks if bool((one.births[name] == 1).all()))
    assert torch.equal(one.weights[new], two.weights[new])
    other = played(small("seed=4", arms=arms), Stages(tmp_path / "4"), is_real=False)["one"]
    assert not torch.equal(other.ticket.weights[new], one.weights[new])


def test_the_same_verb_draws_anew_each_time(tmp_path: Any) -> None:
    """The second reinit is another than the first, and both are those of the named generators."""
    moves = ("remake reinit", "train 0.2", "remake reinit", "train 0.2")
    stand = played(small(arms={"a": moves}), Stages(tmp_path), is_real=True)["a"]
    first, second = (done.before for done in stand.trainings)
    for number, ticket in enumerate((first, second)):
        draws = seeds.generator(3, "move", "Remake", number)
        values = fresh(ticket.architecture, draws, "kaiming_normal")
        wanted = masking.apply(values, ticket.masks)
        assert all(torch.equal(ticket.weights[name], wanted[name]) for name in wanted)


def test_a_growth_of_a_saved_ticket_is_younger_than_all_of_it(tmp_path: Any) -> None:
    """Births go on where the ticket's own ended."""
    grow = "grow widen initialisation=kaiming"
    parent = played(small(arms={"a": (grow, grow, "train 0.1")}), Stages(tmp_path), is_real=True)
    saved = parent["a"].ticket.save(tmp_path / "saved.safetensors")
    arms = {"b": (f"begin '{saved}'", grow, "train 0.1")}
    found = plan(small(arms=arms)).stands["b"].ticket
    births = torch.cat([born.flatten() for born in found.births.values()]).unique()
    assert births.tolist() == [0, 1, 2, 3]
