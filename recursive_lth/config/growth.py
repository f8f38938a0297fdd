"""Who decides how to grow, what counts as a winning ticket, and when a run stops."""

import math
from dataclasses import dataclass, fields

from recursive_lth.config.checks import one_of, within
from recursive_lth.errors import InputError

RULES = ("margin", "paper", "paired", "front")
MEASURES = ("accuracy", "loss")
OF_PAIRS = ("replicates", "epochs", "level", "measure", "controls")  # read by rule paired alone


@dataclass(frozen=True)
class GrowthStep:
    """One growth: an operator, where (0 = input side, 1 = output side), how much, and how born."""

    operator: str = "deepen"
    place: float = 1.0
    ratio: float = 0.2  # new units for each old one; unused by operators that add layers
    initialisation: str = "preserving"
    mask: str = "dense"
    density: float = 0.1  # of the new weights under mask "random"

    def __post_init__(self) -> None:
        within("place", self.place, 0, 1)
        within("density", self.density, 0, 1)
        within("ratio", self.ratio, 0, 16, open_low=True)


@dataclass(frozen=True)
class Space:
    """What a search may grow: lists of names and [low, high] intervals, the same at any depth.

    The limits, 0 for none, bound the network right after growth: parameters and multiply-adds of
    one sample that remain, layers with weights on the longest path, bytes that training takes
    (`architecture.cost.training_memory`). A growth beyond them is not trained.
    """

    description: str = ""
    operator: tuple[str, ...] = ("widen", "deepen")
    place: tuple[float, float] = (0.0, 1.0)
    ratio: tuple[float, float] = (0.1, 0.5)
    initialisation: tuple[str, ...] = ("preserving",)
    mask: tuple[str, ...] = ("dense",)
    density: tuple[float, float] = (0.1, 0.1)  # of new weights under mask "random"
    max_parameters: int = 0
    max_multiply_adds: int = 0
    max_depth: int = 0
    max_memory: int = 0

    def __post_init__(self) -> None:
        for name in ("max_parameters", "max_multiply_adds", "max_depth", "max_memory"):
            within(f"space.{name}", getattr(self, name), 0, math.inf)
        for name in ("operator", "initialisation", "mask"):
            choices = getattr(self, name)
            if not choices:
                raise InputError(f"space.{name} must name at least one choice")
            if len(set(choices)) < len(choices):
                raise InputError(f"space.{name} names one twice: {list(choices)}")
        for name, bounds, most in (
            ("place", self.place, 1.0), ("ratio", self.ratio, 16.0), ("density", self.density, 1.0)
        ):  # fmt: skip
            if not 0 <= bounds[0] <= bounds[1] <= most:
                raise InputError(
                    f"space.{name} must be [low, high] within [0, {most:g}], got {list(bounds)}"
                )
        if self.ratio[0] <= 0:
            raise InputError(f"space.ratio must be above 0, got {list(self.ratio)}")


@dataclass(frozen=True)
class Growth:
    """Who decides how to grow, from how many candidates, and how long they train.

    `objectives` are what the search is after, out of `gain` (of calibrated validation loss),
    `multiply_adds` and `weights` that remain. `trigger` says when the training after a growth is
    over: it reads the curve, and `epochs` is then the most. `plateau` waits for `trigger_patience`
    looks at the validation data without an improvement by `trigger_threshold` of the loss,
    `mask_stability` for masks within `trigger_distance`, `dormant` for a `trigger_share` of units.
    `together` growths are asked for and trained side by side, and compared at `rungs` on their way:
    `cut` says who goes on, `keep` is the share that does where they are halved. Each rung comes at
    the share `spacing` of the way to the next; 0 is `keep` where they are halved, and otherwise
    spreads the rungs evenly. With `replicates`
    above 1 the best `keep` of all race on under so many seeds at most, as long as the noise asks
    for it by the rule `race`.
    `optimizer` says what becomes of the optimizer's state from one training of a lineage to the
    next, through growth and pruning: each may begin with a fresh one, or carry it.
    `in_a_row` says how growth and pruning alternate: 1 prunes whatever has grown (interleaved), 3
    grows three times before it prunes (gradual), and as many as `budget.generations` or more grow
    everything first (one-shot). The last generation of that budget is always pruned; another
    budget may end a run before a row is, and what has grown in it is no ticket then.
    """

    policy: str = "tpe"
    space: str = "mlp"  # a name in search_spaces/ or a file; its content becomes [space]
    objectives: tuple[str, ...] = ("gain",)
    candidates: int = 4  # besides not growing
    random_candidates: int = 6  # so many are drawn at random before a model of the past guides
    judge_epochs: float = 1.0
    rungs: int = 2  # so many times candidates are compared on their way; the last is the end
    together: int = 4
    cut: str = "median"
    keep: float = 0.5
    spacing: float = 0.0
    replicates: int = 1
    race: str = "noise"
    epochs: float = 3.0  # training of the chosen one
    in_a_row: int = 1  # generations that grow before one is pruned
    trigger: str = "fixed"
    trigger_patience: int = 3
    trigger_threshold: float = 0.001
    trigger_distance: float = 0.1
    trigger_share: float = 0.25
    optimizer: str = "reset"
    warmup_epochs: float = 0.5  # carry_warmup: new weights reach their whole learning rate
    schedule: tuple[GrowthStep, ...] = ()  # policy "fixed": these in turn

    def __post_init__(self) -> None:
        for name in self.objectives:
            one_of("growth.objectives", name, ("gain", "multiply_adds", "weights"))
        if "gain" not in self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise InputError(
                f"growth.objectives must hold gain, and nothing twice, got {list(self.objectives)}"
            )
        within("growth.candidates", self.candidates, 1, 10_000)
        within("growth.random_candidates", self.random_candidates, 1, 10_000)
        within("growth.judge_epochs", self.judge_epochs, 0, math.inf, open_low=True)
        within("growth.rungs", self.rungs, 1, 1000)
        within("growth.together", self.together, 1, 10_000)
        within("growth.keep", self.keep, 0, 1, open_low=True)
        within("growth.spacing", self.spacing, 0, 0.99)
        within("growth.replicates", self.replicates, 1, 1000)
        within("growth.epochs", self.epochs, 0, math.inf, open_low=True)
        within("growth.in_a_row", self.in_a_row, 1, math.inf)
        within("growth.trigger_patience", self.trigger_patience, 1, 10_000)
        within("growth.trigger_threshold", self.trigger_threshold, 0, 1)
        within("growth.trigger_distance", self.trigger_distance, 0, 2)
        within("growth.trigger_share", self.trigger_share, 0, 1, open_low=True)
        within("growth.warmup_epochs", self.warmup_epochs, 0, math.inf, open_low=True)
        if (self.policy == "fixed") != bool(self.schedule):
            raise InputError(
                "growth.schedule belongs to policy 'fixed', which needs it: for another policy "
                "set growth.schedule=[]"
            )


@dataclass(frozen=True)
class Acceptance:
    """When a pruned network counts as a winning ticket: accurate and sparse enough.

    Its density must be at most `max_density`, whatever the `rule`. By `margin` its validation
    accuracy may lie `margin` below the best accepted one's, for the first ticket below the dense
    start's; by `paper` always below the dense start's (Zhang 2021, arXiv 2109.03862). By `paired`
    it is trained on for `epochs`, beside its parent and for as many multiply-adds, on `replicates`
    seeds that have selected nothing; it must be better at the `level` (won), or as good within
    `margin` (tied), in the `measure`: accuracy, or calibrated loss in nats. `controls` are trained
    beside them and reported; they decide nothing. See `search/confirm.py` for what is fair. By
    `front` no accepted ticket may be as good in accuracy and remaining weights and better in one;
    with `population` above 1 so many of that front live on and grow in turn.

    After `backtrack` rejected tickets in a row growth goes on from the best earlier one that has
    not had as many; 0 = never.
    """

    margin: float = 0.005
    max_density: float = 1.0
    rule: str = "margin"
    replicates: int = 5
    epochs: float = 1.0
    level: float = 0.05
    measure: str = "accuracy"
    controls: tuple[str, ...] = ()  # each is trained as long as the whole line, n times
    backtrack: int = 0
    population: int = 1

    def __post_init__(self) -> None:
        within("acceptance.population", self.population, 1, 10_000)
        if self.population > 1 and (self.rule != "front" or self.backtrack):
            raise InputError(
                "acceptance.population keeps the front alive: set acceptance.rule=front and "
                "acceptance.backtrack=0"
            )
        within("acceptance.margin", self.margin, 0, 1)
        within("acceptance.max_density", self.max_density, 0, 1, open_low=True)
        one_of("acceptance.rule", self.rule, RULES)
        one_of("acceptance.measure", self.measure, MEASURES)
        within("acceptance.replicates", self.replicates, 2, 1000)
        within("acceptance.epochs", self.epochs, 0, math.inf, open_low=True)
        within("acceptance.level", self.level, 0, 0.5, open_low=True)
        within("acceptance.backtrack", self.backtrack, 0, math.inf)
        for field in fields(self):
            is_set = getattr(self, field.name) != field.default
            if is_set and field.name in OF_PAIRS and self.rule != "paired":
                raise InputError(
                    f"acceptance.{field.name} is read by acceptance.rule=paired alone: set "
                    "that rule, or leave it out"
                )
        if len(set(self.controls)) < len(self.controls):
            raise InputError(f"acceptance.controls names one twice: {list(self.controls)}")


@dataclass(frozen=True)
class Budget:
    """When a run stops; 0 means no such bound. `patience` counts rejected tickets in a row."""

    generations: int = 6
    multiply_adds: float = 0.0
    seconds: float = 0.0  # depends on the machine's speed, so it ends reproducibility
    patience: int = 0

    def __post_init__(self) -> None:
        within("budget.generations", self.generations, 1, math.inf)
        within("budget.multiply_adds", self.multiply_adds, 0, math.inf)
        within("budget.seconds", self.seconds, 0, math.inf)
        within("budget.patience", self.patience, 0, math.inf)
