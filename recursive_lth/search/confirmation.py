"""What paired trainings have shown of a ticket: scores, effects and verdicts against each rival."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from recursive_lth.config import Acceptance
from recursive_lth.statistics import Effect, Verdict, effect, holm, verdict

CHILD, PARENT = "child", "parent"


@dataclass(frozen=True)
class Scores:
    """How one network did on each seed, at the end of so many steps."""

    name: str
    steps: int
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]  # at the best temperature


@dataclass(frozen=True)
class Comparison:
    """The ticket against one rival; effects are gains: accuracy more, calibrated loss less.

    `p_holm` is a control's p among those of all controls. Where the ticket leaves no room for a
    control there are no scores but a `reason`.
    """

    rival: str
    verdict: Verdict | None
    accuracy: Effect | None
    loss: Effect | None
    p_holm: float | None
    scores: Scores | None
    reason: str = ""

    def effect(self, measure: str) -> Effect:
        """That in accuracy or in loss."""
        found = self.accuracy if measure == "accuracy" else self.loss
        if found is None:
            raise ValueError(f"{self.rival} was not compared: {self.reason}")
        return found


@dataclass(frozen=True)
class Confirmation:
    """All comparisons of one ticket, the parent's first, and what they cost.

    `margin` is what was left of it, `carried` what this ticket's children begin with.
    """

    measure: str
    level: float
    margin: float
    carried: float
    child: Scores
    against: tuple[Comparison, ...]
    training_cost: int
    training_steps: int

    @property
    def parent(self) -> Comparison:
        """The comparison that decides."""
        return self.against[0]

    def to_dict(self) -> dict[str, Any]:
        """As it is read back from the lineage: plain JSON values."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found


def compare(
    rule: Acceptance,
    margin: float,
    scores: Mapping[str, Scores],
    samples: int,
    generator: np.random.Generator,
) -> list[Comparison]:
    """The child's scores against each other's, in their order; the parent comes first.

    Accuracies of so many validation samples come in steps, losses do not.
    """
    child, step = scores[CHILD], 1 / samples
    found = []
    for name, rival in scores.items():
        if name == CHILD:
            continue
        right = [a - b for a, b in zip(child.accuracies, rival.accuracies, strict=True)]
        lost = [b - a for a, b in zip(child.losses, rival.losses, strict=True)]
        is_accuracy = rule.measure == "accuracy"
        word = verdict(
            right if is_accuracy else lost,
            margin if name == PARENT else rule.margin,
            level=rule.level,
            step=step if is_accuracy else 0.0,
        )
        gains = effect(right, generator, step=step), effect(lost, generator)
        found.append(Comparison(name, word, *gains, None, rival))
    controls = found[1:]
    adjusted = holm([each.effect(rule.measure).p for each in controls])
    return found[:1] + [
        replace(
            each,
            p_holm=p,
            verdict="undecided" if each.verdict == "won" and p > rule.level else each.verdict,
        )
        for each, p in zip(controls, adjusted, strict=True)
    ]


def left_out(name: str, reason: str) -> Comparison:
    """A control for which the ticket leaves no room, and why."""
    return Comparison(name, None, None, None, None, None, reason)
