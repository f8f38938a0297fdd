"""How a ticket is cut and what its weights are set back to."""

import math
import re
from dataclasses import dataclass

from recursive_lth.config.checks import one_of, within
from recursive_lth.errors import InputError

SCHEDULES = ("iterative", "one_shot", "cubic", "exponential")
RESTORED = ("weights", "learning_rate", "signs")
PRUNED = ("zero", "initial", "initial_if_grown")
MOMENT = re.compile(r"init|\d+it|\d+(\.\d+)?ep")


def moment_step(moment: str, per_epoch: int) -> int:
    """The step that `init`, `500it` or `2ep` names, where an epoch has so many steps.

    >>> moment_step("1.5ep", 100)
    150
    """
    if moment == "init":
        return 0
    if moment.endswith("it"):
        return int(moment.removesuffix("it"))
    return round(float(moment.removesuffix("ep")) * per_epoch)


@dataclass(frozen=True)
class Pruning:
    """How a ticket is cut: each round removes `rate` of what remains, until a target is met.

    The target is `target_weights` where that is above 0, else `target_density`; with both 0 a
    generation prunes `rounds` rounds. Schedules other than `iterative` reach the target in one
    round, or in exactly `rounds`. `epochs` of training follow each round, after rewinding; 0 (for
    `prune` alone) repeats the first training from the step that was rewound to.

    `rewind` says to what: `none` (weights are inherited), `fine_tune` (inherited, trained at the
    schedule's last rate), `init`, or a step such as `500it` or `2ep`; for weights grown later the
    same step after their birth. `restore` says what is set back: the weights, only the learning
    rate (Renda et al. 2020), or only the weights' signs, at the layer's constant size. `pruned`
    is the mask-0 action of Zhou et al. (2019): what stands in place of a pruned weight. Of an N:M
    granularity scope and rate are given.
    """

    score: str = "magnitude"
    score_rounds: int = 0  # scored anew so many times on the way down; 0 = the score's own number
    score_samples: int = 256  # training samples that scores with a gradient look at
    basis: str = "identity"  # of the coefficients that are trained and pruned
    scope: str = "global"
    granularity: str = "weight"  # weight, unit, or N:M such as 2:4
    schedule: str = "iterative"
    rate: float = 0.2
    output_rate: float | None = None  # the output layer's own rate; without it: as all others
    rounds: int = 0  # at most so many rounds a generation; 0 = until the target is met
    target_weights: int = 0
    target_density: float = 0.2
    layer_floor: int = 1  # every layer keeps at least so many weights; 0 lets layers collapse
    quarantine: int = 0  # for so many generations a grown weight is pruned after all others
    spare_skeleton: bool = False  # prune the ones of identity layers after all others
    epochs: float = 1.0
    rewind: str = "none"
    restore: str = "weights"
    pruned: str = "zero"

    def __post_init__(self) -> None:
        within("pruning.rate", self.rate, 0, 0.999, open_low=True)
        if self.output_rate is not None:
            within("pruning.output_rate", self.output_rate, 0, 0.999)
            has_rates = self.schedule == "iterative" and self.scope in {"global", "per_layer"}
            if not has_rates or self.granularity != "weight":
                raise InputError(
                    "pruning.output_rate needs rates of single weights: set pruning.schedule="
                    "iterative, pruning.scope=global or per_layer and pruning.granularity=weight"
                )
        within("pruning.score_rounds", self.score_rounds, 0, 10_000)
        within("pruning.score_samples", self.score_samples, 1, math.inf)
        within("pruning.rounds", self.rounds, 0, math.inf)
        within("pruning.target_weights", self.target_weights, 0, math.inf)
        within("pruning.target_density", self.target_density, 0, 1)
        within("pruning.layer_floor", self.layer_floor, 0, math.inf)
        within("pruning.epochs", self.epochs, 0, math.inf)
        within("pruning.quarantine", self.quarantine, 0, math.inf)
        if self.granularity != "weight" and (self.quarantine or self.spare_skeleton):
            raise InputError(
                "pruning.quarantine and spare_skeleton spare single weights: set "
                "pruning.granularity=weight"
            )
        one_of("pruning.schedule", self.schedule, SCHEDULES)
        one_of("pruning.restore", self.restore, RESTORED)
        one_of("pruning.pruned", self.pruned, PRUNED)
        self._check_granularity()
        self._check_end()
        self._check_rewind()

    def _check_granularity(self) -> None:
        if self.granularity in {"weight", "unit"}:
            return
        if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", self.granularity) or self.kept_of >= self.group:
            raise InputError(
                "pruning.granularity must be weight, unit, or N:M with N below M such as 2:4, "
                f"got {self.granularity!r}"
            )
        if self.target_density or self.target_weights or self.rounds != 1:
            raise InputError(
                f"pruning.granularity {self.granularity} sets the density itself, in one round: "
                "set pruning.target_density=0, pruning.target_weights=0 and pruning.rounds=1"
            )

    def _check_end(self) -> None:
        has_target = self.target_weights or self.target_density
        if not (has_target or self.rounds):
            raise InputError(
                "pruning needs an end: set target_weights, target_density or rounds above 0"
            )
        if self.schedule != "iterative" and not has_target and not self.kept_of:
            raise InputError(
                f"pruning.schedule {self.schedule} runs to a target: set pruning.target_density"
            )
        if self.schedule in {"cubic", "exponential"} and not self.rounds:
            raise InputError(f"pruning.schedule {self.schedule} needs pruning.rounds above 0")
        if self.granularity == "unit" and self.target_weights:
            raise InputError(
                "pruning.target_weights counts weights, pruning.granularity unit removes units: "
                "set pruning.target_density"
            )

    def _check_rewind(self) -> None:
        if self.rewind not in {"none", "fine_tune"} and not MOMENT.fullmatch(self.rewind):
            raise InputError(
                "pruning.rewind must be none, fine_tune, init or like 500it or 2ep, "
                f"got {self.rewind!r}"
            )
        if self.is_inheriting and (self.restore != "weights" or self.pruned != "zero"):
            raise InputError(
                f"pruning.restore and pruned go with a step to rewind to, not {self.rewind!r}: set "
                "pruning.rewind=init"
            )

    @property
    def is_inheriting(self) -> bool:
        """True iff a cut ticket trains on from the weights it has."""
        return self.rewind in {"none", "fine_tune"}

    @property
    def keeps_trained(self) -> bool:
        """True iff a cut ticket has trained weights, though its learning rate may be rewound."""
        return self.is_inheriting or self.restore == "learning_rate"

    @property
    def kept_of(self) -> int:
        """N of an N:M granularity; 0 for another."""
        return int(self.granularity.partition(":")[0]) if ":" in self.granularity else 0

    @property
    def group(self) -> int:
        """M of an N:M granularity; 0 for another."""
        return int(self.granularity.partition(":")[2]) if ":" in self.granularity else 0

    def rewind_step(self, per_epoch: int) -> int | None:
        """The step of the first training to rewind to; None where weights are inherited."""
        return None if self.is_inheriting else moment_step(self.rewind, per_epoch)
