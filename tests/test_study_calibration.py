"""Verdicts of simulated studies: errors at most the level, intervals and power as they are told."""

import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from recursive_lth.statistics import LEVEL

FILE = Path(__file__).parents[1] / "experiments" / "study_calibration.py"
LUCK = 3.0  # binomial deviations that a rate of a fixed seed may lie off
ALIKE = {  # arms that differ in nothing but their seeds
    "normal",
    "skewed (lognormal)",
    "heavy-tailed (t, 3 degrees)",
    "accuracies in steps",
}


def script() -> ModuleType:
    """The experiment as a module."""
    spec = importlib.util.spec_from_file_location("study_calibration", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def off(rate: float, studies: int) -> float:
    return LUCK * math.sqrt(rate * (1 - rate) / studies)


def check(found: dict[str, Any]) -> None:
    """The claims of the experiment, each within its binomial error."""
    studies = found["rounds"] * found["studies"]
    nulls = [row for row in found["nulls"] if row["noise"] in ALIKE]
    assert {row["noise"] for row in nulls} == ALIKE
    for row in nulls:
        assert row["false"] <= LEVEL + off(LEVEL, studies), row
        if row["noise"] == "normal" and row["contrasts"] == 1:  # the level is used, too
            assert row["false"] >= LEVEL - off(LEVEL, studies), row
    for row in found["censored"]:
        assert row["false"] <= LEVEL + off(LEVEL, found["studies"]), row
    for row in found["mixed"]:
        assert row["untrue"] <= LEVEL + off(LEVEL, studies), row
    for row in found["coverage"]:
        if row["noise"] in ALIKE:  # never too narrow by 2 points, and for normal noise just so
            assert row["t"] >= 0.93 - off(0.93, studies), row
        if row["noise"] == "normal":
            assert abs(row["t"] - 0.95) <= 0.02 + off(0.95, studies), row
    for row in found["power"]:
        if row["noise"] == "normal":
            error = off(row["expected"], studies)
            assert row["found"] >= row["expected"] - error, row
            assert row["contrasts"] == 10 or row["found"] <= row["expected"] + error, row


def test_a_few_studies_are_calibrated() -> None:
    """Its quick p are also held against the library's, and it raises where they differ."""
    check(script().simulate(studies=25, bootstraps=20, seeds=(5, 10)))


@pytest.mark.slow
def test_a_thousand_studies_are_calibrated_and_are_those_on_file() -> None:
    found = script().simulate()
    check(found)
    for row in found["coverage"]:
        if row["noise"] == "normal":
            assert abs(row["bootstrap"] - 0.95) <= 0.02 + off(0.95, 1000), row
    kept = json.loads(FILE.with_suffix(".json").read_text("utf-8"))
    assert {k: v for k, v in kept.items() if isinstance(v, int | float)} == {
        k: v for k, v in found.items() if isinstance(v, int | float)
    }
    for table in ("nulls", "coverage", "censored", "mixed", "power"):
        for row, was in zip(found[table], kept[table], strict=True):
            assert row == pytest.approx(was, abs=0.01)
