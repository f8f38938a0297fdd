"""Tables of a `prune` run as rows of text, for the terminal and for the page alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from recursive_lth.report.quantities import UNKNOWN, count, operations, percent
from recursive_lth.report.table import Table

Row = Mapping[str, Any]
WORDS = {
    "ticket": "ticket",
    "reinit": "re-initialised",
    "shuffled_mask": "mask shuffled",
    "shuffled_weights": "weights shuffled",
    "signs": "signs only",
    "dense": "dense, equal cost",
    "small_dense": "small dense",
    "transfer": "ticket, transferred",
}


def name_variant(variant: str) -> str:
    """A variant in words, such as `transfer_reinit` as `transferred: re-initialised`."""
    if variant in WORDS:
        return WORDS[variant]
    rest = variant.removeprefix("transfer_")
    return f"transferred: {WORDS.get(rest, rest)}" if rest != variant else variant


def name_row(row: Row, *, has_arms: bool) -> str:
    """A row's arm and variant in words, the arm only where there are several."""
    variant = name_variant(str(row["variant"]))
    return f"{row['arm']}: {variant}" if has_arms else variant


def name_pair(row: Row) -> str:
    """A pair in words: `ticket minus re-initialised`."""
    rest = str(row["variant"]).removeprefix("transfer_")
    moved = ", both transferred" if rest != row["variant"] else ""
    return f"ticket minus {WORDS.get(rest, rest)}{moved}"


def has_arms(table: Sequence[Row]) -> bool:
    """True iff the run has more than one arm."""
    return len({row["arm"] for row in table}) > 1


def levels_table(table: Sequence[Row]) -> Table:
    """A row for each arm, variant and level: accuracies as mean and standard deviation.

    `training cost` is of one training of the network, `cost of finding` of all that led to it;
    columns that would be empty are left out.
    """
    several = has_arms(table)
    has_rivals = not several or any(row["variant"] != "ticket" for row in table)
    notes = {"collapsed": "layer empty", "diverged": "diverged"}
    noted = [key for key in notes if any(row.get(key) for row in table)]
    is_sampled = any(_samples(row)["mean"] is not None for row in table)
    headers = ["network", "level", "density", "weights", "test", "test at early stop"]
    headers += ["validation", "early stop", "n", *(["fresh weights"] if is_sampled else [])]
    headers += [*(notes[key] for key in noted), "training cost", "cost of finding"]
    rows = [
        [
            name_row(row, has_arms=several) if has_rivals else str(row["arm"]),
            str(row["level"]),
            density(row["density"]),
            count(row["remaining_weights"]),
            spread(row["test_accuracy"]),
            spread(row["early_stop_test_accuracy"]),
            spread(row["val_accuracy"]),
            whole(row["early_stop_step"]),
            str(row["n"]),
            *([spread(_samples(row))] if is_sampled else []),
            *(f"{row[key]} of {row['n']}" if row.get(key) else "" for key in noted),
            operations(row["training_multiply_adds"]),
            operations(row["finding_multiply_adds"]),
        ]
        for row in table
    ]
    return Table(headers, rows)


def _samples(row: Row) -> Row:
    """The accuracy of a row's masks over fresh weights; unknown where a run did not try."""
    return row.get("weight_samples") or {"mean": None, "sd": None, "n": 0}


def pairs_table(pairs: Sequence[Row]) -> Table:
    """A row for each control and level: how much better the ticket is, in points."""
    several = has_arms(pairs)
    rows = [
        [
            name_row(row, has_arms=several),
            str(row["level"]),
            density(row["density"]),
            _signed(row["difference"]["mean"]),
            interval(row["difference"]),
            f"{row['wins']} of {row['n']}",
        ]
        for row in pairs
    ]
    return Table(["against", "level", "density", "points", "95 % interval", "ticket wins"], rows)


def critical_table(critical: Sequence[Row]) -> Table:
    """A row for each arm: how far its score compresses before a layer is emptied.

    Means over replicates, and from which to which they reach where they differ.
    """
    arms: dict[str, list[Row]] = {}
    for row in critical:
        arms.setdefault(str(row["arm"]), []).append(row)
    rows = [
        [
            arm,
            str(len(some)),
            count(sum(row["remaining"] for row in some) / len(some)),
            f"{sum(row['compression'] for row in some) / len(some):,.0f}",
            _from_to([row["compression"] for row in some]),
            f"{some[0]['maximal_compression']:,.0f}",
        ]
        for arm, some in arms.items()
    ]
    return Table(["arm", "n", "weights left", "compression", "range", "largest possible"], rows)


def _from_to(values: Sequence[float]) -> str:
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return UNKNOWN if low == high else f"{low} to {high}"


def overlap_table(overlap: Sequence[Row]) -> Table:
    """A row for each set of arms, level and layer: shared connections against chance."""
    rows = []
    for entry in overlap:
        cells = {**entry["layers"], "all layers": entry["total"]}
        for layer, cell in cells.items():
            rows.append(
                [
                    " & ".join(entry["arms"]) if len(entry["arms"]) < 4 else "all arms",
                    str(entry["level"]),
                    density(entry["density"]),
                    layer,
                    spread(cell["jaccard"]),
                    percent(cell["expected"]["mean"]),
                ]
            )
    return Table(["arms", "level", "density", "layer", "shared", "by chance"], rows)


def density(fraction: float) -> str:
    """A density in percent, with the digits that tell small ones apart.

    >>> density(0.512), density(0.0358), density(0.001)
    ('51.2 %', '3.6 %', '0.10 %')
    """
    return percent(fraction, digits=1 if fraction >= 0.01 else 2)


def spread(number: Row) -> str:
    """Mean and standard deviation of fractions, in percent."""
    if number["mean"] is None:
        return UNKNOWN
    mean = percent(number["mean"])
    return mean if number["sd"] is None else f"{mean} ± {100 * number['sd']:.2f}"


def whole(number: Row) -> str:
    """The mean as a whole number."""
    return UNKNOWN if number["mean"] is None else f"{number['mean']:.0f}"


def interval(number: Row) -> str:
    """A 95 % interval in points; a dash for a single pair."""
    if number["low"] is None:
        return UNKNOWN
    return f"{_signed(number['low'])} to {_signed(number['high'])}"


def _signed(fraction: float) -> str:
    """A difference of fractions in points, with its sign."""
    return f"{100 * fraction:+.2f}".replace("-", "−")
