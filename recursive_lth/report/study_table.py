"""Tables of a study as rows of text, for the terminal and for the page alike."""

from collections.abc import Sequence
from typing import Any

from recursive_lth.report.quantities import UNKNOWN, count, operations, probability
from recursive_lth.report.study_record import Place, Row, StudyRecord
from recursive_lth.report.study_values import (
    BIG,
    decimals_of,
    spell,
    write_change,
    write_fixed,
    write_interval,
    write_moment,
    write_value,
)
from recursive_lth.report.table import Table
from recursive_lth.statistics import LEVEL, average

TESTED = ("test_accuracy", "val_accuracy")  # the first that the panel has


def verdicts_table(record: StudyRecord) -> Table:
    """A row for each hypothesis; effects are arm minus rival, p is corrected over all of them."""
    headers = ["hypothesis", "claim", "effect", "95 % interval", "p", "corrected p", "n", "verdict"]
    rows = [
        [
            str(verdict["name"]),
            tell_claim(verdict),
            write_change(verdict["effect"].get("mean"), verdict["unit"]),
            write_interval(verdict["effect"], verdict["unit"]),
            write_probability(verdict["p"]),
            write_deciding(verdict, record.family),
            str(len(verdict["pairs"])),
            str(verdict["verdict"]),
        ]
        for verdict in record.verdicts
    ]
    return Table(headers, rows)


def tell_claim(verdict: Row) -> str:
    """What is claimed, in words: `grown has less cost to target than pruned`."""
    words = (
        f"{verdict['arm']} has {verdict['direction']} {spell(verdict['measure'])} "
        f"than {verdict['rival']}"
    )
    moment, training = verdict.get("moment"), verdict.get("training")
    if moment not in (None, 1):
        words += f", {write_moment(moment)}"
    return words if training in (None, -1) else f"{words}, in training {training}"


def write_deciding(verdict: Row, family: Row) -> str:
    """The corrected p that the verdict rests on: of a difference, or that there is none to speak
    of."""
    p, within = verdict["p_holm"], verdict.get("p_within_holm")
    if verdict["verdict"] == "refuted" and within is not None and p > family.get("level", LEVEL):
        return f"{write_probability(within)} within margin"
    return write_probability(p)


def write_probability(p: float | None) -> str:
    """A probability, or a dash where there is none."""
    return UNKNOWN if p is None else probability(p)


def pairs_of_seeds(verdict: Row) -> Table:
    """A row for each seed of a contrast: the arm's value, its rival's, and how they differ."""
    unit = verdict["unit"]
    rows = [
        [
            str(pair["seed"]),
            write_value(pair["arm"], unit),
            write_value(pair["rival"], unit),
            write_change(pair["arm"] - pair["rival"], unit),
        ]
        for pair in verdict["pairs"]
    ]
    return Table(["seed", str(verdict["arm"]), str(verdict["rival"]), "difference"], rows)


def arms_table(record: StudyRecord) -> Table:
    """A row for each arm: what it does, what it spends on training, and what comes out of it."""
    known = record.about
    tested = next((name for name in TESTED if name in known), TESTED[0])
    headers = ["arm", "moves", "training cost", "weights", spell(tested), "n"]
    rows = []
    for arm in record.arms:
        ends = _ends(record, arm)
        lost = sum(bool(end.get("is_diverged")) for end in ends)
        rows.append(
            [
                arm,
                ", ".join(record.moves.get(arm, ())) or UNKNOWN,
                _mean(ends, "spent", operations),
                _mean(ends, "remaining_weights", count),
                write_spread([end["values"].get(tested) for end in ends], "share"),
                str(len(ends)) + (f", {lost} diverged" if lost else ""),
            ]
        )
    return Table(headers, rows)


def panel_table(record: StudyRecord, moment: float) -> Table:
    """A row for each measure that was read then, a column for each arm: mean and deviation.

    Of each arm its last training is read.
    """
    rows = []
    for measure in record.about:
        shown = {arm: last_place(record, measure, arm, moment) for arm in record.arms}
        if any(shown.values()):
            unit = record.unit(measure)
            cells = [_cell(record, measure, arm, place) for arm, place in shown.items()]
            rows.append([spell(measure), unit, *cells])
    return Table(["measure", "unit", *record.arms], rows)


def _cell(record: StudyRecord, measure: str, arm: str, place: Place | None) -> str:
    """Mean and deviation; where a measure says nothing in some seeds, in how many it does."""
    if place is None:
        return UNKNOWN
    return _told(list(record.seeds_at(measure, arm, place).values()), record.unit(measure))


def _told(found: Sequence[float | None], unit: str) -> str:
    known = sum(value is not None for value in found)
    told = write_spread(found, unit)
    return f"{told} ({known} of {len(found)})" if 0 < known < len(found) else told


def lineage_panel_table(record: StudyRecord) -> Table:
    """A row for each measure, a column for each generation; of a generation its last moment."""
    generations = sorted({reading["training"] for reading in record.readings})
    rows = []
    for measure in record.about:
        last = {place[0]: place for arm in record.arms for place in record.places(measure, arm)}
        cells = []
        for generation in generations:
            found = [
                value
                for arm in record.arms
                if generation in last
                for value in record.seeds_at(measure, arm, last[generation]).values()
            ]
            cells.append(_told(found, record.unit(measure)))
        rows.append([spell(measure), record.unit(measure), *cells])
    return Table(["measure", "unit", *(f"generation {n}" for n in generations)], rows)


def measures_table(record: StudyRecord) -> Table:
    """A row for each measure that was read: its unit, better side, cost, and what it says."""
    rows = [
        [
            spell(name),
            str(about.get("unit") or UNKNOWN),
            str(about.get("better") or UNKNOWN),
            _write_cost(about),
            str(about.get("about") or UNKNOWN),
        ]
        for name, about in record.about.items()
    ]
    return Table(["measure", "unit", "better", "cost", "what it says"], rows)


def _write_cost(about: Row) -> str:
    """What reading a measure once costs: passes over the samples, epochs, a parent's training."""
    told = [
        f"{about[key]:.2g} {single if about[key] == 1 else key}"
        for key, single in (("passes", "pass"), ("epochs", "epoch"))
        if about.get(key)
    ]
    told += ["the parent's training"] if about.get("trains_parent") else []
    return ", ".join(told) or UNKNOWN


def last_place(record: StudyRecord, measure: str, arm: str, moment: float) -> Place | None:
    """Where the last training of an arm was read at this moment; None where none was."""
    found = [place for place in record.places(measure, arm) if place[1] == moment]
    return found[-1] if found else None


def write_spread(values: Sequence[float | None], unit: str) -> str:
    """Mean and sample standard deviation of the values that there are.

    The mean ends where the deviation does, two digits after its first.

    >>> write_spread([0.96, 0.98, None], "share"), write_spread([4.0], "steps")
    ('97.00 % ± 1.41', '4')
    >>> write_spread([12.0, 14.0], "directions"), write_spread([-0.01, 0.02], "nats")
    ('13.0 ± 1.4', '0.005 ± 0.021')
    """
    found = average(values)
    told, mean, sd = write_value(found["mean"], unit), found["mean"], found["sd"]
    if mean is None or sd is None:
        return told
    if unit == "share":
        return f"{told} ± {100 * sd:.2f}"
    decimals = decimals_of(sd)
    if decimals is None or max(abs(mean), sd) >= BIG:
        return f"{told} ± {write_value(sd, unit) if sd >= BIG else f'{sd:.2g}'}"
    return f"{write_fixed(mean, decimals)} ± {write_fixed(sd, decimals)}"


def _ends(record: StudyRecord, arm: str) -> list[dict[str, Any]]:
    """Each seed's last reading of an arm."""
    last: dict[int, dict[str, Any]] = {}
    for reading in sorted(record.readings, key=lambda r: (r["training"], r["moment"])):
        if reading["arm"] == arm:
            last[reading["seed"]] = reading
    return list(last.values())


def _mean(ends: Sequence[Row], key: str, write: Any) -> str:
    found = average(end.get(key) for end in ends)
    return UNKNOWN if found["mean"] is None else str(write(found["mean"]))
