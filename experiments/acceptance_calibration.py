"""How often statistical acceptance errs, and how often it sees a gain: simulated decisions.

Claim: where a child equals its parent but for the noise of their seeds, it is `won` in at most 5 %
of the decisions, whatever that noise looks like; a gain of two standard errors is `won` as often as
the noncentral t says. The noise is invented, or that of one ticket of `grow_digits` confirmed on
400 seeds, from which pairs are drawn without replacement. Seeds: 0. Machine: any, two minutes on
one core. Expected: all rates of the first table within 5 % and a binomial error, but for skewed
differences, which no test of so few pairs can judge: of five such pairs all are above their mean of
0 in 10 % of the cases.

    python experiments/acceptance_calibration.py

writes acceptance_calibration.json and acceptance_calibration.md beside itself.
"""

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import recursive_lth
from recursive_lth.statistics import (
    LEVEL,
    Numbers,
    detection_rate,
    effect,
    required_pairs,
    sign_flip,
    verdict,
)

PAIRS = (3, 5, 8, 10)
DECISIONS = 500  # as the claim has it
SEEDS = 400  # of the real ticket
ROUNDS = 8  # of so many decisions, for a rate that chance does not blur
GAIN = 2.0  # standard errors of the mean
MARGINS = (2.0, 4.0)  # of equivalence, in standard errors
INTERVALS = 1000  # whose coverage is counted
TOLERANCE = 1.645 * math.sqrt(LEVEL * (1 - LEVEL) / DECISIONS)  # one-sided, at 5 %
Draw = Callable[[np.random.Generator, tuple[int, int]], Numbers]
HERE = Path(__file__).with_suffix("")


def of_seeds(noise: Draw) -> Draw:
    """Child minus parent, each with such noise of its own: as likely +d as -d."""
    return lambda generator, size: noise(generator, size) - noise(generator, size)


def of_runs(pool: list[float]) -> Draw:
    """Differences of runs drawn from a pool, each at most once in a decision."""

    def draw(generator: np.random.Generator, size: tuple[int, int]) -> Numbers:
        decisions, pairs = size
        chosen = generator.random((decisions, len(pool))).argsort(axis=1)[:, : 2 * pairs]
        drawn = np.array(pool)[chosen]
        return np.asarray(drawn[:, :pairs] - drawn[:, pairs:])

    return draw


@dataclass(frozen=True)
class Noise:
    """Differences of mean 0, their spread, and the step in which they come."""

    name: str
    draw: Draw
    spread: float = 0.0  # that of real runs; 0 where it is not asked
    step: float = 0.0


INVENTED = (
    Noise("normal", of_seeds(lambda g, size: g.normal(size=size)), math.sqrt(2)),
    Noise("skewed (lognormal)", of_seeds(lambda g, size: g.lognormal(size=size))),
    Noise("heavy-tailed (t, 2 degrees)", of_seeds(lambda g, size: g.standard_t(2, size=size))),
    Noise("whole samples", of_seeds(lambda g, size: np.round(g.normal(0, 0.7, size))), step=1.0),
)
SKEWED = (
    Noise("differences skewed up", lambda g, size: g.exponential(size=size) - 1),
    Noise("differences skewed down", lambda g, size: 1 - g.exponential(size=size)),
)


def real_noises() -> list[Noise]:
    """Those of one real ticket, trained on from where it stands on many seeds."""
    settings = ["acceptance.rule=paired", f"acceptance.replicates={SEEDS}"]
    settings += ["acceptance.controls=[]", "growth.policy=never", "budget.generations=1"]
    experiment = recursive_lth.load_experiment("grow_digits", settings)
    with tempfile.TemporaryDirectory() as folder:
        *_, ticket = recursive_lth.grow(experiment, out=Path(folder))
    child = ticket.to_dict()["confirmation"]["child"]
    accuracies, losses = child["accuracies"], child["losses"]
    step = float(np.diff(np.unique(accuracies)).min())  # a validation sample
    return [
        Noise("digits, accuracy", of_runs(accuracies), spread_of(accuracies), step),
        Noise("digits, calibrated loss", of_runs(losses), spread_of(losses)),
    ]


def spread_of(pool: list[float]) -> float:
    """The standard deviation of the difference of two of them."""
    return float(math.sqrt(2) * np.std(pool, ddof=1))


def null_rates(generator: np.random.Generator, noise: Noise, pairs: int) -> dict[str, Any]:
    """How often a child without any gain is won, and lost, and how its intervals cover 0."""
    differences, step = noise.draw(generator, (ROUNDS * DECISIONS, pairs)), noise.step
    found = [verdict(row, margin=0.0, step=step) for row in differences]
    won = np.array([each == "won" for each in found]).reshape(ROUNDS, DECISIONS)
    effects = [effect(row, generator, step=step) for row in differences[:INTERVALS]]
    resampled = [e.resampled for e in effects if e.resampled is not None]
    return {
        "noise": noise.name,
        "pairs": pairs,
        "won": float(won.mean()),
        "won_of_500": [float(won.mean(axis=1).min()), float(won.mean(axis=1).max())],
        "lost": sum(each == "lost" for each in found) / len(found),
        "won_by_sign_flips": float(np.mean([sign_flip(row) <= LEVEL for row in differences[:500]])),
        "t_covers": float(np.mean([_holds(e.low, e.high) for e in effects])),
        "bootstrap_covers": float(np.mean([_holds(*each) for each in resampled]))
        if resampled
        else None,
        "percentiles_cover": float(
            np.mean([_holds(*_percentiles(row, generator)) for row in differences[:INTERVALS]])
        ),
    }


def _percentiles(row: Numbers, generator: np.random.Generator) -> tuple[float, float]:
    """The plain bootstrap interval, which the library does without."""
    drawn = row[generator.integers(0, len(row), (1000, len(row)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _holds(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low <= 1e-12 and high >= -1e-12


def gain_rates(generator: np.random.Generator, noise: Noise, pairs: int) -> dict[str, Any]:
    """How often a gain of two standard errors is won, against theory, which is that of normals."""
    gain = GAIN * noise.spread / math.sqrt(pairs)
    rows = noise.draw(generator, (ROUNDS * DECISIONS, pairs)) + gain
    won = sum(verdict(row, margin=0.0, step=noise.step) == "won" for row in rows)
    theory = detection_rate(GAIN, pairs)
    return {
        "noise": noise.name,
        "pairs": pairs,
        "won": won / len(rows),
        "theory": theory,
        "tolerance": 1.96 * math.sqrt(theory * (1 - theory) / len(rows)),
        "pairs_for_80_percent": required_pairs(gain, noise.spread),
    }


def tie_rates(generator: np.random.Generator, pairs: int, margin: float) -> dict[str, Any]:
    """Verdicts of equals under a margin of so many standard errors, and of a child at its edge."""
    wide = margin / math.sqrt(pairs)
    equal, edge = (
        [verdict(row, wide) for row in generator.normal(mean, 1.0, (DECISIONS, pairs))]
        for mean in (0.0, -wide)
    )
    return {
        "pairs": pairs,
        "margin_in_standard_errors": margin,
        **{f"equal_{word}": equal.count(word) / DECISIONS for word in ("won", "tied", "undecided")},
        "edge_accepted": sum(word in {"won", "tied"} for word in edge) / DECISIONS,
    }


def main() -> None:
    """Simulate, and write both tables."""
    generator = np.random.default_rng(0)
    noises = [*INVENTED, *real_noises()]
    nulls = [null_rates(generator, noise, n) for noise in (*noises, *SKEWED) for n in PAIRS]
    gains = [gain_rates(generator, noise, n) for noise in noises if noise.spread for n in PAIRS]
    ties = [tie_rates(generator, n, margin) for margin in MARGINS for n in PAIRS]
    found = {"level": LEVEL, "tolerance_of_500": TOLERANCE, "nulls": nulls, "gains": gains}
    text = json.dumps(found | {"ties": ties}, indent=1)
    HERE.with_suffix(".json").write_text(text + "\n", "utf-8")
    HERE.with_suffix(".md").write_text(_tables(nulls, gains, ties), "utf-8")
    print(_tables(nulls, gains, ties))


def _tables(nulls: list[Any], gains: list[Any], ties: list[Any]) -> str:
    """The three tables in Markdown."""
    lines = [
        "# Calibration of statistical acceptance",
        "",
        "Made by `python experiments/acceptance_calibration.py`.",
        f"Rates are over {ROUNDS} rounds of {DECISIONS} decisions, intervals over {INTERVALS}.",
        f"At a true rate of {LEVEL:.0%} a round has at most {LEVEL + TOLERANCE:.1%}, and all have",
        f"at most {LEVEL + TOLERANCE / math.sqrt(ROUNDS):.1%}, but for chance in 1 case of 20.",
        "",
        "A child that equals its parent; the last two rows are no noise of seeds but skewed",
        "differences of mean 0, which the t test and the exact sign flips misjudge alike.",
        "",
        (
            "| noise | pairs | won | least and most of 500 | lost | by sign flips | t covers "
            "| bootstrap-t covers | percentiles cover |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['noise']} | {r['pairs']} | {r['won']:.1%} "
        f"| {r['won_of_500'][0]:.1%} to {r['won_of_500'][1]:.1%} "
        f"| {r['lost']:.1%} | {r['won_by_sign_flips']:.1%} | {r['t_covers']:.1%} | "
        + ("–" if r["bootstrap_covers"] is None else f"{r['bootstrap_covers']:.1%}")
        + f" | {r['percentiles_cover']:.1%} |"
        for r in nulls
    ]
    lines += [
        "",
        "A true gain of two standard errors of the mean, and what theory has for normal noise.",
        "",
        "| noise | pairs | won | noncentral t | pairs that win so large a gain in 80 % |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['noise']} | {r['pairs']} | {r['won']:.1%} "
        f"| {r['theory']:.1%} ± {r['tolerance']:.1%} | {r['pairs_for_80_percent']} |"
        for r in gains
    ]
    lines += [
        "",
        "Equals under a margin, and how often a child that is worse by the whole margin gets in.",
        "",
        "| margin, standard errors | pairs | won | tied | undecided | accepted at the margin |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['margin_in_standard_errors']:g} | {r['pairs']} | {r['equal_won']:.1%} "
        f"| {r['equal_tied']:.1%} | {r['equal_undecided']:.1%} | {r['edge_accepted']:.1%} |"
        for r in ties
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
