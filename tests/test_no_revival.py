"""What is pruned stays pruned: under every optimizer, clipping and rewinding, at every step."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lottery_runs import run, small
from torch import Tensor

from recursive_lth.running import fit as fits
from recursive_lth.training.loop import Step, training

OPTIMIZERS = {
    "sgd": ("training.momentum=0.9", "training.learning_rate=0.1"),
    "adam": ("training.weight_decay=0.01",),
    "adamw": ("training.weight_decay=0.1",),
}
REWINDS = {
    "none": ("pruning.rewind=none", "pruning.epochs=36"),
    "continued": ("pruning.rewind=none", "tickets.score_at=50it"),
    "fine_tune": ("pruning.rewind=fine_tune", "pruning.epochs=36"),
    "init": (),
    "step": ("pruning.rewind=30it",),
    "learning_rate": ("pruning.rewind=30it", "pruning.restore=learning_rate"),
    "signs": ("pruning.restore=signs",),
    "initial": ("pruning.pruned=initial",),
    "initial_if_grown": ("pruning.pruned=initial_if_grown",),
    "dct": ("pruning.basis=dct",),
    "unit": ("pruning.granularity=unit", "start.hidden=[12]"),
    "2:4": ("pruning.granularity=2:4",),
}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Looks at every step of every training; holds the number of each training's steps."""
    lengths: list[int] = []

    def looking(
        architecture: Any, weights: Any, masks: Mapping[str, Tensor], *more: Any, **options: Any
    ) -> Iterator[Step]:
        is_sparse = any(not bool(mask.all()) for mask in masks.values())
        count = 0
        for step in training(architecture, weights, masks, *more, **options):
            count += 1
            for name, mask in masks.items():
                assert not step.weights[name][~mask].any(), f"{name} revived at {step.number}"
            if is_sparse and count in {1, 50, 200}:
                for kind, tensors in step.state().items():
                    for name in masks.keys() & (tensors.keys() if kind != "step" else set()):
                        assert not tensors[name][~masks[name]].any(), f"{kind} of {name}"
            yield step
        lengths.append(count)

    monkeypatch.setattr(fits, "training", looking)
    return lengths


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("rewind", REWINDS)
def test_no_weight_is_revived(
    optimizer: str, clip: float, rewind: str, tmp_path: Path, watched: list[int]
) -> None:
    """200 steps and more; weights and moments of pruned places are 0 after each."""
    settings = (
        *("training.epochs=36", "training.schedule=steps", "pruning.rounds=1"),
        *(f"training.optimizer={optimizer}", f"training.clip_norm={clip}"),
        *OPTIMIZERS[optimizer],
        *REWINDS[rewind],
    )
    lines = run(small(*settings), tmp_path)
    assert watched[0] == 252
    assert watched[1] == {"continued": 202, "step": 222, "learning_rate": 222}.get(rewind, 252)
    sizes = [line["remaining_weights"] for line in lines]
    assert sizes[1] < sizes[0]
    assert not any(line["is_diverged"] for line in lines)
