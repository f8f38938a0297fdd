"""Folders of studies as the library writes them, of readings invented here."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import tomli_w

from recursive_lth.files import write_json, write_lines
from recursive_lth.statistics import holm, interval, p_above, sign_flip

UNIT = 1e8  # multiply-adds that one epoch of the start network costs
MEASURES: dict[str, dict[str, Any]] = {
    "cost_to_target": {"unit": "multiply-adds", "better": "less", "passes": 0.0, "epochs": 0.0,
                       "about": "Multiply-adds until the validation accuracy reaches the target."},
    "test_accuracy": {"unit": "share", "better": "more", "passes": 0.0, "epochs": 0.0,
                      "about": "Accuracy on the test data, which choose nothing."},
    "dormant_units": {"unit": "share", "better": "less", "passes": 1 / 3, "epochs": 0.0,
                      "about": "Units whose score is <= 0.025 of their layer (Sokar et al. 2023)."},
    "gradient_norm": {"unit": "", "better": "", "passes": 1.0, "epochs": 0.0,
                      "about": "Length of the gradient of the training loss."},
    "sharpness": {"unit": "", "better": "less", "passes": 40.0, "epochs": 2.0,
                  "about": "Largest eigenvalue of the Hessian of the training loss."},
    "effective_rank": {"unit": "dimensions", "better": "more", "passes": 1 / 3, "epochs": 0.0,
                       "about": "Entropy of the spectrum of the last features (Roy, Vetterli)."},
}  # fmt: skip
ONLY_AFTER = {"cost_to_target", "test_accuracy"}
MOVES: dict[str, tuple[str, ...]] = {
    "untouched": ("train 3", "train 3"),
    "pruned": ("train 3", "prune 0.2", "train 3"),
    "grown": ("train 3", "prune 0.2", "grow deepen initialisation=identity", "train 3"),
    "fresh_<b>start</b>": ("start like=grown", "train 6"),
}
LINES: tuple[tuple[str, str, str, str, str], ...] = (
    ("growth rejuvenates", "grown", "pruned", "cost_to_target", "less"),
    ("pruning ages", "pruned", "untouched", "test_accuracy", "less"),
    ("inheritance <i>helps</i>", "grown", "fresh_<b>start</b>", "test_accuracy", "more"),
    ("growth wakes units", "grown", "pruned", "dormant_units", "less"),
)


def read(measure: str, arm: str, training: int, moment: float, seed: int) -> float | None:
    """A value that depends on all of them; the pruned arm never reaches its target in seed 1."""
    noise = np.random.default_rng([len(measure), *map(ord, arm[:3]), seed]).normal()
    rank = list(MOVES).index(arm) if arm in MOVES else 0
    match measure:
        case "cost_to_target":
            if arm == "pruned" and seed == 1:
                return None
            return UNIT * (3.2 - 0.5 * rank + 0.1 * noise)
        case "test_accuracy":
            return 0.95 + 0.008 * (rank if rank < 3 else 1.8) + 0.001 * noise + 0.003 * training
        case "dormant_units":
            return max(0.0, 0.1 + 0.05 * training + 0.05 * moment + 0.02 * noise)
        case "gradient_norm":
            return math.exp(0.4 * noise + 1.0 - 4.0 * moment)
        case "sharpness":
            return 12.0 + 40.0 * moment + 4.0 * noise + 3.0 * rank
    return None if arm == "untouched" else 20.0 + 3.0 * rank - 4.0 * moment + noise


def reading(arm: str, training: int, moment: float, seed: int) -> dict[str, Any]:
    """A line of `readings.jsonl`."""
    values = {
        name: read(name, arm, training, moment, seed)
        for name in MEASURES
        if moment == 1 or name not in ONLY_AFTER
    }
    weights = 26_000 if arm == "untouched" else 5_200 + 300 * training
    return {
        "seed": seed, "arm": arm, "training": training, "trainings": 2, "moment": moment,
        "move": "train 3", "task": "", "depth": 3, "parameters": 26_000,
        "remaining_weights": weights, "density": weights / 26_000, "multiply_adds": weights,
        "spent": 3 * UNIT * (training + moment), "steps": 300, "values": values,
        "digest": "ab" * 32,
    }  # fmt: skip


def curve(arm: str, training: int, seed: int, looks: int = 20) -> dict[str, Any]:
    """A line of `curves.jsonl`."""
    rng = np.random.default_rng([seed, training, *map(ord, arm[:2])])
    rate = 3.0 + list(MOVES).index(arm)
    points = []
    for look in range(looks + 1):
        at = look / looks
        loss = 0.09 + (2.2 if training == 0 else 0.5) * math.exp(-rate * 2 * at)
        loss *= math.exp(0.06 * rng.normal())
        points.append({
            "step": 15 * look, "spent": 3 * UNIT * (training + at), "train_loss": 0.8 * loss,
            "val_loss": loss, "val_calibrated_loss": loss, "val_accuracy": math.exp(-0.4 * loss),
        })  # fmt: skip
    return {"seed": seed, "arm": arm, "training": training, "trainings": 2, "curve": points}


def verdicts_of(readings: Sequence[Mapping[str, Any]], lines: Sequence[Any]) -> dict[str, Any]:
    """`verdicts.json`: each line of contrasts held against the last readings after training."""
    last = {
        (row["arm"], row["seed"]): row["values"]
        for row in sorted(readings, key=lambda row: row["training"])
        if row["moment"] == 1
    }
    seeds = sorted({row["seed"] for row in readings})
    found = [_verdict(line, last, seeds) for line in lines]
    for one, p in zip(found, holm([one["p"] or 1.0 for one in found]), strict=True):
        one["p_holm"] = None if one["p"] is None else p
        if one["p"] is not None and p <= 0.05:
            is_as_claimed = (one["effect"]["mean"] > 0) == (one["direction"] == "more")
            one["verdict"] = "supported" if is_as_claimed else "refuted"
        one["words"] = f"in {one['measure']} n = {one['n']}: {one['verdict']}"
    family = {"level": 0.05, "contrasts": len(found), "correction": "Holm 1979"}
    return {"family": family, "verdicts": found}


def _verdict(line: Any, last: Mapping[Any, Any], seeds: Sequence[int]) -> dict[str, Any]:
    name, arm, rival, measure, direction = line
    sides = {seed: [last[side, seed][measure] for side in (arm, rival)] for seed in seeds}
    whole = {seed: both for seed, both in sides.items() if None not in both}
    pairs = [{"seed": s, "arm": both[0], "rival": both[1]} for s, both in sides.items()]
    gains = [both[0] - both[1] for both in whole.values()]
    effect = interval(gains) if gains else {"mean": None, "sd": None, "low": None, "high": None}
    p = min(1.0, 2 * min(p_above(gains), p_above([-g for g in gains]))) if len(gains) > 1 else None
    flips = [sign_flip(gains), sign_flip([-g for g in gains])] if gains else [1.0]
    return {
        "name": name, "line": f"{name}: {arm} ? {rival} in {measure}", "arm": arm, "rival": rival,
        "measure": measure, "unit": MEASURES[measure]["unit"], "direction": direction,
        "factors": ["structure"], "moment": 1.0, "training": -1, "n": len(gains), "pairs": pairs,
        "effect": {**effect, "resampled": None},
        "standardised": fmean(gains) / stdev(gains) if len(gains) > 1 else None,
        "p": p, "p_exact": min(1.0, 2 * min(flips)), "p_holm": None, "p_within": None,
        "p_within_holm": None, "verdict": "undecided",
        "margin": 0.002 if measure == "test_accuracy" else 0.0, "seeds_needed": 7,
        "budget": {"arm": 6 * UNIT, "rival": 6 * UNIT}, "is_unequal": False,
        "missing": len(seeds) - len(whole), "words": "",
    }  # fmt: skip


def write_study(
    folder: Path,
    *,
    arms: Sequence[str] = tuple(MOVES),
    seeds: int = 5,
    lines: Sequence[Any] = LINES,
    moments: Sequence[float] = (0.0, 1.0),
    trainings: Sequence[int] = (0, 1),
    is_finished: bool = True,
) -> Path:
    """A study's folder; without readings where there is no arm."""
    folder.mkdir(parents=True)
    contrasts = [f"{name}: {arm} < {rival} in {m}" for name, arm, rival, m, _ in lines]
    experiment: dict[str, Any] = {
        "command": "study", "name": "juvenile_factors", "seed": 0,
        "claim": "Growth <script>alert(1)</script> & pruning.",
        "data": {"name": "digits"}, "study": {"seeds": seeds, "contrasts": contrasts},
        "tasks": [{"name": "noisy", "noise": 0.4}],
        "arms": [{"name": arm, "moves": list(MOVES[arm])} for arm in arms],
    }  # fmt: skip
    (folder / "experiment.toml").write_text(tomli_w.dumps(experiment), "utf-8")
    readings = [
        reading(arm, training, moment, seed)
        for seed in range(seeds)
        for arm in arms
        for training in trainings
        for moment in moments
    ]
    write_lines(folder / "readings.jsonl", readings)
    curves = [curve(arm, t, seed) for seed in range(seeds) for arm in arms for t in (0, 1)]
    write_lines(folder / "curves.jsonl", curves)
    if is_finished:
        write_json(folder / "verdicts.json", verdicts_of(readings, lines))
        write_json(folder / "summary.json", summary(len(readings)))
    return folder


def write_lineage_study(folder: Path, *, generations: int = 5, seeds: int = 1) -> Path:
    """The folder of a study of a run: its tickets, generation by generation."""
    folder.mkdir(parents=True)
    experiment = {"command": "study", "name": "study_of_grow_digits", "seed": 0}
    (folder / "experiment.toml").write_text(tomli_w.dumps(experiment), "utf-8")
    rows = []
    for seed in range(seeds):
        for generation in range(generations):
            row = reading("lineage", 0, 1.0, seed) | {"arm": f"generation-{generation:03d}"}
            row["values"]["test_accuracy"] = 0.93 + 0.01 * generation + 0.002 * seed
            row["values"]["sharpness"] = 10.0 * 2**generation
            rows.append(row)
    write_lines(folder / "readings.jsonl", rows)
    write_json(folder / "summary.json", summary(len(rows)))
    return folder


def summary(readings: int) -> dict[str, Any]:
    """`summary.json`."""
    return {
        "name": "juvenile_factors", "digest": "0" * 64, "readings": readings, "measures": MEASURES,
        "cost": {"multiply_adds": 10**10, "probing_multiply_adds": 2 * 10**9,
                 "seconds": {"training": 99.0, "total": 120.0}},
        "versions": {"python": "3.11"}, "machine": {"cores": 2},
    }  # fmt: skip
