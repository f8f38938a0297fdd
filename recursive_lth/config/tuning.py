"""A search over expansion policies: which values of a `grow` experiment vary, and what counts."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from recursive_lth.config.checks import within
from recursive_lth.config.experiment import Experiment, check_name, digest_of
from recursive_lth.config.growth import Space
from recursive_lth.errors import InputError


@dataclass(frozen=True)
class Parameter:
    """A value of the `grow` experiment that a tuning varies: one of `choices`, or in [low, high].

    `key` is what `grow --set` takes. A whole number steps by `step` (1 without it); `log` spreads
    the trials evenly over orders of magnitude.
    """

    key: str = ""
    choices: tuple[object, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        name = f"tune.parameters {self.key}"
        if not self.key:
            raise InputError('tune.parameters: each needs a key such as key = "growth.candidates"')
        if self.choices:
            if (self.low, self.high, self.log, self.step) != (None, None, False, None):
                raise InputError(f"{name}: give choices, or low and high, not both")
            if len(self.choices) < 2 or any(c in self.choices[:i] for i, c in self._numbered()):
                raise InputError(f"{name}: choices must be two or more and unlike")
            return
        if self.low is None or self.high is None:
            raise InputError(f"{name}: give choices = [...], or both low and high")
        within(f"{name}: low", self.low, -math.inf, math.inf)
        within(f"{name}: high", self.high, -math.inf, math.inf)
        if self.low >= self.high:
            raise InputError(f"{name}: low must be below high, got {self.low:g} and {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise InputError(f"{name}: log needs low above 0 and no step")
        if self.step is not None:
            within(f"{name}: step", self.step, 0, self.high - self.low, open_low=True)
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > 1e-9 * steps:
                raise InputError(f"{name}: high must lie whole steps above low")

    def _numbered(self) -> Sequence[tuple[int, object]]:
        return list(enumerate(self.choices))


@dataclass(frozen=True)
class NamedSpace:
    """A search space that some trial grows in, by the name that `growth.space` calls it."""

    name: str = ""
    space: Space = field(default_factory=Space)


@dataclass(frozen=True)
class Tune:
    """What a tuning varies, how often it tries, and by what it judges.

    Each trial runs the `grow` experiment `base`, with the settings of `set` and the trial's own
    values laid over, once for each of `seeds` selection seeds (the tuning's `seed` and those after
    it, the same for every trial); its objectives are means over them.
    """

    base: str = "grow_digits"  # a name or a file; its content becomes [base]
    set: tuple[str, ...] = ()  # as for `grow --set`
    trials: int = 20
    objectives: tuple[str, ...] = ("val_accuracy",)
    sampler: str = "tpe"
    random_trials: int = 10  # at random before a model guides; nsga2: its population
    seeds: int = 1
    parameters: tuple[Parameter, ...] = ()

    def __post_init__(self) -> None:
        within("tune.trials", self.trials, 1, 1_000_000)
        within("tune.random_trials", self.random_trials, 2, 1_000_000)
        within("tune.seeds", self.seeds, 1, 10_000)
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise InputError(
                f"tune.objectives needs one or more, unlike, got {list(self.objectives)}"
            )
        keys = [parameter.key for parameter in self.parameters]
        if doubled := sorted({key for key in keys if keys.count(key) > 1}):
            raise InputError(f"tune.parameters: {doubled[0]} is there twice: leave one out")


@dataclass(frozen=True)
class TuningExperiment:
    """Every number of a search over expansion policies; its digest names the run's folder.

    `base` is the whole `grow` experiment that `tune.base` names, `spaces` are those that trials may
    grow in besides its own.
    """

    command: str = "tune"
    name: str = "tune"
    claim: str = ""
    seed: int = 0
    tune: Tune = field(default_factory=Tune)
    base: Experiment = field(default_factory=Experiment)
    spaces: tuple[NamedSpace, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, self.seed)
        if self.command != "tune":
            raise InputError(f"command must be tune here, got {self.command!r}")

    @property
    def digest(self) -> str:
        """SHA-256 of the format number and every value, defaults included."""
        return digest_of(asdict(self))

    @property
    def folder_name(self) -> str:
        """The name of its run's folder, and of its Optuna study."""
        return f"{self.name}-{self.digest[:12]}"
