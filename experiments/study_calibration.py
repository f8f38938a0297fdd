"""How often a study's verdicts err, how its intervals cover, and what it finds: simulated studies.

Claim: where all arms are alike but for the noise of their seeds, at most 5 % of studies come to any
verdict other than undecided, whatever that noise looks like, though their contrasts share arms and
seeds; where effects are planted, claims that are not true stay within 5 % of studies, those of
equivalence among them; and power is what the noncentral t says, for normal noise. Seeds: 0.
Machine: any, two minutes on one core. Expected: all of that within a binomial error. It does not
hold where differences themselves are skewed, one arm being skewed and its rival nearly without
noise: the last rows of the first two tables, which no test of so few pairs can judge. Intervals are
within 2 points of their 95 % for normal noise, and not everywhere else; the tables say where.

    python experiments/study_calibration.py

writes study_calibration.json and study_calibration.md beside itself.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from recursive_lth.statistics import LEVEL, Numbers, holm, studentised_interval
from recursive_lth.study.contrasts import parse_contrast
from recursive_lth.study.power import chance_found, smallest_effect
from recursive_lth.study.verdicts import Case, Finding, corrected, decide

SEEDS = (5, 10, 20)
STUDIES = 1000  # as the claim has it
ROUNDS = 8  # of so many studies, for a rate that chance does not blur
CHECKED = 10  # studies of each kind that the library decides too
INTERVALS = 1000  # bootstrapped
SHARED = 0.5  # correlation of two arms on one seed, before the noise is shaped
COVERAGE, NEAR = 0.95, 0.02  # nominal, and how near is near
TOLERANCE = 1.645 * math.sqrt(LEVEL * (1 - LEVEL) / STUDIES)  # one-sided, at 5 %
CENSORED = 0.2  # share of readings without a value
MARGINS = (2.0, 4.0)  # of equivalence, in standard errors of the mean difference
EFFECTS = (1.0, 0.5)  # of the smallest effect that is found in 80 % of studies
Family = tuple[tuple[int, int], ...]  # the arms of each contrast
FAMILIES: dict[int, Family] = {
    1: ((1, 0),),
    5: tuple((arm, 0) for arm in range(1, 6)),  # five against one control
    10: tuple((arm, rival) for arm in range(5) for rival in range(arm)),  # each against each
}
HERE = Path(__file__).with_suffix("")


@dataclass(frozen=True)
class Noise:
    """How a standard normal draw becomes a reading; `step` is what a study is told of its steps."""

    name: str
    shape: Callable[[Numbers], Numbers]
    step: float = 0.0
    lone: Callable[[Numbers], Numbers] | None = None  # the shape of every other arm, if another


def _in_steps(z: Numbers) -> Numbers:
    """Accuracies of 500 samples, whose spread is one sample."""
    return np.round((0.95 + 0.002 * z) * 500) / 500


def _lognormal(z: Numbers) -> Numbers:
    """With a mean of 0 and a spread of 1."""
    return np.asarray((np.exp(z) - math.exp(0.5)) / math.sqrt(math.e * (math.e - 1)))


NOISES = (
    Noise("normal", lambda z: z),
    Noise("skewed (lognormal)", _lognormal),
    Noise("heavy-tailed (t, 3 degrees)", lambda z: special.stdtrit(3, special.ndtr(z))),
    Noise("accuracies in steps", _in_steps, step=1 / 500),
    Noise("accuracies in steps, untold", _in_steps),
)
UNLIKE = Noise("one arm skewed, the other normal", lambda z: z, lone=_lognormal)
WORST = Noise("one arm skewed, the other without noise", np.zeros_like, lone=_lognormal)


def readings(
    generator: np.random.Generator, noise: Noise, studies: int, arms: int, seeds: int
) -> Numbers:
    """(studies, arms, seeds): arms of one study have their seeds in common."""
    shared = generator.normal(size=(studies, 1, seeds))
    own = generator.normal(size=(studies, arms, seeds))
    z = math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * own
    found = noise.shape(z)
    if noise.lone is not None:
        found = found.copy()
        found[:, 1::2] = noise.lone(z[:, 1::2])
    return found


def differences(values: Numbers, family: Family) -> Numbers:
    """(studies, contrasts, seeds): arm minus rival."""
    arms, rivals = np.array(family).T
    return np.asarray(values[:, arms] - values[:, rivals])


def p_two_sided(values: Numbers, step: float) -> Numbers:
    """(studies, contrasts): as the library has it, for all at once."""
    n = values.shape[-1]
    mean, error = _mean_and_error(values, step)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * special.stdtr(n - 1, -np.abs(mean / error))
    size = np.abs(values).max(-1)
    is_still = (np.ptp(values, axis=-1) <= 1e-12 * size) & (step == 0)
    return np.asarray(np.where(is_still, np.where(size > 0, 2 * 0.5**n, 1.0), p))


def p_within(values: Numbers, margin: float) -> Numbers:
    """(studies, contrasts): that means lie at least a margin apart."""
    mean, error = _mean_and_error(values, 0.0)
    return np.asarray(special.stdtr(values.shape[-1] - 1, -(margin - np.abs(mean)) / error))


def _mean_and_error(values: Numbers, step: float) -> tuple[Numbers, Numbers]:
    spread = values.std(-1, ddof=1)
    return values.mean(-1), np.sqrt((spread**2 + step**2 / 12) / values.shape[-1])


def holms(p: Numbers, within: Numbers | None = None) -> tuple[Numbers, Numbers]:
    """Each study's p among its family, by the library; 1 where no margin is asked for."""
    none = [None] * p.shape[1]
    rows = within.tolist() if within is not None else [none] * len(p)
    both = [corrected(row, other) for row, other in zip(p.tolist(), rows, strict=True)]
    apart = np.array([row for row, _ in both], dtype=float)
    return apart, np.nan_to_num(np.array([row for _, row in both], dtype=float), nan=1.0)


def decided(values: Numbers, family: Family, step: float, margin: float = 0.0) -> list[Finding]:
    """One study's findings by the library itself, from its readings (arms, seeds)."""
    table = {(f"a{a}", s): float(v) for a, row in enumerate(values) for s, v in enumerate(row)}
    lines = [f"{a} to {b}: a{a} > a{b} in value within {margin}" for a, b in family]
    return list(decide([Case(parse_contrast(line), table, step=step) for line in lines]))


def same_as_library(
    values: Numbers, family: Family, step: float, p: Numbers, within: Numbers, margin: float = 0.0
) -> None:
    """Raise unless the first studies come out as `decide` has them."""
    for study in range(CHECKED):
        found = decided(values[study], family, step, margin)
        slow = [(f.p_holm, 1.0 if f.p_within_holm is None else f.p_within_holm) for f in found]
        quick = list(zip(p[study].tolist(), within[study].tolist(), strict=True))
        if not np.allclose(slow, quick, rtol=1e-6, atol=1e-9):
            raise AssertionError(f"study {study} of {family}: {slow} is not {quick}")


def null_rates(
    generator: np.random.Generator, noise: Noise, seeds: int, contrasts: int, studies: int
) -> dict[str, Any]:
    """How many of `ROUNDS` times so many studies of nothing find something."""
    family = FAMILIES[contrasts]
    values = readings(generator, noise, ROUNDS * studies, np.max(family) + 1, seeds)
    p, within = holms(p_two_sided(differences(values, family), noise.step))
    same_as_library(values, family, noise.step, p, within)
    is_false = (p <= LEVEL).any(1)
    rounds = is_false.reshape(ROUNDS, studies).mean(1)
    return {
        "noise": noise.name,
        "seeds": seeds,
        "contrasts": contrasts,
        "false": float(is_false.mean()),
        "least": float(rounds.min()),
        "most": float(rounds.max()),
    }


def coverage(
    generator: np.random.Generator, noise: Noise, seeds: int, studies: int, bootstraps: int
) -> dict[str, Any]:
    """How often the intervals of one contrast hold the true difference, which is 0."""
    rows = differences(readings(generator, noise, studies, 2, seeds), FAMILIES[1])[:, 0]
    mean, error = _mean_and_error(rows, noise.step)
    half = special.stdtrit(seeds - 1, (1 + COVERAGE) / 2) * error
    drawn = [studentised_interval(row, generator) for row in rows[:bootstraps]]
    known = [each for each in drawn if each is not None]
    return {
        "noise": noise.name,
        "seeds": seeds,
        "t": float((np.abs(mean) <= half + 1e-12).mean()),
        "bootstrap": float(np.mean([low <= 1e-12 and high >= -1e-12 for low, high in known])),
        "without_spread": 1 - len(known) / len(drawn),
    }


def mixed_rates(
    generator: np.random.Generator, seeds: int, contrasts: int, margin: float, studies: int
) -> dict[str, Any]:
    """Studies of which some arms lie a margin apart and some nowhere: how many claim an untruth.

    A difference where there is none, or the other way round; or that arms lie within the margin
    which do not. Beside it the same with the two kinds of claim corrected apart.
    """
    family, wide = FAMILIES[contrasts], margin / math.sqrt(seeds)
    arms = int(np.max(family)) + 1
    offsets = wide * (np.arange(arms) % 2)
    values = readings(generator, NOISES[0], studies, arms, seeds) + offsets[:, None]
    rows = differences(values, family)
    truth = np.array([offsets[arm] - offsets[rival] for arm, rival in family])
    alone, close = p_two_sided(rows, 0.0), p_within(rows, wide)
    p, within = holms(alone, close)
    same_as_library(values, family, 0.0, p, within, margin=wide)

    def untrue(differ: Numbers, equal: Numbers) -> float:
        wrong_sign = (differ <= LEVEL) & (np.sign(rows.mean(-1)) != np.sign(truth))
        return float((wrong_sign | ((equal <= LEVEL) & (truth != 0))).any(1).mean())

    apart = [np.array([holm(row) for row in each.tolist()]) for each in (alone, close)]
    return {
        "seeds": seeds,
        "contrasts": contrasts,
        "margin_in_standard_errors": margin,
        "untrue": untrue(p, within),
        "untrue_if_corrected_apart": untrue(*apart),
        "equals_found": float((within[:, truth == 0] <= LEVEL).mean()) if 0 in truth else None,
    }


def power_rates(
    generator: np.random.Generator,
    noise: Noise,
    seeds: int,
    contrasts: int,
    part: float,
    studies: int,
) -> dict[str, Any]:
    """How often the first contrast finds an effect in its arm, against what `power.py` says."""
    family = FAMILIES[contrasts]
    smallest = smallest_effect(seeds, contrasts)
    if smallest is None:
        raise ValueError(f"{seeds} seeds decide nothing")
    values = readings(generator, noise, studies, int(np.max(family)) + 1, seeds)
    values[:, 1] += part * smallest * spread_of(noise)
    rows = differences(values, family)
    p, _ = holms(p_two_sided(rows, noise.step))
    expected = chance_found(part * smallest, seeds, contrasts)
    return {
        "noise": noise.name,
        "seeds": seeds,
        "contrasts": contrasts,
        "effect": part * smallest,
        "found": float(((p[:, 0] <= LEVEL) & (rows[:, 0].mean(-1) > 0)).mean()),
        "expected": expected,
        "tolerance": 1.96 * math.sqrt(expected * (1 - expected) / studies),
    }


@cache
def spread_of(noise: Noise) -> float:
    """The standard deviation of a pair's difference, on a grid of both arms' normal draws."""
    z = np.linspace(-7.5, 7.5, 1501)
    squares = z[:, None] ** 2 - 2 * SHARED * z[:, None] * z + z**2
    weights = np.exp(-squares / (2 * (1 - SHARED**2)))
    shaped = noise.shape(z)
    apart = (shaped[:, None] - shaped) ** 2
    return math.sqrt(float((weights * apart).sum() / weights.sum()))


def censored_rates(
    generator: np.random.Generator, seeds: int, contrasts: int, studies: int
) -> dict[str, Any]:
    """Studies of nothing in which the largest fifth of the readings is missing, by the library.

    As where a network never reaches the accuracy that is waited for: what is missing is the worst.
    """
    family = FAMILIES[contrasts]
    values = readings(generator, NOISES[0], studies, int(np.max(family)) + 1, seeds)
    values[values > special.ndtri(1 - CENSORED)] = np.nan
    found = [decided(each, family, 0.0) for each in values]
    verdicts = [any(each.verdict != "undecided" for each in study) for study in found]
    pairs = [each.effect.n if each.effect else 0 for study in found for each in study]
    return {
        "seeds": seeds,
        "contrasts": contrasts,
        "false": float(np.mean(verdicts)),
        "pairs_left": float(np.mean(pairs)),
    }


def simulate(
    studies: int = STUDIES, bootstraps: int = INTERVALS, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """All tables, each rate by its own draws."""
    generator = np.random.default_rng(0)
    total = ROUNDS * studies
    return {
        "level": LEVEL,
        "studies": studies,
        "rounds": ROUNDS,
        "nulls": [
            null_rates(generator, noise, n, m, studies)
            for noise in (*NOISES, UNLIKE, WORST)
            for n in seeds
            for m in FAMILIES
        ],
        "coverage": [
            coverage(generator, noise, n, total, bootstraps)
            for noise in (*NOISES, UNLIKE, WORST)
            for n in seeds
        ],
        "censored": [censored_rates(generator, n, m, studies) for n in seeds[:2] for m in (1, 5)],
        "mixed": [
            mixed_rates(generator, n, m, margin, total)
            for margin in MARGINS
            for n in seeds
            for m in FAMILIES
        ],
        "power": [
            power_rates(generator, noise, n, m, part, total)
            for noise in NOISES[:4]
            for n in seeds
            for m in FAMILIES
            for part in EFFECTS
        ],
    }


def main() -> None:
    """Simulate, and write the tables."""
    found = simulate()
    HERE.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    HERE.with_suffix(".md").write_text(_tables(found), "utf-8")
    print(_tables(found))


def _tables(found: dict[str, Any]) -> str:
    """The five tables in Markdown."""
    most = LEVEL + TOLERANCE
    of_all = LEVEL + TOLERANCE / math.sqrt(ROUNDS)
    near = f"{COVERAGE - NEAR:.0%} to {COVERAGE + NEAR:.0%}"
    lines = [
        "# Calibration of a study's verdicts",
        "",
        "Made by `python experiments/study_calibration.py`.",
        f"Rates are over {ROUNDS} rounds of {found['studies']} simulated studies. At a true rate",
        f"of {LEVEL:.0%} a round has at most {most:.1%} and all have at most {of_all:.1%}, but for",
        "chance in 1 case of 20. Arms share their seeds (correlation 0.5); families are one",
        "contrast, five arms against one control, and all ten pairs of five arms.",
        "",
        "Studies of nothing: arms alike but for their seeds, and how many come to any verdict. The",
        "last two noises are no such arms: equal means, but every other arm is skewed. Against a",
        "normal rival that does no harm; against one without noise the differences are skewed",
        "themselves, which neither the t test nor the exact sign flips can tell from an effect.",
        "",
        "| noise | seeds | contrasts | any verdict | least and most of the rounds |",
        "|---|---|---|---|---|",
        *(
            f"| {r['noise']} | {r['seeds']} | {r['contrasts']} | {r['false']:.1%} "
            f"| {r['least']:.1%} to {r['most']:.1%} |"
            for r in found["nulls"]
        ),
        "",
        f"The same by the library alone, {found['studies']} studies, normal noise, where the",
        f"largest {CENSORED:.0%} of all readings has no value.",
        "",
        "| seeds | contrasts | any verdict | pairs left |",
        "|---|---|---|---|",
        *(
            f"| {r['seeds']} | {r['contrasts']} | {r['false']:.1%} | {r['pairs_left']:.1f} |"
            for r in found["censored"]
        ),
        "",
        f"How often 95 % intervals of one contrast hold the truth; * where that is not {near}.",
        "The t interval is what verdicts print; where arms are alike it errs by being too wide.",
        "",
        "| noise | seeds | t | bootstrap-t |",
        "|---|---|---|---|",
        *(
            f"| {r['noise']} | {r['seeds']} | {_near(r['t'])} | {_near(r['bootstrap'])} |"
            for r in found["coverage"]
        ),
        "",
        "Some arms lie the margin apart and some nowhere, normal noise: studies that claim",
        "anything untrue, be it a difference or that there is none; how many would if the two",
        "kinds of claim were corrected each by itself; and how many true equals are found to be.",
        "",
        "| margin, standard errors | seeds | contrasts | untrue | untrue if apart | equals found |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r['margin_in_standard_errors']:g} | {r['seeds']} | {r['contrasts']} "
            f"| {r['untrue']:.1%} | {r['untrue_if_corrected_apart']:.1%} "
            f"| {'–' if r['equals_found'] is None else format(r['equals_found'], '.1%')} |"
            for r in found["mixed"]
        ),
        "",
        "A planted effect, in standard deviations of a pair's difference: how often it is",
        "`supported`, and what `study/power.py` says of normal noise. With ten contrasts three",
        "others share the effect, by which Holm asks less of each: found more often than said.",
        "Skewed and heavy-tailed noise of equal spread hides effects less, steps hide them more.",
        "",
        "| noise | seeds | contrasts | effect | found | said |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r['noise']} | {r['seeds']} | {r['contrasts']} | {r['effect']:.2f} "
            f"| {r['found']:.1%} | {r['expected']:.1%} ± {r['tolerance']:.1%} |"
            for r in found["power"]
        ),
    ]
    return "\n".join(lines) + "\n"


def _near(rate: float) -> str:
    return f"{rate:.1%}" + ("" if abs(rate - COVERAGE) <= NEAR else " *")


if __name__ == "__main__":
    main()
