"""Moves: what a study can do to a network, each a small frozen value read from a line of text.

A move belongs to a factor of the juvenile state (Zhang 2021, arXiv 2109.03862): initialisation,
structure, strategy or data. Arms are compared by the factors of the moves that tell them apart.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from recursive_lth.config import GrowthStep, Pruning, Start, Training, nearest
from recursive_lth.config.checks import one_of, within
from recursive_lth.config_file import build, toml_value
from recursive_lth.errors import InputError

FACTORS = ("initialisation", "structure", "strategy", "data")
MOST_AT_ONCE = 0.999  # of what a layer has, under scope=per_layer
RECIPE = frozenset(f.name for f in fields(Training)) - {"epochs"}


@dataclass(frozen=True)
class Begin:
    """Begin with another network: `begin mlp hidden=[300,100]`.

    `begin like=ARM` has the architecture that ARM ends with, and its masks, on fresh weights: what
    the shape alone is worth.
    """

    architecture: str = ""
    hidden: tuple[int, ...] = ()
    initialisation: str = ""
    like: str = ""

    def __post_init__(self) -> None:
        if self.like and (self.architecture or self.hidden):
            raise InputError("like= brings an architecture of its own: name no other beside it")

    def start(self, own: Start) -> Start:
        """The start that it stands for, in place of the study's own."""
        is_other = bool(self.architecture or self.hidden)
        return Start(
            self.architecture or own.architecture,
            self.hidden if is_other else own.hidden,
            self.initialisation or own.initialisation,
            "own" if is_other else own.weights,
        )


@dataclass(frozen=True)
class Train:
    """Train for a cost: `train 3` takes what three epochs of the dense start network take.

    So arms of equal sums train for equal budgets, whatever their networks weigh. `by=epochs` counts
    passes through the data instead. `on=TASK` trains on other data, `state=carry` goes on with the
    optimizer as the training before left it; whatever else `[training]` has can be set for it.
    """

    length: float = 0.0
    by: str = "cost"
    on: str = ""
    state: str = "reset"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        within("length", self.length, 0, math.inf, open_low=True)
        one_of("by", self.by, ("cost", "epochs"))
        one_of("state", self.state, ("reset", "carry"))
        for key in self.settings:
            if key not in RECIPE:
                raise InputError(f"unknown key {key}: {nearest(key, RECIPE | {'by', 'on'})}")
        self.recipe(Training())

    def recipe(self, own: Training) -> Training:
        """How it trains: the study's own way with its settings laid over."""
        return build(Training, {**asdict(own), **self.settings}, "")


@dataclass(frozen=True)
class Prune:
    """Cut to a density, in one shot: `prune 0.2 score=magnitude scope=global`.

    The density is a share of the weights of the architecture as it is then; under
    `scope=per_layer` of each layer's own, so that what was cut before is not cut again.
    """

    density: float = 0.0
    score: str = "magnitude"
    scope: str = "global"

    def __post_init__(self) -> None:
        within("density", self.density, 0, 1, open_low=True)
        if self.scope == "per_layer":
            within("density of a layer", self.density, 1 - MOST_AT_ONCE - 1e-12, 1)

    @property
    def pruning(self) -> Pruning:
        """It as the pruning module wants it."""
        return Pruning(
            score=self.score,
            scope=self.scope,
            rate=MOST_AT_ONCE,
            rounds=1,
            target_density=self.density,
        )


@dataclass(frozen=True)
class Rewind:
    """Set the remaining weights back to their rewind values: `rewind`, or `rewind signs`."""

    restore: str = "weights"

    def __post_init__(self) -> None:
        one_of("restore", self.restore, ("weights", "signs"))


@dataclass(frozen=True)
class Remember:
    """Let the weights as they are be what `rewind` goes back to."""


@dataclass(frozen=True)
class Remake:
    """Exchange what the ticket has inherited, in one respect: `remake reinit`; see `remakes`."""

    kind: str = ""


@dataclass(frozen=True)
class ShrinkPerturb:
    """Weights times `shrink`, and fresh ones times `perturb` added: `shrink_perturb 0.5 0.1`."""

    shrink: float = 1.0
    perturb: float = 0.0

    def __post_init__(self) -> None:
        within("shrink", self.shrink, 0, 1, open_low=True)
        within("perturb", self.perturb, 0, math.inf)


@dataclass(frozen=True)
class Grow:
    """Grow by one step: `grow deepen place=1.0 initialisation=identity mask=constant_budget`."""

    step: GrowthStep = field(default_factory=GrowthStep)


Move = Begin | Train | Prune | Rewind | Remember | Remake | ShrinkPerturb | Grow


def read_move(text: str) -> Move:
    """The move of a line such as "train 3 on=noisy learning_rate=1e-4".

    Raises `InputError` naming the word at fault and the nearest that is known.

    >>> read_move("prune 0.2 scope=per_layer")
    Prune(density=0.2, score='magnitude', scope='per_layer')
    """
    try:
        verb, *rest = shlex.split(text) or [""]
        if verb not in VERBS:
            raise InputError(f"unknown verb {verb!r}: {nearest(verb, VERBS)}")
        kind, needed, more = VERBS[verb]
        plain = [word for word in rest if not KEYED.match(word)]
        if len(plain) > len(needed) + len(more):
            raise InputError(f"{plain[len(needed) + len(more)]!r} is one word too many")
        if len(plain) < len(needed):
            raise InputError(f"{verb} needs {' and '.join(needed)}: {ABOUT[kind]}")
        keyed = [word.partition("=") for word in rest if KEYED.match(word)]
        words = [*zip((*needed, *more), plain, strict=False), *((k, v) for k, _, v in keyed)]
        values = {key: toml_value(value) for key, value in words}
        if len(values) < len(words):
            names = [key for key, _ in words]
            twice = next(key for key in names if names.count(key) > 1)
            raise InputError(f"{twice} is given twice: once is enough")
        return _made(kind, values)
    except (InputError, ValueError) as error:
        raise InputError(f"move {text!r}: {error}") from None


def _made(kind: type[Move], values: dict[str, Any]) -> Move:
    if kind is Grow:
        return Grow(build(GrowthStep, values, ""))
    if kind is Train:
        own = {key: values.pop(key) for key in ("length", "by", "on", "state") if key in values}
        plain = build(Train, own, "")
        return Train(plain.length, plain.by, plain.on, plain.state, values)
    return build(kind, values, "")


def factors_of(move: Move) -> frozenset[str]:
    """The factors of the juvenile state that a move is about; of a plain training none."""
    match move:
        case Train():
            is_own_way = bool(move.settings) or move.state != "reset"
            return frozenset({"data"} if move.on else ()) | frozenset(
                {"strategy"} if is_own_way else ()
            )
        case Begin():
            is_reshaped = bool(move.architecture or move.hidden or move.like)
            return frozenset({"structure"} if is_reshaped else ()) | frozenset(
                {"initialisation"} if move.initialisation else ()
            )
        case Remake():
            return frozenset({"structure" if move.kind in RESHAPING else "initialisation"})
        case Rewind():
            return frozenset({"initialisation"})
        case Prune() | Grow():
            return frozenset({"structure"})
    return frozenset({"strategy"})


KEYED = re.compile(r"[\w-]+=")  # a path may have "=" in it
RESHAPING = frozenset(
    {"shuffled_mask", "dense", "small_dense"}
)  # remakes that change which weights there are
Words = tuple[str, ...]
VERBS: Mapping[str, tuple[type[Move], Words, Words]] = MappingProxyType(
    {  # what words without a key are: those that are needed, and those that may follow
        "begin": (Begin, (), ("architecture",)),
        "train": (Train, ("length",), ()),
        "prune": (Prune, ("density",), ()),
        "rewind": (Rewind, (), ("restore",)),
        "remember": (Remember, (), ()),
        "remake": (Remake, ("kind",), ()),
        "shrink_perturb": (ShrinkPerturb, ("shrink", "perturb"), ()),
        "grow": (Grow, ("operator",), ()),
    }
)
ABOUT: Mapping[type[Move], str] = MappingProxyType(
    {kind: (kind.__doc__ or "").splitlines()[0] for kind, _, _ in VERBS.values()}
)
