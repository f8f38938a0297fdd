"""A line of the lineage: there and back through JSON, and errors for what is no such line."""

import json
from dataclasses import fields
from typing import Any

import pytest
from search_runs import invented, tried

from recursive_lth.errors import DamagedFileError
from recursive_lth.search.generation import Generation, is_needed

PROMISED = {
    *("digest", "parent", "generation", "operator", "growth", "depth", "widths", "parameters"),
    *("remaining_parameters", "weights", "remaining_weights", "density", "multiply_adds"),
    *("remaining_multiply_adds", "val_accuracy", "val_loss", "val_calibrated_loss"),
    *("temperature", "test_accuracy", "accepted", "verdict", "training_cost", "training_steps"),
    *("seconds", "certificate", "candidates", "layers", "architecture"),
}
PROMISED_OF_CANDIDATES = {
    *("number", "growth", "status", "loss", "gain", "accuracy", "epochs", "training_cost"),
    "reason",
}
FULL = invented(
    2,
    val_loss=0.1 + 0.2,
    growth={"operator": "widen", "new_units": {"fc1": 2}, "new_layers": []},
    certificate={"eval": 1e-17, "after_budget": None},
    candidates=(tried(0), tried(1, "failed", None), tried(2, "stopped", -1 / 3)),
)


def through_json(turn: Generation) -> dict[str, Any]:
    """A lineage line as it is read."""
    row: dict[str, Any] = json.loads(json.dumps(turn.to_dict(), allow_nan=False))
    return row


def test_names_are_those_promised() -> None:
    """Other programs read them; adding one is fine, so is nothing else."""
    assert set(through_json(FULL)) >= PROMISED
    for candidate in through_json(FULL)["candidates"]:
        assert set(candidate) >= PROMISED_OF_CANDIDATES


def test_a_line_comes_back_equal() -> None:
    """To the last bit of every float, with candidates as candidates."""
    found = Generation.from_dict(through_json(FULL))
    assert found == FULL
    assert found.candidates[2].rungs == (-1 / 6, -1 / 3)
    assert found.to_dict() == FULL.to_dict()


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert Generation.from_dict(through_json(FULL) | {"colour": "blue"}) == FULL


@pytest.mark.parametrize("name", [f.name for f in fields(Generation) if is_needed(f)])
def test_a_missing_field_is_an_error_that_names_it(name: str) -> None:
    row = through_json(FULL)
    del row[name]
    with pytest.raises(DamagedFileError, match=name):
        Generation.from_dict(row)


def test_a_line_from_before_survivors_were_counted_is_read() -> None:
    """It says nothing of them."""
    row = through_json(FULL) | {"survivors": {"0": 4, "2": 2}}
    assert Generation.from_dict(row).survivors == {"0": 4, "2": 2}
    del row["survivors"]
    assert Generation.from_dict(row).survivors == {}


def test_a_line_from_before_tickets_were_confirmed_is_read() -> None:
    row = through_json(FULL) | {"weights_cost": 7, "confirmation": {"level": 0.05}}
    found = Generation.from_dict(row)
    assert (found.weights_cost, found.confirmation) == (7, {"level": 0.05})
    del row["weights_cost"], row["confirmation"]
    older = Generation.from_dict(row)
    assert (older.weights_cost, older.confirmation) == (0, None)


@pytest.mark.parametrize("name", ["number", "status", "rungs", "training_steps"])
def test_a_candidate_s_missing_field_is_an_error(name: str) -> None:
    row = through_json(FULL)
    del row["candidates"][1][name]
    with pytest.raises(DamagedFileError, match=name):
        Generation.from_dict(row)


@pytest.mark.parametrize("candidates", [None, 3, [None], [[]], ["x"]])
def test_candidates_that_are_none_are_an_error(candidates: object) -> None:
    with pytest.raises(DamagedFileError, match="--resume never"):
        Generation.from_dict(through_json(FULL) | {"candidates": candidates})


def test_an_unknown_status_is_an_error() -> None:
    """A status that no policy knows cannot be learnt from."""
    row = through_json(FULL)
    row["candidates"][1]["status"] = "promoted"
    with pytest.raises(DamagedFileError, match="promoted"):
        Generation.from_dict(row)
