"""A verdict in one plain sentence, from the values that stand in `verdicts.json`."""

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

MOST_DECIMALS = 6
LARGE = 1e7  # from here, as below the last decimal, numbers are written with an exponent
ROUNDING = 1e-9  # of the mean: an interval so narrow is a point
LEAST_P = 0.001


def words_of(found: Mapping[str, Any], level: float) -> str:
    """What was seen, how sure it is, and the verdict at this level with what limits it."""
    arm, rival, n = found["arm"], found["rival"], found["n"]
    if not n:
        return f"{_where(found)} no seed has a value of both {arm} and {rival}: undecided"
    known = [p for p in found["pairs"] if p["arm"] is not None and p["rival"] is not None]
    is_share = found["unit"] == "share"
    scale, unit = (100, " %") if is_share else (1, f" {found['unit']}" if found["unit"] else "")
    effect: dict[str, Any] = {
        end: None if found["effect"][end] is None else scale * found["effect"][end]
        for end in ("mean", "low", "high")
    }
    decimals = _decimals(effect)
    ours, theirs = (
        _written(scale * fmean(p[side] for p in known), decimals) for side in ("arm", "rival")
    )
    seen = f"{_where(found)} {arm} had {ours}{unit} where {rival} had {theirs}{unit}"
    ends = [effect[end] for end in ("low", "high") if effect[end] is not None]
    interval = f" [{', '.join(_written(end, decimals, '+') for end in ends)}]" if ends else ""
    points = " points" if is_share else ""
    p = "" if found["p_holm"] is None else f", corrected p {_probability(found['p_holm'])}"
    return (
        f"{seen}: {_written(effect['mean'], decimals, '+')}{points}{interval}, n = {n}{p}: "
        f"{_judged(found, level)}{_limits(found)}"
    )


def _where(found: Mapping[str, Any]) -> str:
    """The measure, with moment and training where they are not the last."""
    moment, number = found["moment"], found["training"]
    at = "before" if not moment else "after" if moment == 1 else f"at {100 * moment:.3g} % of"
    when = f" {at} training" if moment != 1 or number != -1 else ""
    which = f" {number}" if number != -1 else ""
    return f"in {found['measure'].replace('_', ' ')}{when}{which}"


def _judged(found: Mapping[str, Any], level: float) -> str:
    """The verdict, and on what it stands."""
    verdict, margin, needed = found["verdict"], found["margin"], found["seeds_needed"]
    if found["p_holm"] is None:
        return "undecided, so few pairs show nothing"
    if verdict == "undecided":
        return (
            f"undecided, an effect like this takes {needed} seeds"
            if needed
            else "undecided, no number of seeds would show so small an effect"
        )
    is_within = found["p_within_holm"] is not None and found["p_within_holm"] <= level
    if found["p_holm"] > level:
        return f"refuted, they lie within {margin:g} of each other"
    words = verdict if verdict == "supported" else "refuted, it is the other way round"
    return f"{words}, though by less than {margin:g}" if is_within else words


def _limits(found: Mapping[str, Any]) -> str:
    """Seeds that are left out, and unequal cost: what a reader must know beside the verdict."""
    lacking = {
        found[side]: sum(pair[side] is None for pair in found["pairs"]) for side in ("arm", "rival")
    }
    whose = " and ".join(f"{arm} in {count}" for arm, count in lacking.items() if count)
    left_out = f"; {found['missing']} left out for want of a value ({whose})" if whose else ""
    return left_out + ("; at unequal cost" if found["is_unequal"] else "")


def _decimals(effect: Mapping[str, Any]) -> int:
    """As many as show two digits of how far the mean can be trusted, or else of the mean."""
    half = 0.0 if effect["low"] is None else (effect["high"] - effect["low"]) / 2
    size = half if half > ROUNDING * abs(effect["mean"]) else abs(effect["mean"])
    return max(0, 1 - math.floor(math.log10(size))) if size else 2


def _written(value: float, decimals: int, sign: str = "-") -> str:
    """A number; what rounds to zero loses the sign that rounding gave it."""
    if decimals > MOST_DECIMALS or abs(value) >= LARGE:
        return f"{value:{sign}.3g}"
    return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"


def _probability(p: float) -> str:
    return f"= {p:.3f}" if p >= LEAST_P else f"< {LEAST_P:g}"
