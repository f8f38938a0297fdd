"""How long a batch takes in each form of a ticket, as rows of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from recursive_lth.report.quantities import UNKNOWN, count, magnitude
from recursive_lth.report.table import Table

HEADERS = ["form", "time", "middle half", "times as fast", "parameters", "logits change", ""]


def latency_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each form, in the order measured; where there is no time, why.

    `middle half` are the quartiles of the turns; logits are held against the masked form's.
    """
    rows = []
    for line in lines:
        if line["seconds"] is None:
            rows.append([line["form"], *[UNKNOWN] * (len(HEADERS) - 2), line["reason"]])
            continue
        rows.append(
            [
                line["form"],
                milliseconds(line["seconds"]),
                f"{milliseconds(line['low'])} to {milliseconds(line['high'])}",
                f"{line['times_as_fast']:.2f}",
                count(line["parameters"]),
                magnitude(line["largest_change"]),
                "",
            ]
        )
    return Table(HEADERS, rows)


def milliseconds(seconds: float) -> str:
    """Three digits of a time.

    >>> milliseconds(0.0123456), milliseconds(0.0000042)
    ('12.3 ms', '0.0042 ms')
    """
    return f"{float(f'{1000 * seconds:.3g}'):g} ms"
