"""Verdicts: what paired readings say of each contrast: supported, refuted or undecided.

Pairs are two arms on one seed. What decides is the two-sided t test of their differences; the exact
sign flips stand beside it, since of five seeds their least two-sided p is 2/32 = 0.0625: alone they
could never decide, let alone in a family. Where no effect is, and both arms owe their spread to
their seeds, a difference is as likely `+d` as `-d`, and then the t test keeps to its level for
skewed and heavy-tailed readings too. It does not, nor do the flips, where the differences are
skewed: one arm skewed, its rival nearly without noise (`experiments/study_calibration.py` has the
rates). That a seed is left out where an arm has no value keeps the symmetry; but an arm that fails
on its hard seeds is then seen on its easy ones alone, so the words tell whose values lack.

The family is all contrasts of a study. Each offers two things to claim: a difference, and, if it
has a margin, that there is none beyond it. Both are errors when false, so the equivalence tests
belong to the family: with Holm's (1979) correction for each kind by itself up to 8 % of simulated
studies claimed something untrue. But no truth makes both claims of a contrast false, so of m
contrasts at most m claims can err, not 2 m. `corrected` steps down by this (Shaffer 1986, "Modified
sequentially rejective multiple test procedures") and without margins is Holm's. So any false
verdict, of either kind, comes in at most `level` of the studies, however contrasts share arms and
seeds. A margin has its price: a contrast shown to differ still counts, since it may yet be claimed
to lie within. Intervals are those of one contrast, not corrected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from recursive_lth import seeds
from recursive_lth.errors import InputError
from recursive_lth.statistics import LEVEL, Effect, effect, p_above, p_equivalent, sign_flip
from recursive_lth.study.contrasts import Contrast
from recursive_lth.study.power import LEAST_PAIRS, seeds_needed
from recursive_lth.study.words import words_of

Word = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Case:
    """A contrast with what was read for it.

    `readings`: (arm, seed) -> the value, None where the measure says nothing. `step` is the least
    difference that can be told, 1/N for accuracies of N samples, 0 for what has no steps. `factors`
    are those in which the arms differ, `budget` what arm and rival trained for, in multiply-adds.
    """

    contrast: Contrast
    readings: Mapping[tuple[str, int], float | None]
    unit: str = ""
    step: float = 0.0
    factors: tuple[str, ...] = ()
    budget: tuple[int, int] | None = None


@dataclass(frozen=True)
class Pair:
    """Both arms on one seed; None where an arm has no finite value."""

    seed: int
    arm: float | None
    rival: float | None

    @property
    def difference(self) -> float | None:
        """Arm minus rival."""
        return None if self.arm is None or self.rival is None else _finite(self.arm - self.rival)


@dataclass(frozen=True)
class Finding:
    """A contrast decided; differences are arm minus rival in the measure's unit.

    `p` is two-sided, `p_exact` that of the sign flips, `p_within` that the arms are further apart
    than the margin (None without one), `p_holm` and `p_within_holm` the same among the family. All
    are None where there are too few pairs to decide. `seeds_needed` would find an effect like the
    one seen, were it true, in 80 % of such studies; None where it is 0, or hopelessly small.
    """

    case: Case
    pairs: tuple[Pair, ...]
    effect: Effect | None  # None without a pair
    p: float | None
    p_exact: float | None
    p_within: float | None
    level: float = LEVEL
    p_holm: float | None = None
    p_within_holm: float | None = None
    verdict: Word = "undecided"
    seeds_needed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in `verdicts.json`: plain JSON values; `missing` seeds are not among `n`."""
        contrast, budget, seen = self.case.contrast, self.case.budget, self.effect
        n = seen.n if seen else 0
        found = {
            "name": contrast.name,
            "line": contrast.line,
            "arm": contrast.arm,
            "rival": contrast.rival,
            "measure": contrast.measure,
            "unit": self.case.unit,
            "direction": contrast.direction,
            "factors": list(self.case.factors),
            "moment": contrast.moment,
            "training": contrast.training,
            "n": n,
            "pairs": [asdict(pair) for pair in self.pairs],
            "effect": {
                "mean": seen.mean if seen else None,
                "sd": seen.sd if seen else None,
                "low": seen.low if seen else None,
                "high": seen.high if seen else None,
                "resampled": list(seen.resampled) if seen and seen.resampled else None,
            },
            "standardised": seen.mean / seen.sd if seen and seen.sd else None,
            "p": self.p,
            "p_exact": self.p_exact,
            "p_holm": self.p_holm,
            "p_within": self.p_within,
            "p_within_holm": self.p_within_holm,
            "verdict": self.verdict,
            "margin": contrast.margin,
            "seeds_needed": self.seeds_needed,
            "budget": {"arm": budget[0], "rival": budget[1]} if budget else None,
            "is_unequal": contrast.is_unequal,
            "missing": len(self.pairs) - n,
        }
        return found | {"words": words_of(found, self.level)}


def decide(cases: Sequence[Case], *, level: float = LEVEL, seed: int = 0) -> tuple[Finding, ...]:
    """A finding for each contrast of a study, in their order; together they are the family.

    Resamples, and flips of many pairs, are drawn by seed and name of the contrast, so that one
    contrast more changes no other's intervals.
    """
    found = [_tested(case, seed) for case in cases]
    differ, within = corrected([each.p for each in found], [each.p_within for each in found])
    judged = []
    for each, p, p_within in zip(found, differ, within, strict=True):
        needed = _seeds_needed(each, len(cases), level)
        whole = replace(each, p_holm=p, p_within_holm=p_within, level=level, seeds_needed=needed)
        judged.append(replace(whole, verdict=_verdict(whole)))
    return tuple(judged)


def verdicts_file(findings: Sequence[Finding]) -> dict[str, Any]:
    """The content of `verdicts.json`, for the findings of one `decide`."""
    has_margin = any(each.case.contrast.margin for each in findings)
    return {
        "family": {
            "level": findings[0].level if findings else LEVEL,
            "contrasts": len(findings),
            "correction": "Shaffer 1986" if has_margin else "Holm 1979",
        },
        "verdicts": [each.to_dict() for each in findings],
    }


def corrected(
    differ: Sequence[float | None], within: Sequence[float | None]
) -> tuple[list[float | None], list[float | None]]:
    """Each p as it is in the family, where a contrast's two claims cannot both be false.

    `differ` has the p of "there is a difference", `within` that of "it is within the margin"; None
    is a claim that is not made, but a contrast counts among the family also where it has no p at
    all. In ascending order, each p is multiplied by the number of contrasts with a claim not yet
    passed: so many can still be false.

    >>> corrected([0.01, 0.04, 0.03], [None, None, None])[0]
    [0.03, 0.06, 0.06]
    >>> corrected([0.25, 0.01], [0.02, None])
    ([0.25, 0.02], [0.02, None])
    """
    claims = [(1.0 if p is None else p, place, 0) for place, p in enumerate(differ)]
    claims += [(p, place, 1) for place, p in enumerate(within) if p is not None]
    waiting = [1 if p is None else 2 for p in within]
    found: tuple[list[float | None], ...] = ([None] * len(differ), [None] * len(differ))
    largest = 0.0
    for p, place, kind in sorted(claims):
        most_false = sum(count > 0 for count in waiting)
        largest = max(largest, min(1.0, most_false * p))
        waiting[place] -= 1
        if kind or differ[place] is not None:
            found[kind][place] = largest
    return found[0], found[1]


def _tested(case: Case, seed: int) -> Finding:
    """A contrast by itself."""
    pairs, contrast = _pairs(case), case.contrast
    differences = [pair.difference for pair in pairs]
    known = [d for d in differences if d is not None]
    if not known:
        return Finding(case, pairs, None, None, None, None)
    generator = np.random.default_rng(seeds.derive(seed, "verdict", contrast.name))
    seen = effect(known, generator, step=case.step)
    if len(known) < LEAST_PAIRS:
        return Finding(case, pairs, seen, None, None, None)
    larger = (
        known if seen.mean >= 0 else [-d for d in known]
    )  # two-sided: twice the side that was seen
    return Finding(
        case,
        pairs,
        seen,
        p=min(1.0, 2 * p_above(larger, step=case.step, generator=generator)),
        p_exact=min(1.0, 2 * sign_flip(larger, generator)),
        p_within=p_equivalent(known, contrast.margin, step=case.step) if contrast.margin else None,
    )


def _pairs(case: Case) -> tuple[Pair, ...]:
    """One for each seed on which either arm was read."""
    arm, rival, readings = case.contrast.arm, case.contrast.rival, case.readings
    found = sorted({seed for name, seed in readings if name in (arm, rival)})
    return tuple(
        Pair(seed, _finite(readings.get((arm, seed))), _finite(readings.get((rival, seed))))
        for seed in found
    )


def _finite(value: float | None) -> float | None:
    """None too for what is infinite or no number: it has no mean, and no place in JSON."""
    return None if value is None or not math.isfinite(value) else float(value)


def _verdict(found: Finding) -> Word:
    """A difference is asked for first: one that is shown stands, though it be within the margin."""
    if found.effect is None or found.p_holm is None:
        return "undecided"
    if found.p_holm <= found.level:
        is_claimed = (found.effect.mean > 0) == (found.case.contrast.direction == "more")
        return "supported" if is_claimed else "refuted"
    is_within = found.p_within_holm is not None and found.p_within_holm <= found.level
    return "refuted" if is_within else "undecided"


def _seeds_needed(found: Finding, contrasts: int, level: float) -> int | None:
    seen = found.effect
    if seen is None or seen.sd is None or not seen.mean:
        return None
    spread = math.hypot(seen.sd, found.case.step / math.sqrt(12))
    try:
        return seeds_needed(seen.mean, spread, contrasts, level=level)
    except InputError:  # over a million
        return None
