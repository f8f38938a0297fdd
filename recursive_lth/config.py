"""Every number of a run, as frozen dataclasses whose constructors check each value.

Names of algorithms are plain strings here; `pick` looks them up in the dict at the foot of the
module that holds them. `config_file` turns all this into TOML and back.
"""

import difflib
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from recursive_lth.errors import InputError
from recursive_lth.files import canonical_json

FORMAT = 1  # raise it when the meaning of any value changes
T = TypeVar("T")


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?` with the known name most like `word`, or else the list of all."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(names)}"


def pick(registry: Mapping[str, T], name: str, what: str) -> T:
    """The entry of a registry. Raises `InputError` naming the nearest key where there is none."""
    if name not in registry:
        raise InputError(f"unknown {what} {name!r}: {nearest(name, registry)}")
    return registry[name]


def _within(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise unless value lies in [low, high], or in (low, high] with `open_low`."""
    is_inside = low < value <= high if open_low else low <= value <= high
    if not is_inside or not math.isfinite(value):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{']' if high < math.inf else ')'}"
        raise InputError(f"{name} must be a finite number in {interval}, got {value}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


@dataclass(frozen=True)
class Data:
    """Which data: a known name, an .npz file; how much of the training part validates."""

    name: str = "digits"
    validation_fraction: float = 0.1
    train_limit: int = 0  # use only so many training samples; 0 = all
    test_limit: int = 0

    def __post_init__(self) -> None:
        _within("data.validation_fraction", self.validation_fraction, 0, 0.9, open_low=True)
        _within("data.train_limit", self.train_limit, 0, math.inf)
        _within("data.test_limit", self.test_limit, 0, math.inf)


@dataclass(frozen=True)
class Start:
    """The network that generation 0 trains; empty `hidden` means the architecture's own widths."""

    architecture: str = "mlp"
    hidden: tuple[int, ...] = ()
    initialisation: str = "kaiming_normal"

    def __post_init__(self) -> None:
        for units in self.hidden:
            _within("start.hidden", units, 1, math.inf)


@dataclass(frozen=True)
class Training:
    """How weights are trained, wherever they are; `epochs` are those of generation 0."""

    epochs: float = 10.0
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.0
    batch_size: int = 64
    schedule: str = "cosine"
    warmup: float = 0.0  # share of the steps with a linearly rising learning rate
    label_smoothing: float = 0.0
    dropout: float = 0.0
    clip_norm: float = 0.0  # largest gradient norm; 0 = no clipping
    shift: int = 0  # random shifts of up to so many pixels each way
    crop: int = 0  # random crops out of a reflecting rim of so many pixels
    flip: bool = False  # random left-right flips
    shrink: float = 1.0  # weights times this before a ticket grows (Ash & Adams 2020)
    perturb: float = 0.0  # fresh initial weights times this are added there
    threads: int = 1  # pinned, since the number of threads changes the last bits

    def __post_init__(self) -> None:
        _within("training.epochs", self.epochs, 0, math.inf, open_low=True)
        _within("training.learning_rate", self.learning_rate, 0, math.inf, open_low=True)
        _within("training.momentum", self.momentum, 0, 0.9999)
        _within("training.weight_decay", self.weight_decay, 0, math.inf)
        _within("training.batch_size", self.batch_size, 1, math.inf)
        _within("training.warmup", self.warmup, 0, 1)
        _within("training.label_smoothing", self.label_smoothing, 0, 0.99)
        _within("training.dropout", self.dropout, 0, 0.99)
        _within("training.clip_norm", self.clip_norm, 0, math.inf)
        _within("training.shift", self.shift, 0, 64)
        _within("training.crop", self.crop, 0, 64)
        _within("training.shrink", self.shrink, 0, 1, open_low=True)
        _within("training.perturb", self.perturb, 0, math.inf)
        _within("training.threads", self.threads, 1, 1024)
        if self.shift and self.crop:
            raise InputError("training.shift and training.crop exclude each other: set one to 0")


@dataclass(frozen=True)
class Pruning:
    """How a ticket is cut: each round removes `rate` of what remains, until a target is met.

    The target is `target_weights` where that is above 0, else `target_density`; with both 0 a
    generation prunes `rounds` rounds. `epochs` of training follow each round, after rewinding.
    """

    score: str = "magnitude"
    scope: str = "global"
    rate: float = 0.2
    output_rate: float | None = None  # the output layer's own rate; without it: as all others
    rounds: int = 0  # at most so many rounds a generation; 0 = until the target is met
    target_weights: int = 0
    target_density: float = 0.2
    layer_floor: int = 1  # every layer keeps at least so many weights
    epochs: float = 1.0
    rewind: str = "none"  # none, init, or a step such as 500it

    def __post_init__(self) -> None:
        _within("pruning.rate", self.rate, 0, 0.999, open_low=True)
        if self.output_rate is not None:
            _within("pruning.output_rate", self.output_rate, 0, 0.999)
        _within("pruning.rounds", self.rounds, 0, math.inf)
        _within("pruning.target_weights", self.target_weights, 0, math.inf)
        _within("pruning.target_density", self.target_density, 0, 1)
        _within("pruning.layer_floor", self.layer_floor, 1, math.inf)
        _within("pruning.epochs", self.epochs, 0, math.inf, open_low=True)
        if not (self.target_weights or self.target_density or self.rounds):
            raise InputError(
                "pruning needs an end: set target_weights, target_density or rounds above 0"
            )
        if not re.fullmatch(r"none|init|\d+it", self.rewind):
            raise InputError(
                f"pruning.rewind must be none, init or like 500it, got {self.rewind!r}"
            )

    @property
    def rewind_step(self) -> int | None:
        """The step of generation 0 to rewind to; None where weights are inherited."""
        if self.rewind == "none":
            return None
        return 0 if self.rewind == "init" else int(self.rewind.removesuffix("it"))


@dataclass(frozen=True)
class GrowthStep:
    """One growth: an operator, where (0 = input side, 1 = output side), how much, and how born."""

    operator: str = "deepen"
    place: float = 1.0
    ratio: float = 0.2  # new units for each old one; unused by operators that add layers
    initialisation: str = "preserving"
    mask: str = "dense"

    def __post_init__(self) -> None:
        _within("place", self.place, 0, 1)
        _within("ratio", self.ratio, 0, 16, open_low=True)


@dataclass(frozen=True)
class Space:
    """What a search may grow: lists of names and [low, high] intervals, the same at any depth."""

    description: str = ""
    operator: tuple[str, ...] = ("widen", "deepen")
    place: tuple[float, float] = (0.0, 1.0)
    ratio: tuple[float, float] = (0.1, 0.5)
    initialisation: tuple[str, ...] = ("preserving",)
    mask: tuple[str, ...] = ("dense",)

    def __post_init__(self) -> None:
        for name in ("operator", "initialisation", "mask"):
            if not getattr(self, name):
                raise InputError(f"space.{name} must name at least one choice")
        for name, bounds, most in (("place", self.place, 1.0), ("ratio", self.ratio, 16.0)):
            if not 0 <= bounds[0] <= bounds[1] <= most:
                raise InputError(
                    f"space.{name} must be [low, high] within [0, {most:g}], got {list(bounds)}"
                )
        if self.ratio[0] <= 0:
            raise InputError(f"space.ratio must be above 0, got {list(self.ratio)}")


@dataclass(frozen=True)
class Growth:
    """Who decides how to grow, from how many candidates, and how long they train."""

    policy: str = "tpe"
    space: str = "mlp"  # a name in search_spaces/ or a file; its content becomes [space]
    candidates: int = 4  # besides not growing
    random_candidates: int = 6  # so many are drawn at random before a model of the past guides
    judge_epochs: float = 1.0
    rungs: int = 2  # a candidate is compared with earlier ones so many times on its way
    epochs: float = 3.0  # training of the chosen one
    schedule: tuple[GrowthStep, ...] = ()  # policy "fixed": these in turn

    def __post_init__(self) -> None:
        _within("growth.candidates", self.candidates, 1, 10_000)
        _within("growth.random_candidates", self.random_candidates, 1, 10_000)
        _within("growth.judge_epochs", self.judge_epochs, 0, math.inf, open_low=True)
        _within("growth.rungs", self.rungs, 1, 1000)
        _within("growth.epochs", self.epochs, 0, math.inf, open_low=True)
        if (self.policy == "fixed") != bool(self.schedule):
            raise InputError(
                "growth.schedule belongs to policy 'fixed', which needs it: for another policy "
                "set growth.schedule=[]"
            )


@dataclass(frozen=True)
class Acceptance:
    """When a pruned network counts as a winning ticket: accurate and sparse enough.

    Its validation accuracy may lie `margin` below the best accepted one's, its density must be at
    most `max_density`.
    """

    margin: float = 0.005
    max_density: float = 1.0

    def __post_init__(self) -> None:
        _within("acceptance.margin", self.margin, 0, 1)
        _within("acceptance.max_density", self.max_density, 0, 1, open_low=True)


@dataclass(frozen=True)
class Budget:
    """When a run stops; 0 means no such bound. `patience` counts rejected tickets in a row."""

    generations: int = 6
    multiply_adds: float = 0.0
    seconds: float = 0.0  # depends on the machine's speed, so it ends reproducibility
    patience: int = 0

    def __post_init__(self) -> None:
        _within("budget.generations", self.generations, 1, math.inf)
        _within("budget.multiply_adds", self.multiply_adds, 0, math.inf)
        _within("budget.seconds", self.seconds, 0, math.inf)
        _within("budget.patience", self.patience, 0, math.inf)


@dataclass(frozen=True)
class Experiment:
    """Every number of a run; its digest names the run's folder."""

    name: str = "grow"
    claim: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    start: Start = field(default_factory=Start)
    training: Training = field(default_factory=Training)
    pruning: Pruning = field(default_factory=Pruning)
    growth: Growth = field(default_factory=Growth)
    space: Space = field(default_factory=Space)
    acceptance: Acceptance = field(default_factory=Acceptance)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.name):
            raise InputError(f"name must be letters, digits, _ . or -, got {self.name!r}")
        _within("seed", self.seed, 0, 2**63 - 1)

    @property
    def digest(self) -> str:
        """SHA-256 of the format number and every value, defaults included."""
        text = canonical_json({"format": FORMAT, "experiment": asdict(self)})
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """The name of its run's folder."""
        return f"{self.name}-{self.digest[:12]}"
