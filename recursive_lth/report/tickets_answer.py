"""What a `prune` run found, in words: the headline, and the sentences that explain it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recursive_lth.report.quantities import operations, percent, points
from recursive_lth.report.tickets_overlap import of_all_arms
from recursive_lth.report.tickets_pairs import is_clear
from recursive_lth.report.tickets_record import TicketsRecord
from recursive_lth.report.tickets_table import density, has_arms, interval, spread
from recursive_lth.statistics import interval as interval_of

Row = Mapping[str, Any]
RIVALS = {
    "reinit": "random re-initialisation",
    "shuffled_mask": "a shuffled mask",
    "shuffled_weights": "shuffled weights",
    "signs": "its signs alone",
    "dense": "the dense network at equal cost",
    "small_dense": "a small dense network",
}
FIRST = ("transfer_reinit", "reinit")  # the controls that the headline is about, if there are any
SAME_DENSITY = 1.1  # largest ratio of densities that count as one
FEW = 4  # arms that are told one by one


class Finding(NamedTuple):
    """The headline and what stands below it."""

    headline: str
    explanation: str


def find(record: TicketsRecord) -> Finding:
    """The strongest true sentences about tickets, controls, arms and density.

    They are about the sparsest level that has a control in as many pairs as any, else about the
    sparsest level at all; no difference is claimed whose 95 % interval holds 0.
    """
    if not record.table:
        return Finding("Nothing is trained yet", "The run has only begun.")
    found = _against_control(record) if record.pairs else _sparsest(record)
    more = [_tell_overlap(record), _tell_critical(record), _tell_samples(record)]
    return found._replace(explanation=" ".join(filter(None, [found.explanation, *more])))


def _against_control(record: TicketsRecord) -> Finding:
    variants = list(dict.fromkeys(row["variant"] for row in record.pairs))
    variant = next((v for v in FIRST if v in variants), variants[0])
    chosen = _last([row for row in record.pairs if row["variant"] == variant])
    moved = ", trained elsewhere," if variant.startswith("transfer_") else ""
    of_arm = f" of {chosen['arm']}" if has_arms(record.table) else ""
    verb = _verb(chosen["difference"])
    headline = f"At {density(chosen['density'])} the ticket{of_arm}{moved} {verb} {_rival(chosen)}"
    size = f"{100 * abs(chosen['difference']['mean']):.2f} points"
    if chosen["n"] == 1 or is_clear(chosen["difference"]):
        headline += f" by {size}"
    others = [
        _last([row for row in record.pairs if (row["arm"], row["variant"]) == key])
        for key in dict.fromkeys((row["arm"], row["variant"]) for row in record.pairs)
        if key != (chosen["arm"], variant)
    ]
    told = [_tell_pair(chosen)]
    told += [_tell_other(row, record) for row in others if _is_alike(row, chosen)][:FEW]
    return Finding(headline, " ".join(filter(None, [*told, _tell_dense(record, chosen["arm"])])))


def _last(rows: Sequence[Row]) -> Row:
    """The sparsest of the rows that rest on the most pairs."""
    most = max(row["n"] for row in rows)
    return min((row for row in rows if row["n"] == most), key=lambda row: row["density"])


def _is_alike(row: Row, other: Row) -> bool:
    """True iff two rows are of one density, as nearly as arms come to the same one."""
    low, high = sorted((row["density"], other["density"]))
    return bool(high <= SAME_DENSITY * low)


def _verb(found: Row) -> str:
    """What the difference allows to say; of a single pair only which is ahead."""
    if found["n"] == 1:
        return "is ahead of" if found["mean"] > 0 else "is behind"
    if not is_clear(found):
        return "cannot be told from"
    return "beats" if found["mean"] > 0 else "falls behind"


def _rival(row: Row) -> str:
    return RIVALS.get(row["variant"].removeprefix("transfer_"), str(row["variant"]))


def _tell_pair(row: Row) -> str:
    found = row["difference"]
    if row["n"] == 1:
        return f"{points(found['mean'])} in the only pair so far: one pair has no interval."
    return (
        f"{points(found['mean'])} of test accuracy (95 % interval {interval(found)}), ahead in "
        f"{row['wins']} of {row['n']} pairs."
    )


def _tell_other(row: Row, record: TicketsRecord) -> str:
    moved = ", trained elsewhere," if row["variant"].startswith("transfer_") else ""
    who = f"The ticket of {row['arm']}" if has_arms(record.table) else "It"
    ahead = points(row["difference"]["mean"])
    return f"{who}{moved} {_verb(row['difference'])} {_rival(row)} there ({ahead})."


def _tell_dense(record: TicketsRecord, arm: str) -> str:
    """The sparsest ticket whose mean test accuracy, over as many replicates, is at least the dense
    network's."""
    tickets = [r for r in record.table if r["variant"] == "ticket" and r["arm"] == arm]
    dense = next((row for row in tickets if row["level"] == 0), None)
    if dense is None:
        return ""
    pruned = [row for row in tickets if row["level"] > 0 and row["n"] == dense["n"]]
    if not pruned:
        return ""
    wanted = dense["test_accuracy"]["mean"]
    of_arm = f" of {arm}" if has_arms(record.table) else ""
    as_good = [row for row in pruned if row["test_accuracy"]["mean"] >= wanted]
    if not as_good:
        return f"No ticket{of_arm} reaches the dense network's {percent(wanted)} on average."
    best = min(as_good, key=lambda row: row["density"])
    return (
        f"The sparsest ticket{of_arm} as accurate as the dense network ({percent(wanted)}) keeps "
        f"{density(best['density'])} of its weights ({percent(best['test_accuracy']['mean'])})."
    )


def _sparsest(record: TicketsRecord) -> Finding:
    tickets = [row for row in record.table if row["variant"] == "ticket"]
    last = max((row["level"] for row in tickets), default=0)
    rows = [row for row in tickets if (row["level"] > 0) == (last > 0)]
    here = sorted(_most_alike(rows), key=lambda row: -row["test_accuracy"]["mean"])
    if not here:
        return Finding("No ticket yet", "")
    best = here[0]
    at, reached = density(best["density"]), percent(best["test_accuracy"]["mean"])
    if last == 0:
        return Finding(f"The dense network reaches {reached}", "No ticket is trained yet.")
    if len(here) == 1:
        headline = f"A ticket of {at} reaches {reached} on test data"
        return Finding(headline, _tell_dense(record, best["arm"]))
    found = _difference(record, best, here[1])
    headline = f"At {at} {best['arm']} does best: {reached} on test data"
    if found["low"] is not None and not is_clear(found):
        headline = f"At {at} {best['arm']} and {here[1]['arm']} cannot be told apart"
    ahead = ""
    if found["low"] is not None:
        ahead = (
            f"{best['arm']} is {100 * found['mean']:.2f} points ahead of {here[1]['arm']} "
            f"(95 % interval {interval(found)})."
        )
    return Finding(headline, " ".join(filter(None, [_tell_arms(here), ahead])))


def _most_alike(rows: Sequence[Row]) -> list[Row]:
    """At one density a row for each arm: where most arms have one, and of such the sparsest."""
    groups = [[row for row in rows if _is_alike(row, mid)] for mid in rows]
    by_arm = [{row["arm"]: row for row in reversed(group)} for group in groups]
    sparsest = [min(row["density"] for row in group) for group in groups]
    best = max(range(len(rows)), key=lambda i: (len(by_arm[i]), -sparsest[i]), default=None)
    return [] if best is None else list(by_arm[best].values())


def _difference(record: TicketsRecord, first: Row, second: Row) -> Row:
    """How much more accurate the first of two arms' tickets is, paired over replicates."""
    lines = [line for line in record.lines if line["variant"] == "ticket"]
    sides = [
        {x["replicate"]: x["test_accuracy"] for x in lines
         if (x["arm"], x["level"]) == (row["arm"], row["level"])}
        for row in (first, second)
    ]  # fmt: skip
    shared = sorted(sides[0].keys() & sides[1].keys())
    return interval_of([sides[0][n] - sides[1][n] for n in shared])


def _tell_arms(here: Sequence[Row]) -> str:
    """Arms at one level, best first: each where they are few, else which lose a layer."""
    if len(here) <= FEW:
        told = [f"{row['arm']} {spread(row['test_accuracy'])}" for row in here]
        costs = [row["finding_multiply_adds"] for row in here]
        if max(costs) > 1.02 * min(costs):
            found = [f", found for {operations(cost)} multiply-adds" for cost in costs]
            told = [words + cost for words, cost in zip(told, found, strict=True)]
        return f"{'; '.join(told)}."
    empty = [row["arm"] for row in here if row["collapsed"]]
    whole = [row["arm"] for row in here if not row["collapsed"]]
    if not empty:
        return f"It is held against {len(here) - 1} other arms."
    if len(empty) <= len(whole):
        return f"Of {len(here)} arms {len(empty)} lose a whole layer: {', '.join(empty)}."
    rest = f"all but {', '.join(whole)}" if whole else "all of them"
    return f"Of {len(here)} arms {len(empty)} lose a whole layer: {rest}."


def _tell_overlap(record: TicketsRecord) -> str:
    shared = [e for e in of_all_arms(record.overlap) if e["total"]["jaccard"]["mean"]]
    if not shared:
        return ""
    entry = shared[-1]
    means = {name: cell["jaccard"]["mean"] or 0.0 for name, cell in entry["layers"].items()}
    most = max(means, key=lambda name: means[name])
    kept, chance = entry["total"]["jaccard"]["mean"], entry["total"]["expected"]["mean"]
    return (
        f"At {density(entry['density'])} the tickets of {len(entry['arms'])} arms share "
        f"{percent(kept, digits=1)} of the connections that any of them keeps "
        f"({percent(chance, digits=1)} by chance), most in {most} "
        f"({percent(means[most], digits=1)})."
    )


def _tell_critical(record: TicketsRecord) -> str:
    found: dict[str, list[float]] = {}
    for row in record.critical:
        found.setdefault(row["arm"], []).append(row["compression"] / row["maximal_compression"])
    full = [arm for arm, shares in found.items() if min(shares) > 0.99]
    if not full or len(full) == len(found):
        return ""
    return (
        f"The largest possible compression before a layer is empty is reached by "
        f"{', '.join(full)} alone."
    )


def _tell_samples(record: TicketsRecord) -> str:
    known = [r for r in record.table if (r.get("weight_samples") or {}).get("mean") is not None]
    if not known:
        return ""
    last = max(known, key=lambda row: row["level"])
    reached = percent(last["weight_samples"]["mean"])
    return f"On freshly drawn weights the mask of {density(last['density'])} reaches {reached}."
