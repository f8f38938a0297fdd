"""Tables of a run as rows of text, for the terminal and for the page alike."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recursive_lth.report.quantities import UNKNOWN, change, count, magnitude, operations, percent
from recursive_lth.report.standing import grows_on, outcome

ACCEPTED = {"accepted": "yes", "grows on": "grows on", "rejected": "no"}  # by outcome
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
            ACCEPTED[outcome(line)],
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
    """A row for each certified growth: what it changed, and what it brings to learn.

    Numbers that the certificates of earlier versions lack are left blank.
    """
    headers = ["generation", "growth", "new weights", "function", "in evaluation", "in training"]
    headers += ["once paid for", "training loss", "gradient", "after a step"]
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
                    change(certificate.get("loss_change")),
                    magnitude(certificate.get("new_gradient")),
                    magnitude(certificate.get("next_step")),
                ]
            )
    return Table(headers, rows)


def list_reasons(generations: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each row of the certificates why it does not claim to preserve the function, or ""."""
    certificates = [line["certificate"] for line in generations]
    return [str(c.get("reason", "")) for c in certificates if c is not None]


def describe_growth(line: Mapping[str, Any]) -> str:
    """What made the ticket of this line, in a few words: `widen h1 by 12`, `pruned only`."""
    growth = line["growth"]
    if growth is None:
        if line["operator"] == "start":
            return f"{'dense' if line['density'] == 1 else 'given'} start"
        return "trained on" if grows_on(line) else "pruned only"
    operator = growth["operator"]
    units = sum((growth.get("new_units") or {}).values())
    where = growth.get("where") or UNKNOWN
    if operator in {"widen", "split"}:
        return f"{operator} {where} by {units}"
    return f"rewire {where}" if operator == "rewire" else f"{operator.replace('_', ' ')} at {where}"


def describe_exchange(line: Mapping[str, Any]) -> str:
    """The weights that came by a growth and that left for it, if the lineage says so."""
    growth = line["growth"] or {}
    if "born_weights" not in growth:
        return ""
    came, gone = count(growth["born_weights"]), count(growth["left_weights"])
    if growth["operator"] == "rewire":
        return f"{came} weights returned, {gone} left"
    if growth["operator"] == "split":
        came = "no"  # a copy counts as born with what it copies
    return f"{came} new weights" + (
        f", {gone} left to pay for them" if growth["left_weights"] else ""
    )


def _numbers(line: Mapping[str, Any]) -> list[str]:
    return [
        str(line["depth"]),
        count(line["remaining_weights"]),
        percent(line["density"]),
        operations(line["remaining_multiply_adds"]),
        percent(line["val_accuracy"]),
        percent(line["test_accuracy"]),
    ]
