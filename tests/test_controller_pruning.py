"""Recursive growth under every way of pruning, and each weight's own rewind step."""

from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import bench_of, small, whole

from recursive_lth.errors import InputError
from recursive_lth.pruning.scores import NEEDS_TALLY, SCORES
from recursive_lth.running import train as trains
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.ticket.masks import remaining
from recursive_lth.ticket.ticket import Ticket

FIXED = (
    "growth.policy=fixed",
    "growth.schedule=[{operator='widen', ratio=0.5}, {operator='residual'}]",
    "budget.generations=3",
)


@pytest.mark.parametrize(
    "settings",
    [
        ("pruning.scope=erk",),
        ("pruning.scope=uniform_plus",),
        ("pruning.schedule=one_shot",),
        ("pruning.schedule=cubic", "pruning.rounds=2"),
        ("pruning.schedule=exponential", "pruning.rounds=2", "pruning.scope=per_layer"),
        ("pruning.granularity=2:4", "pruning.target_density=0", "pruning.rounds=1"),
        ("pruning.rewind=fine_tune", "training.schedule=steps"),
        ("pruning.rewind=3it", "pruning.restore=signs"),
        ("pruning.rewind=1ep", "pruning.restore=learning_rate"),
        ("pruning.score=synflow", "pruning.score_rounds=5", "pruning.layer_floor=0"),
        *((f"pruning.score={name}",) for name in sorted(SCORES.keys() - NEEDS_TALLY)),
    ],
    ids=lambda settings: settings[0],
)
def test_a_lineage_grows_under_every_way_of_pruning(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Four tickets; each pruned one has as many weights as its target says, where it has one."""
    experiment = small(*FIXED, *settings)
    turns = whole(bench_of(experiment, tmp_path))
    assert [turn.generation for turn, _ in turns] == [0, 1, 2, 3]
    for turn, ticket in turns[1:]:
        weights = sum(mask.numel() for mask in ticket.masks.values())
        assert turn.remaining_weights == remaining(ticket.masks) < weights
        if experiment.pruning.target_density and experiment.pruning.scope != "per_layer":
            assert turn.remaining_weights == round(0.4 * weights)


def test_units_are_removed_in_a_lineage(tmp_path: Path) -> None:
    """Half the units of each width go in a round; what is left is dense and really smaller."""
    settings = ("pruning.granularity=unit", "pruning.scope=per_layer", "pruning.rounds=1",
                "start.hidden=[8]", "pruning.target_density=0.1")  # fmt: skip
    turns = whole(bench_of(small(*FIXED, *settings), tmp_path))
    assert turns[1][0].widths == {"fc1": 4}
    assert turns[2][0].widths == {"fc1": 3}  # widened to 6, then half of them
    assert all(turn.density == 1 for turn, _ in turns[:3])


def test_every_weight_has_its_own_rewind_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old weights rewind to step 3 of generation 0, new ones to step 3 after their growth."""
    seen: list[tuple[dict[str, Any], Ticket, Fitted]] = []

    def spied(bench: Any, ticket: Ticket, job: Any, stop: Any = None) -> Fitted:
        fitted = fit(bench, ticket, job, stop)
        seen.append((dict(job.labels), ticket, fitted))
        return fitted

    monkeypatch.setattr(trains, "fit", spied)
    turns = whole(bench_of(small(*FIXED, "pruning.rewind=3it"), tmp_path))
    first = next(fitted for labels, _, fitted in seen if labels["phase"] == "train")
    grown = {
        labels["generation"]: fitted for labels, _, fitted in seen if labels["phase"] == "grow"
    }
    last = turns[3][1]
    for name, births in last.births.items():
        for generation in births.unique().tolist():
            kept = (grown[generation] if generation else first).kept[3].weights[name]
            place = (births == generation) & last.masks[name]
            inner = place[tuple(slice(size) for size in kept.shape)]
            assert torch.equal(last.rewind[name][place], kept[inner])
    begun = [ticket for labels, ticket, _ in seen if labels["phase"] == "prune"]
    for ticket in begun:
        for name, mask in ticket.masks.items():
            assert torch.equal(ticket.weights[name], ticket.rewind[name] * mask)


def test_grow_refuses_what_it_cannot_rewind_to(tmp_path: Path) -> None:
    """Fine-tuning needs a rate to go on with."""
    with pytest.raises(InputError, match=r"ends at 0.*training\.schedule"):
        whole(bench_of(small(*FIXED, "pruning.rewind=fine_tune"), tmp_path))
