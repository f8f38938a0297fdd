"""From the lines of a run to its table: means over replicates, and paired differences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from recursive_lth.statistics import average, interval

Line = Mapping[str, Any]
TICKET = "ticket"
TRANSFER = "transfer"
AVERAGED = ("val_accuracy", "test_accuracy", "early_stop_step", "early_stop_test_accuracy")


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
