"""What a study does: its subject, arms, tasks, panel, and the contrasts that it decides."""

import math
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from recursive_lth.config.checks import within
from recursive_lth.config.experiment import check_name, digest_of
from recursive_lth.config.training import Data, Start, Training
from recursive_lth.errors import InputError

NAME = r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,31}"
READINGS = ("last", "all")
ALONG = "generation-"  # how arms begin that are the generations of one run


@dataclass(frozen=True)
class StudyArm:
    """A line of a study: what is done to the network of each seed, move by move.

    A move is a verb, what belongs to it, and `key=value`: "train 3 learning_rate=1e-4", "prune
    0.2", "grow deepen initialisation=identity". `study.moves` has them all.
    """

    name: str = ""
    moves: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME, self.name):
            raise InputError(f"arms.name must be letters, digits, _ . : + or -, got {self.name!r}")
        if not self.moves:
            raise InputError(f'arm {self.name}: moves must name at least one, such as "train 1"')


@dataclass(frozen=True)
class Task:
    """Data that a training may see in place of the study's own: what differs from `[data]`.

    Empty, 0 or "true" leaves each as `[data]` has it; `data` names another data set.
    """

    name: str = ""
    data: str = ""
    classes: tuple[int, ...] = ()
    train_limit: int = 0
    label_noise: float = 0.0
    labels: str = "true"
    pixels: str = "true"
    draw: int = 0
    resize: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME, self.name):
            raise InputError(f"tasks.name must be letters, digits, _ . : + or -, got {self.name!r}")
        within("tasks.draw", self.draw, 0, math.inf)
        Data(**{**self._changes, "draw": 0})  # what it numbers may be drawn in [data]

    @property
    def _changes(self) -> dict[str, Any]:
        """What it names of the fields of `Data`."""
        changes = {k: v for k, v in asdict(self).items() if k != "name" and v != getattr(Task, k)}
        return {"name" if key == "data" else key: value for key, value in changes.items()}

    def of(self, data: Data) -> Data:
        """The data of a study as this task has them. Raises `InputError` where they cannot be."""
        try:
            return Data(**{**asdict(data), **self._changes})
        except InputError as error:
            raise InputError(f"task {self.name}: {error}") from None


@dataclass(frozen=True)
class Study:
    """How many seeds, what is read and when, and what it is to decide.

    Replicate r has the root seed `seed + r`: its own initial weights, split and batches. `panel`
    names measures, or "default" or "all"; they are read at `moments` of a training, 0 before and 1
    after it, of each arm's last training or of all. Where that is before it alone, an arm's last
    training is not made. `looks` is how often a training looks at the
    validation data, `samples` how many of them (and of the training data) the measures take.
    `target` is the validation accuracy whose arrival `cost_to_target` tells. A contrast is a line:
    "NAME: ARM > ARM in MEASURE [at MOMENT] [of TRAINING] [within MARGIN]".
    """

    seeds: int = 5
    panel: tuple[str, ...] = ("default",)
    moments: tuple[float, ...] = (0.0, 1.0)
    readings: str = "last"
    looks: int = 20
    samples: int = 500
    target: float = 0.9
    level: float = 0.05
    contrasts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        within("study.seeds", self.seeds, 1, 10_000)
        within("study.looks", self.looks, 1, 10_000)
        within("study.samples", self.samples, 2, math.inf)
        within("study.target", self.target, 0, 1, open_low=True)
        within("study.level", self.level, 0, 0.5, open_low=True)
        if self.readings not in READINGS:
            raise InputError(f"study.readings must be last or all, got {self.readings!r}")
        if not self.moments or list(self.moments) != sorted(set(self.moments)):
            raise InputError(f"study.moments must rise, got {list(self.moments)}")
        for moment in self.moments:
            within("study.moments", moment, 0, 1)


@dataclass(frozen=True)
class StudyExperiment:
    """Every number of a study; its digest names the run's folder."""

    command: str = "study"
    name: str = "study"
    claim: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    start: Start = field(default_factory=Start)
    training: Training = field(default_factory=Training)
    study: Study = field(default_factory=Study)
    tasks: tuple[Task, ...] = ()
    arms: tuple[StudyArm, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, self.seed)
        if self.command != "study":
            raise InputError(f"command must be study here, got {self.command!r}")
        if self.training.epochs != Training().epochs:
            raise InputError(
                'training.epochs is not read by a study: its arms say how long, as in "train 3"'
            )
        if not self.arms:
            raise InputError("arms: a study needs at least one, [[arms]] with a name and moves")
        for what, names in (
            ("arms", [arm.name for arm in self.arms]),
            ("tasks", [task.name for task in self.tasks]),
        ):
            if doubled := sorted({name for name in names if names.count(name) > 1}):
                raise InputError(f"{what} need names of their own, {doubled[0]} is there twice")

    @property
    def digest(self) -> str:
        """SHA-256 of the format number and every value, defaults included."""
        return digest_of(asdict(self))

    @property
    def folder_name(self) -> str:
        """The name of its run's folder."""
        return f"{self.name}-{self.digest[:12]}"


def arm_of_generation(number: int) -> str:
    """The arm of a run's generation, in a study along its lineage."""
    return f"{ALONG}{number:03d}"


def generation_of_arm(name: str) -> int | None:
    """The generation that an arm is of; None of one that somebody has named.

    >>> generation_of_arm(arm_of_generation(7)), generation_of_arm("grown")
    (7, None)
    """
    number = name.removeprefix(ALONG)
    return int(number) if number != name and number.isdecimal() else None
