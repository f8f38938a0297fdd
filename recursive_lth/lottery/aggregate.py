"""From the lines of a run to its table: means over replicates, and paired differences."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

Line = Mapping[str, Any]
Number = dict[str, Any]  # mean, sd (None for one replicate) and n
TICKET = "ticket"
TRANSFER = "transfer"
CONFIDENCE = 0.95
AVERAGED = ("val_accuracy", "test_accuracy", "early_stop_step", "early_stop_test_accuracy")


def average(values: Iterable[float | None]) -> Number:
    """Mean, sample standard deviation and number of the values that are not null."""
    known = [float(v) for v in values if v is not None]
    return {
        "mean": fmean(known) if known else None,
        "sd": stdev(known) if len(known) > 1 else None,
        "n": len(known),
    }


def aggregate(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """One row for each arm, variant and level, in the order in which they first appear."""
    return [
        {
            "arm": arm,
            "variant": variant,
            "level": level,
            "density": fmean(line["density"] for line in some),
            "remaining_weights": fmean(line["remaining_weights"] for line in some),
            "n": len(some),
            **{key: average(line[key] for line in some) for key in AVERAGED},
            "weight_samples": average(
                (line.get("weight_samples") or {}).get("mean") for line in some
            ),
            "collapsed": sum(line["is_collapsed"] for line in some),
            "diverged": sum(line["is_diverged"] for line in some),
            "training_multiply_adds": fmean(line["training_multiply_adds"] for line in some),
            "finding_multiply_adds": fmean(line["finding_multiply_adds"] for line in some),
        }
        for (arm, variant, level), some in _grouped(
            lines, lambda line: (line["arm"], line["variant"], line["level"])
        )
    ]


def pairs(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Ticket minus rival in test accuracy, paired over replicates: one row an arm, level, rival.

    What is trained elsewhere (`transfer`) is itself the ticket of its controls (`transfer_reinit`).
    `density` is the tickets', whatever the rival's; a rival whose ticket is missing has no pair.
    """
    places = {_place(line): line for line in lines}
    rows = []
    for (arm, level, variant), some in _grouped(
        (line for line in lines if line["variant"] not in {TICKET, TRANSFER}),
        lambda line: (line["arm"], line["level"], line["variant"]),
    ):
        base = TRANSFER if variant.startswith(f"{TRANSFER}_") else TICKET
        both = [(places.get((*_place(line)[:3], base)), line) for line in some]
        matched = [(ticket, line) for ticket, line in both if ticket is not None]
        if matched:
            differences = [t["test_accuracy"] - line["test_accuracy"] for t, line in matched]
            rows.append(
                {
                    "arm": arm,
                    "level": level,
                    "density": fmean(ticket["density"] for ticket, _ in matched),
                    "variant": variant,
                    "difference": interval(differences),
                    "wins": sum(difference > 0 for difference in differences),
                    "n": len(differences),
                }
            )
    return rows


def interval(values: Sequence[float]) -> Number:
    """Mean, spread and the 95 % t interval of the mean; no interval for one value."""
    found = average(values)
    if found["sd"] is None:
        return found | {"low": None, "high": None}
    from scipy import stats  # takes half a second to import, and tables are read without it

    n = len(values)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * found["sd"] / math.sqrt(n)
    return found | {"low": found["mean"] - half, "high": found["mean"] + half}


def _place(line: Line) -> tuple[Any, ...]:
    return line["replicate"], line["arm"], line["level"], line["variant"]


def _grouped(
    lines: Iterable[Line], key: Callable[[Line], tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], list[Line]]]:
    """Lines by key, in the order in which the keys first appear."""
    found: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        found.setdefault(key(line), []).append(line)
    return list(found.items())
