"""What a tuning found, in words: the headline, and the sentences that explain it."""

from recursive_lth.report.quantities import percent
from recursive_lth.report.tickets_answer import Finding
from recursive_lth.report.tuning_record import TuningRecord
from recursive_lth.report.tuning_table import (
    name_objective,
    test_accuracy,
    write_objective,
    write_value,
)
from recursive_lth.tuning.ranking import Row, leading


def find_tuned(record: TuningRecord) -> Finding:
    """The strongest true sentences about a tuning's trials."""
    top = record.best
    if top is None:
        tried = len(record.trials)
        words = f"All {tried} trials that have ended failed." if tried else "The search has begun."
        return Finding("No trial is complete yet", words)
    names = record.objectives
    front = record.front
    if len(names) == 1:
        value = write_objective(names[0], top["objectives"][names[0]])
        headline = f"Trial {top['trial']} is best: {value} {_long(names[0])}"
    else:
        headline = (
            f"{len(front)} of {len(record.complete)} trials are on the front"
            if len(front) > 1
            else f"Trial {top['trial']} is best in every objective"
        )
    told = [_tell_best(record, top), _tell_cheapest(record, front), _tell_importances(record)]
    return Finding(headline, " ".join(filter(None, [*told, _tell_failed(record)])))


def _tell_best(record: TuningRecord, top: Row) -> str:
    """The best trial, its values, and what the test data say of it."""
    name = leading(record.objectives)
    numbers = ", ".join(
        f"{write_objective(n, top['objectives'][n])} {_long(n)}" for n in record.objectives
    )
    chosen = ", ".join(f"{key} = {write_value(value)}" for key, value in top["values"].items())
    test = test_accuracy(top)
    tested = f"; its tickets reach {percent(test)} on the test data, which chose nothing" * (
        test is not None
    )
    optimism = (
        f" Chosen as the best of {len(record.complete)} by these validation data, it is likely to "
        "look better on them than it is."
        if name == "val_accuracy" and len(record.complete) > 1
        else ""
    )
    return f"Trial {top['trial']} ({chosen}) has {numbers}{tested}.{optimism}"


def _tell_cheapest(record: TuningRecord, front: list[Row]) -> str:
    """The other end of the front, where there is one."""
    others = [n for n in record.objectives if n != leading(record.objectives)]
    if not others or len(front) < 2:
        return ""
    low = min(front, key=lambda row: row["objectives"][others[0]])
    numbers = ", ".join(
        f"{write_objective(n, low['objectives'][n])} {_long(n)}" for n in record.objectives
    )
    return f"At its other end trial {low['trial']} has {numbers}."


def _tell_importances(record: TuningRecord) -> str:
    """What each objective depends on most."""
    told = [
        f"{_long(name)} on {key} ({percent(share, digits=0)} of its variance)"
        for name, shares in record.importances.items()
        for key, share in [max(shares.items(), key=lambda entry: entry[1])]
    ]
    text = ", ".join(told).replace(" on ", " depends most on ", 1)
    return f"{text[0].upper()}{text[1:]}." if told else ""


def _tell_failed(record: TuningRecord) -> str:
    failed = len(record.trials) - len(record.complete)
    return f"{failed} of {len(record.trials)} trials failed; their reasons stand below." * (
        failed > 0
    )


def _long(name: str) -> str:
    return {"val_accuracy": "validation accuracy", "training_cost": "multiply-adds"}.get(
        name, name_objective(name)
    )
