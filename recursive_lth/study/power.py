"""Power: how large an effect so many seeds will find, and how many seeds an effect needs.

An effect is found where its contrast comes out `supported`: its two-sided t test must fall below
the level after Holm's correction. In the worst case, with no other effect in the study, that asks
p <= level / m of it, m contrasts being the family; where others have effects too, it is found more
often. Exact for normal differences (noncentral t); `experiments/study_calibration.py` has what
other differences make of it. Effects are standardised by the spread of one pair's difference.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recursive_lth.errors import InputError
from recursive_lth.statistics import LEVEL, POWER, detection_rate, required_pairs

LEAST_PAIRS = 3  # fewer decide nothing
EFFECTS = (0.5, 1.0, 1.5, 2.0)  # standardised: those that a plan tells of
CAUTION = 0.8  # how sure a bound of a spread is (Browne 1995, "On the use of a pilot sample")
ROUNDS = 60  # of bisection


@dataclass(frozen=True)
class Plan:
    """What a study of so many seeds and contrasts can show, before it runs.

    `smallest` is the standardised effect that is found with the power; None below three seeds.
    `needed` has the seeds for each standardised effect.
    """

    seeds: int
    contrasts: int
    level: float
    power: float
    smallest: float | None
    needed: Mapping[float, int]

    def words(self) -> str:
        """One line for a reader who decides whether to run it."""
        family = f"a family of {self.contrasts} contrast{'s' if self.contrasts > 1 else ''}"
        replicates = f"{self.seeds} seed{'s' if self.seeds > 1 else ''}"
        seen = (
            f"can decide nothing (at least {LEAST_PAIRS} must)"
            if self.smallest is None
            else f"find an effect of {self.smallest:.2f} standard deviations of a pair's "
            f"difference in {100 * self.power:.0f} % of studies"
        )
        needed = ", ".join(f"{effect:g}: {seeds}" for effect, seeds in self.needed.items())
        return f"{replicates} in {family} {seen}; seeds needed by effect: {needed}"


def plan_power(seeds: int, contrasts: int, *, level: float = LEVEL, power: float = POWER) -> Plan:
    """The power of a study with so many seeds an arm and so many contrasts."""
    needed = {
        effect: seeds_needed(effect, 1.0, contrasts, level=level, power=power) for effect in EFFECTS
    }
    smallest = smallest_effect(seeds, contrasts, level=level, power=power)
    return Plan(seeds, contrasts, level, power, smallest, needed)


def chance_found(effect: float, seeds: int, contrasts: int, *, level: float = LEVEL) -> float:
    """How often a standardised effect is `supported`, alone in a family of so many contrasts."""
    if seeds < LEAST_PAIRS:
        return 0.0
    return detection_rate(effect * math.sqrt(seeds), seeds, _one_sided(level, contrasts))


def smallest_effect(
    seeds: int, contrasts: int, *, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The standardised effect that is found with just this power; None where too few seeds decide.

    >>> round(smallest_effect(5, 1), 2), round(smallest_effect(20, 10), 2), smallest_effect(2, 1)
    (1.68, 0.91, None)
    """
    if seeds < LEAST_PAIRS:
        return None
    high = 1.0
    while chance_found(high, seeds, contrasts, level=level) < power:
        high *= 2
    low = 0.0
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        if chance_found(middle, seeds, contrasts, level=level) < power:
            low = middle
        else:
            high = middle
    return high


def seeds_needed(
    effect: float,
    spread: float,
    contrasts: int,
    *,
    level: float = LEVEL,
    power: float = POWER,
) -> int:
    """The least number of seeds that find an effect with this power; `spread` is that of one pair.

    Both in the measure's unit; the effect's sign does not count. Raises `InputError` where the
    effect is 0, or so small that over a million seeds were needed.
    """
    pairs = required_pairs(abs(effect), spread, level=_one_sided(level, contrasts), power=power)
    return max(LEAST_PAIRS, pairs)


def spreads_of(earlier: Mapping[str, Any]) -> dict[str, tuple[float, int]]:
    """Spread of a pair's difference and number of seeds of each contrast in a `verdicts.json`.

    Contrasts without a spread, for want of pairs or of difference, are left out.
    """
    return {
        each["name"]: (each["effect"]["sd"], each["n"])
        for each in earlier["verdicts"]
        if each["effect"]["sd"]
    }


def spread_bound(spread: float, seeds: int, *, confidence: float = CAUTION) -> float:
    """What the true spread does not exceed, by that of so many seeds (chi-squared; normal pairs).

    Raises `InputError` for fewer than two seeds, which have no spread.
    """
    from scipy import special  # takes a while to import

    if seeds < 2:
        raise InputError(f"a spread takes at least 2 seeds, got {seeds}: run a small study first")
    return spread * math.sqrt((seeds - 1) / float(special.chdtri(seeds - 1, confidence)))


def _one_sided(level: float, contrasts: int) -> float:
    """The level of one side of one test of the family."""
    if contrasts < 1:
        raise InputError(f"a family has at least 1 contrast, got {contrasts}")
    return level / contrasts / 2
