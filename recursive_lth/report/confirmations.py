"""Tickets held against their parents and controls on seeds of their own, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from recursive_lth.report.quantities import UNKNOWN, probability, signed
from recursive_lth.report.table import Table

HEADERS = ["generation", "against", "verdict", "accuracy, points", "95 % interval", "p", "p, flips"]
HEADERS += ["loss less by", "95 % interval", "p", "pairs"]
NAMES = {"parent": "its parent", "trained_on": "parent trained on", "reinit": "re-initialised"}


def confirmation_table(generations: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each rival of each confirmed ticket; more is better in both measures.

    A control's p is Holm's in the measure that decides. One that could not be made has dashes.
    """
    rows = []
    for line in generations:
        confirmation = line.get("confirmation")
        if confirmation is None:
            continue
        for each in confirmation["against"]:
            accuracy, loss = each["accuracy"], each["loss"]
            name = name_rival(each["rival"])
            first = [str(line["generation"]), name, each["verdict"] or "left out"]
            if accuracy is None:
                rows.append(first + [UNKNOWN] * (len(HEADERS) - len(first)))
                continue
            corrected = {confirmation["measure"]: each["p_holm"]}
            rows.append(
                [
                    *first,
                    *_effect(accuracy, 100, 2, corrected.get("accuracy")),
                    probability(accuracy["p_flip"]),
                    *_effect(loss, 1, 4, corrected.get("loss")),
                    str(accuracy["n"]),
                ]
            )
    return Table(HEADERS, rows)


def name_rival(rival: str) -> str:
    """A rival in words."""
    return NAMES.get(rival, rival.replace("_", " "))


def _effect(effect: Mapping[str, Any], scale: int, digits: int, p: float | None) -> list[str]:
    """Mean, interval and p of a gain."""
    low, high = (signed(scale * effect[end], digits) for end in ("low", "high"))
    return [
        signed(scale * effect["mean"], digits),
        f"{low} to {high}",
        probability(effect["p"] if p is None else p),
    ]
