"""Where each ticket of a run stands: the start, the accepted, the best, the Pareto front."""

from collections.abc import Mapping, Sequence
from typing import Any

from recursive_lth.report.record import RunRecord
from recursive_lth.search.lineage import undominated

Line = dict[str, Any]  # one line of the lineage


def accepted(generations: Sequence[Line]) -> list[Line]:
    """The accepted tickets, in the order they were found."""
    return [line for line in generations if line["accepted"]]


def grows_on(line: Mapping[str, Any]) -> bool:
    """True iff the ticket was not judged, but grew again before a pruning."""
    return bool(line.get("grows_on"))


def outcome(line: Mapping[str, Any]) -> str:
    """What became of a ticket: accepted, rejected, or neither yet where it grows on."""
    return "accepted" if line["accepted"] else "grows on" if grows_on(line) else "rejected"


def start(generations: Sequence[Line]) -> Line | None:
    """Ticket 0, the dense network that the run began with; None before it is trained."""
    return next((line for line in generations if line["generation"] == 0), None)


def best(record: RunRecord) -> Line | None:
    """The run's best ticket: its summary's, or so far the accepted one of best accuracy.

    Accuracy is on validation data, ties go to the lower calibrated loss, and ticket 0 is not
    eligible. None while no ticket was accepted.
    """
    if record.summary is not None:
        found = record.summary.get("best")
        return next((line for line in record.generations if line["digest"] == found), None)
    return best_of(record.generations)


def best_of(lines: Sequence[Line]) -> Line | None:
    """The accepted ticket of best validation accuracy among lines of a lineage, likewise."""
    tickets = [line for line in accepted(lines) if line["generation"] >= 1]
    return max(
        tickets, key=lambda line: (line["val_accuracy"], -line["val_calibrated_loss"]), default=None
    )


def front(record: RunRecord) -> list[Line]:
    """The accepted tickets that no other beats in accuracy, size and depth together."""
    if record.summary is not None:
        digests = set(record.summary.get("front", []))
        return [line for line in record.generations if line["digest"] in digests]
    tickets = [line for line in accepted(record.generations) if line["generation"] >= 1]
    merits = [(t["val_accuracy"], -t["remaining_weights"], t["depth"]) for t in tickets]
    return [tickets[i] for i in undominated(merits)]
