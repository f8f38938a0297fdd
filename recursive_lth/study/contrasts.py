"""Contrasts: a hypothesis as one line, which two arms it holds against each other, and in what.

NAME: ARM > ARM in MEASURE [at MOMENT] [of TRAINING] [within MARGIN]
      [at unequal cost] [factors structure+strategy]
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from recursive_lth.config import nearest
from recursive_lth.errors import InputError
from recursive_lth.study.moves import FACTORS

Direction = Literal["more", "less"]
Readings = dict[tuple[str, int], float | None]  # (arm, seed) -> the value, where there is one
FORM = (
    "NAME: ARM > ARM in MEASURE [at MOMENT] [of TRAINING] [within MARGIN] "
    "[at unequal cost] [factors FACTOR+FACTOR]"
)
SIGNS: Mapping[str, Direction] = {">": "more", "<": "less"}
UNEQUAL = "at unequal cost"
CLAUSES = ("at", "of", "within", "factors")
MOST_APART = 0.01  # of the smaller budget: so much more is still called equal
SAME_MOMENT = 1e-9


@dataclass(frozen=True)
class Contrast:
    """`arm` has more (or less) than `rival` in `measure`, at a moment of a training.

    Moments go from 0, before the training, to 1, after it; trainings are numbered from 0, or from
    the end with -1. Within `margin` (in the measure's unit) of each other arms count as equal; 0 is
    no such claim. `factors` are those in which the line says that its arms differ.
    """

    name: str
    line: str
    arm: str
    rival: str
    direction: Direction
    measure: str
    moment: float = 1.0
    training: int = -1
    margin: float = 0.0
    is_unequal: bool = False
    factors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """The multiply-adds that an arm takes until it is compared.

    `untrained` are those of its scores and births, the others are those of its trainings.
    """

    spent: int
    untrained: int = 0

    @property
    def trained(self) -> int:
        """Those of its trainings."""
        return self.spent - self.untrained


def parse_contrasts(lines: Iterable[str]) -> tuple[Contrast, ...]:
    """All lines of a study. Raises `InputError` for a wrong line, and for a name used twice."""
    found: dict[str, Contrast] = {}
    for line in lines:
        contrast = parse_contrast(line)
        if contrast.name in found:
            _refuse(contrast.name, "this name stands before two contrasts: give each its own")
        found[contrast.name] = contrast
    return tuple(found.values())


def parse_contrast(line: str) -> Contrast:
    """The contrast that a line declares; clauses may come in any order, each once.

    Raises `InputError` naming the contrast, the part that is wrong, and what it may have meant.

    >>> found = parse_contrast("rejuvenates: grown < pruned in val_loss at 0 within 0.01")
    >>> found.arm, found.direction, found.rival, found.moment, found.margin
    ('grown', 'less', 'pruned', 0.0, 0.01)
    """
    name, colon, text = (part.strip() for part in line.partition(":"))
    if not (name and colon):
        raise InputError(f"contrast {line!r}: no name before a colon: write {FORM}")
    words = re.sub("([<>])", r" \1 ", text).split()
    if len(words) < 5:
        _refuse(name, f"{text!r} is no comparison: write {FORM}")
    arm, sign, rival, preposition, measure, *rest = words
    if sign not in SIGNS:
        _refuse(name, f"{sign!r} stands where > or < should: write {FORM}")
    if preposition != "in":
        _refuse(name, f"{preposition!r} stands where 'in' should: write {FORM}")
    clauses = _clauses(name, rest)
    return Contrast(
        name,
        line.strip(),
        arm,
        rival,
        SIGNS[sign],
        measure,
        moment=_number(name, "at", clauses.get("at", "1"), 1.0),
        training=_whole(name, "of", clauses.get("of", "-1")),
        margin=_number(name, "within", clauses.get("within", "0"), math.inf),
        is_unequal=UNEQUAL in clauses,
        factors=_factors(name, clauses["factors"]) if "factors" in clauses else (),
    )


def check_contrast(contrast: Contrast, arms: Collection[str], measures: Collection[str]) -> None:
    """Raise `InputError`, naming the nearest match, for an unknown arm or measure, or one arm."""
    for kind, word, known in (
        ("arm", contrast.arm, arms),
        ("arm", contrast.rival, arms),
        ("measure", contrast.measure, measures),
    ):
        if word not in known:
            _refuse(contrast.name, f"unknown {kind} {word!r}: {nearest(word, known)}")
    if contrast.arm == contrast.rival:
        _refuse(contrast.name, f"arm {contrast.arm!r} against itself: name two arms")


def check_reading(
    contrast: Contrast, moments: Collection[float], trainings: Mapping[str, int], readings: str
) -> None:
    """Raise `InputError` where the study never reads what the contrast asks for.

    `trainings` has how many each arm has; with readings `last` the last of them alone is read.
    """
    if not any(math.isclose(contrast.moment, m, abs_tol=SAME_MOMENT) for m in moments):
        known = ", ".join(f"{m:g}" for m in moments)
        _refuse(
            contrast.name,
            f"nothing is read at {contrast.moment:g}: add it to study.moments, which has {known}",
        )
    for arm in (contrast.arm, contrast.rival):
        number, count = contrast.training, trainings[arm]
        if not -count <= number < count:
            _refuse(contrast.name, f"of {number}: arm {arm!r} has {count} trainings, from 0")
        if readings == "last" and number % count != count - 1:
            _refuse(
                contrast.name,
                f"of {number}: only the last of {count} trainings of {arm!r} is read: "
                'set study.readings = "all"',
            )


def check_budget(contrast: Contrast, arm: Budget, rival: Budget, step: int) -> None:
    """Raise `InputError` where one arm may take more: 1 % of the smaller budget, and a step.

    `step` is the multiply-adds of one optimizer update, by which equal budgets can come apart.
    """
    if contrast.is_unequal or _are_equal(arm.spent, rival.spent, step):
        return
    low, high = sorted((arm.spent, rival.spent))
    apart = f"{(high - low) / low:.1%} apart" if low else "one of them nothing"
    takes = (
        f"unequal budgets: {contrast.arm!r} takes {arm.spent:,} multiply-adds and "
        f"{contrast.rival!r} {rival.spent:,}, {apart}"
    )
    if _are_equal(arm.trained, rival.trained, step):
        _refuse(
            contrast.name,
            f"{takes}; their trainings are equal, but scores and births take "
            f"{arm.untrained:,} and {rival.untrained:,}: end the line in {UNEQUAL!r}",
        )
    _refuse(
        contrast.name,
        f"{takes}: give the `train` moves of both the same sum, or end the line in {UNEQUAL!r}",
    )


def _are_equal(one: int, other: int, step: int) -> bool:
    return abs(one - other) <= max(MOST_APART * min(one, other), step)


def check_factors(contrast: Contrast, found: Collection[str]) -> None:
    """Raise `InputError` where the arms differ in several factors, or in others than the line says.

    Arms that differ in none but how long or when they train pass.
    """
    differing = tuple(factor for factor in FACTORS if factor in found)
    named = tuple(factor for factor in FACTORS if factor in contrast.factors)
    if named == differing or (not named and len(differing) <= 1):
        return
    changed = " and ".join(differing) or "no factor"
    cure = f"end the line in 'factors {'+'.join(differing)}'" if differing else "leave factors out"
    _refuse(
        contrast.name,
        f"{contrast.arm!r} against {contrast.rival!r} changes {changed}"
        + (f", not {' and '.join(named)}" if named else "")
        + f": let the arms differ in one factor, or {cure}",
    )


def readings_of(contrast: Contrast, lines: Iterable[Mapping[str, Any]]) -> Readings:
    """What a contrast asks for, from the lines of `readings.jsonl`: (arm, seed) -> value."""
    found: Readings = {}
    for line in lines:
        wanted = contrast.training + (line["trainings"] if contrast.training < 0 else 0)
        if (
            line["arm"] in (contrast.arm, contrast.rival)
            and line["training"] == wanted
            and math.isclose(line["moment"], contrast.moment, abs_tol=SAME_MOMENT)
        ):
            found[line["arm"], line["seed"]] = line["values"].get(contrast.measure)
    return found


def _clauses(name: str, words: Sequence[str]) -> dict[str, str]:
    """Each clause with its word."""
    found, rest = {}, list(words)
    while rest:
        key = rest.pop(0)
        if key not in CLAUSES:
            _refuse(name, f"unknown clause {key!r}: {nearest(key, CLAUSES)}")
        if not rest:
            _refuse(name, f"nothing stands after {key!r}")
        value = rest.pop(0)
        if key == "at" and rest[:1] == ["cost"]:
            if value != "unequal":
                _refuse(name, f"unknown clause 'at {value} cost': did you mean {UNEQUAL!r}?")
            key, rest = UNEQUAL, rest[1:]
        if key in found:
            _refuse(name, f"{key!r} stands there twice: once is enough")
        found[key] = value
    return found


def _number(name: str, key: str, word: str, most: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most or math.isinf(value):
        law = (
            "a moment from 0 to 1 (before and after the training)"
            if key == "at"
            else "a number of at least 0"
        )
        other = f", or {UNEQUAL!r}" if key == "at" else ""
        _refuse(name, f"{key} {word!r}: after {key!r} stands {law}{other}")
    return value


def _whole(name: str, key: str, word: str) -> int:
    if not re.fullmatch(r"-?\d+", word):
        _refuse(name, f"{key} {word!r}: after {key!r} stands the number of a training, -1 the last")
    return int(word)


def _factors(name: str, word: str) -> tuple[str, ...]:
    for factor in (factors := word.split("+")):
        if factor not in FACTORS:
            _refuse(name, f"unknown factor {factor!r}: {nearest(factor, FACTORS)}")
    return tuple(factor for factor in FACTORS if factor in factors)


def _refuse(name: str, why: str) -> NoReturn:
    raise InputError(f"contrast {name!r}: {why}")
