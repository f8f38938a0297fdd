"""What `prune` does besides cutting: levels, replicates, arms, controls, supermasks, transfer."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from recursive_lth.config.checks import one_of, within
from recursive_lth.config.pruning import MOMENT
from recursive_lth.errors import InputError

METHODS = ("", "edge_popup", "bernoulli", "reinforce")
SIZES = ("as_born", "signed_constant")
KEEP = ("all", "last")


@dataclass(frozen=True)
class Tickets:
    """The levels of a run, its replicates, and what is trained beside each ticket.

    Level 0 is dense. With `densities` each later level has the density named, whatever rate, rounds
    and targets `pruning` has; else `pruning.rate` leads down to `pruning.target_density`. Under the
    schedule `one_shot` every level is cut from level 0, otherwise from the level before. Replicate
    r has the root seed `seed + r`; a ticket and its controls share it.
    """

    replicates: int = 3
    densities: tuple[float, ...] = ()
    score_at: str = "end"  # when in a level's training: end, init, or a step such as 500it
    early_bird: float = 0.0  # stop a level once masks differ by at most this; 0 = train it whole
    early_bird_queue: int = 5
    look_every: int = 0  # steps between looks at the validation data; 0 = once an epoch
    controls: tuple[str, ...] = ()
    control_levels: tuple[int, ...] = ()  # levels with controls; [] = all but level 0
    critical_compression: bool = False  # search for the score's, at level 0
    weight_samples: int = 0  # evaluate each mask on so many fresh draws of the weights
    keep: str = "all"  # tickets of all levels, or of the last alone

    def __post_init__(self) -> None:
        within("tickets.replicates", self.replicates, 1, 10_000)
        for density in self.densities:
            within("tickets.densities", density, 0, 1, open_low=True)
        if not all(a > b for a, b in zip(self.densities, self.densities[1:], strict=False)):
            raise InputError(f"tickets.densities must fall, got {list(self.densities)}")
        if self.score_at != "end" and not MOMENT.fullmatch(self.score_at):
            raise InputError(
                f"tickets.score_at must be end, init or like 500it or 2ep, got {self.score_at!r}"
            )
        within("tickets.early_bird", self.early_bird, 0, 1)
        within("tickets.early_bird_queue", self.early_bird_queue, 2, 1000)
        within("tickets.look_every", self.look_every, 0, math.inf)
        within("tickets.weight_samples", self.weight_samples, 0, math.inf)
        for level in self.control_levels:
            within("tickets.control_levels", level, 1, math.inf)
        one_of("tickets.keep", self.keep, KEEP)
        if self.early_bird and self.score_at != "end":
            raise InputError(
                "tickets.early_bird finds the step to score at itself: leave tickets.score_at=end"
            )


@dataclass(frozen=True)
class Supermask:
    """Masks that are trained while the weights stay as they were born; empty `method` = none.

    `edge_popup` (Ramanujan et al. 2020) keeps the top scores of each layer; `bernoulli` and
    `reinforce` draw masks from sigmoid scores (Zhou et al. 2019). The mask found takes the place
    of a score: each level is a supermask, and its weights are not trained.
    """

    method: str = ""
    epochs: float = 5.0
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    weights: str = "signed_constant"

    def __post_init__(self) -> None:
        one_of("supermask.method", self.method, METHODS)
        one_of("supermask.weights", self.weights, SIZES)
        within("supermask.epochs", self.epochs, 0, math.inf, open_low=True)
        within("supermask.learning_rate", self.learning_rate, 0, math.inf, open_low=True)
        within("supermask.momentum", self.momentum, 0, 0.9999)
        within("supermask.weight_decay", self.weight_decay, 0, math.inf)


@dataclass(frozen=True)
class Transfer:
    """Where else a ticket is trained: on other data, or by another optimizer.

    The ticket keeps its mask and initial weights (Morcos et al. 2019, arXiv 1906.02773); beside it
    train the run's controls on the same. Empty or 0 means as in `data` and `training`.
    """

    data: str = ""
    classes: tuple[int, ...] = ()
    optimizer: str = ""
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        within("transfer.learning_rate", self.learning_rate, 0, math.inf)

    @property
    def is_wanted(self) -> bool:
        """True iff anything is to differ."""
        return self != Transfer()


@dataclass(frozen=True)
class Arm:
    """A variant of the experiment: its name and the settings laid over, as for `--set`."""

    name: str = "ticket"
    set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,31}", self.name):
            raise InputError(f"arms.name must be letters, digits, _ . : + or -, got {self.name!r}")
        for setting in self.set:
            if setting.replace(" ", "").startswith("tickets.replicates="):
                raise InputError(
                    f"arm {self.name} sets {setting!r}: replicates are the whole run's, so that "
                    "arms are paired; set tickets.replicates outside the arms"
                )
            if setting.partition(".")[0].partition("=")[0] not in ARM_SECTIONS:
                raise InputError(
                    f"arm {self.name} sets {setting!r}: an arm may set values of "
                    f"{', '.join(ARM_SECTIONS)}"
                )


ARM_SECTIONS = ("data", "start", "training", "pruning", "tickets", "supermask", "transfer")


def check_arms(arms: Sequence[Arm]) -> None:
    """Raise `InputError` where two arms have one name."""
    names = [arm.name for arm in arms]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"arms need names of their own, {doubled} are there twice")
