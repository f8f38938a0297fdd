"""How fast and how well a training learns, read off its looks at the validation data.

Lengths are multiply-adds in epochs of the dense start network, so that networks of any size are
held against each other at equal cost; a training's own steps are given as well.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from recursive_lth.study.scene import Scene

Row = dict[str, Any]


def cost_to_target(scene: Scene) -> float | None:
    """What the training cost until it reached the target accuracy, in epochs of the start network.

    Between two looks the accuracy is taken to rise in a straight line. None where it is not
    reached: such a seed is missing from the pairs, which is told.
    """
    reached = _reached(scene.curve, scene.target, "spent")
    return None if reached is None else (reached - scene.spent[0]) / scene.epoch_cost


def steps_to_target(scene: Scene) -> float | None:
    """The steps of this training until it reached the target accuracy, likewise."""
    return _reached(scene.curve, scene.target, "step")


def reaches_target(scene: Scene) -> float:
    """1 where the target accuracy was reached at some look, else 0."""
    return float(_reached(scene.curve, scene.target, "step") is not None)


def loss_area(scene: Scene) -> float | None:
    """The mean validation loss over the training, by the trapezoid rule: low is fast and good.

    The area under the curve of loss against cost, divided by the cost; every look counts, so it is
    told more surely than any one of them.
    """
    return area(scene.curve, "val_loss")


def accuracy_area(scene: Scene) -> float | None:
    """The mean validation accuracy over the training, likewise."""
    return area(scene.curve, "val_accuracy")


def early_stop_cost(scene: Scene) -> float | None:
    """What the training cost until its least validation loss (Frankle & Carbin 2019, 1803.03635).

    In epochs of the start network; 0 where the loss only rises.
    """
    known = [row for row in scene.curve if row["val_loss"] is not None]
    if not known:
        return None
    best = min(known, key=lambda row: (row["val_loss"], row["step"]))
    return float((best["spent"] - scene.spent[0]) / scene.epoch_cost)


def start_accuracy(scene: Scene) -> float:
    """Validation accuracy before the first step: what the network brings along."""
    return float(scene.curve[0]["val_accuracy"])


def val_accuracy(scene: Scene) -> float:
    """Validation accuracy at the end."""
    return float(scene.curve[-1]["val_accuracy"])


def val_loss(scene: Scene) -> float | None:
    """Validation loss at the end, in nats."""
    return _number(scene.curve[-1]["val_loss"])


def calibrated_loss(scene: Scene) -> float | None:
    """Validation loss at the end, at its best temperature (Guo et al. 2017, arXiv 1706.04599)."""
    return _number(scene.curve[-1]["val_calibrated_loss"])


def test_accuracy(scene: Scene) -> float | None:
    """Accuracy on the test data at the end; it reports, and nothing goes by it."""
    return scene.tested


def area(curve: Sequence[Row], name: str, along: str = "spent") -> float | None:
    """The mean of a value over the length of a training, by the trapezoid rule.

    None where there is but one look, or a value is missing.
    """
    if len(curve) < 2 or any(row[name] is None for row in curve):
        return None
    whole = sum(
        (after[along] - before[along]) * (before[name] + after[name]) / 2
        for before, after in itertools.pairwise(curve)
    )
    return float(whole / (curve[-1][along] - curve[0][along]))


def _reached(curve: Sequence[Row], target: float, axis: str) -> float | None:
    """Where on an axis the accuracy first comes to the target."""
    before: Row | None = None
    for row in curve:
        if row["val_accuracy"] >= target:
            if before is None:
                return float(row[axis])
            rise = row["val_accuracy"] - before["val_accuracy"]
            share = (target - before["val_accuracy"]) / rise
            return float(before[axis] + share * (row[axis] - before[axis]))
        before = row
    return None


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
