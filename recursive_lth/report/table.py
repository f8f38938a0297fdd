"""Tables of a run as rows of text, for the terminal and for the page alike."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recursive_lth.report.quantities import UNKNOWN, count, magnitude, operations, percent

NUMBERS = ("depth", "weights", "density", "multiply-adds", "validation", "test")


class Table(NamedTuple):
    """Headers and rows, every cell a text; a row is as long as the headers."""

    headers: list[str]
    rows: list[list[str]]


def lineage_table(generations: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each ticket, in the order found; weights and multiply-adds are the remaining ones.

    `training cost` is the multiply-adds spent up to and including the ticket.
    """
    headers = ["generation", "growth", *NUMBERS, "training cost", "accepted"]
    rows = [
        [
            str(line["generation"]),
            describe_growth(line),
            *_numbers(line),
            operations(line["training_cost"]),
            "yes" if line["accepted"] else "no",
        ]
        for line in generations
    ]
    return Table(headers, rows)


def front_table(front: Sequence[Mapping[str, Any]], *, best: str = "") -> Table:
    """A row for each ticket of the Pareto front, most accurate first; `best` is a digest."""
    tickets = sorted(front, key=lambda line: (-line["val_accuracy"], line["remaining_weights"]))
    rows = [
        [
            f"{line['generation']}{' (best)' if line['digest'] == best else ''}",
            *_numbers(line),
            line["digest"][:12],
        ]
        for line in tickets
    ]
    return Table(["generation", *NUMBERS, "ticket"], rows)


def certificate_table(generations: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each certified growth: the largest change of a logit that it caused."""
    headers = ["generation", "growth", "new weights", "function", "eval", "train"]
    headers += ["after budget", "samples"]
    rows = []
    for line in generations:
        certificate = line["certificate"]
        if certificate is not None:
            rows.append(
                [
                    str(line["generation"]),
                    str(certificate["operator"]),
                    str(certificate["initialisation"]),
                    "preserved" if certificate["claims_exact"] else "not preserved",
                    magnitude(certificate["eval"]),
                    magnitude(certificate["train"]),
                    magnitude(certificate["after_budget"]),
                    str(certificate["samples"]),
                ]
            )
    return Table(headers, rows)


def describe_growth(line: Mapping[str, Any]) -> str:
    """What made the ticket of this line, in a few words: `widen h1 by 12`, `pruned only`."""
    growth = line["growth"]
    if growth is None:
        return "dense start" if line["operator"] == "start" else "pruned only"
    units = sum((growth.get("new_units") or {}).values())
    where = growth.get("where") or UNKNOWN
    if growth["operator"] == "widen":
        return f"widen {where} by {units}"
    return f"{growth['operator']} at {where}"


def _numbers(line: Mapping[str, Any]) -> list[str]:
    return [
        str(line["depth"]),
        count(line["remaining_weights"]),
        percent(line["density"]),
        operations(line["remaining_multiply_adds"]),
        percent(line["val_accuracy"]),
        percent(line["test_accuracy"]),
    ]
