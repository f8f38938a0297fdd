"""A verdict in one plain sentence, from the values that stand in `verdicts.json`."""

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

MOST_DIGITS = 6
LEAST_P = 0.001


def words_of(found: Mapping[str, Any], level: float) -> str:
    """What was seen, how sure it is, and the verdict at this level with what limits it."""
    arm, rival, n = found["arm"], found["rival"], found["n"]
    if not n:
        return f"{_where(found)} no seed has a value of both {arm} and {rival}: undecided"
    known = [p for p in found["pairs"] if p["arm"] is not None and p["rival"] is not None]
    effect, unit = found["effect"], f" {found['unit']}" if found["unit"] else ""
    digits = _digits(effect)
    ours, theirs = (f"{fmean(p[side] for p in known):.{digits}f}" for side in ("arm", "rival"))
    seen = f"{_where(found)} {arm} had {ours}{unit} where {rival} had {theirs}"
    interval = (
        ""
        if effect["low"] is None
        else f" [{effect['low']:+.{digits}f}, {effect['high']:+.{digits}f}]"
    )
    p = "" if found["p_holm"] is None else f", Holm p {_probability(found['p_holm'])}"
    return (
        f"{seen}: {effect['mean']:+.{digits}f}{interval}, n = {n}{p}: "
        f"{_judged(found, level)}{_limits(found)}"
    )


def _where(found: Mapping[str, Any]) -> str:
    """The measure, with moment and training where they are not the last."""
    moment = "" if found["moment"] == 1 else f" at {found['moment']:g}"
    training = "" if found["training"] == -1 else f" of training {found['training']}"
    return f"in {found['measure']}{moment}{training}"


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


def _digits(effect: Mapping[str, Any]) -> int:
    """Decimals that show two digits of how far the mean can be trusted, or else of the mean."""
    half = 0.0 if effect["low"] is None else (effect["high"] - effect["low"]) / 2
    size = half or abs(effect["mean"])
    return min(MOST_DIGITS, max(0, 1 - math.floor(math.log10(size)))) if size else 2


def _probability(p: float) -> str:
    return f"= {p:.3f}" if p >= LEAST_P else f"< {LEAST_P:g}"
