"""What a study found, in words: the headline, and the sentences that explain it."""

from collections import Counter

from recursive_lth.report.study_record import Row, StudyRecord
from recursive_lth.report.study_values import spell, write_change, write_interval, write_value
from recursive_lth.report.tickets_answer import Finding
from recursive_lth.statistics import average

WORDS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
CLASSES = ("supported", "refuted", "undecided")
FEW = 3  # hypotheses of one verdict, or measures, that are told one by one
LEAST = 0.01  # of a measure: less is no change to speak of
TINY = 1e-300


def find_study(record: StudyRecord) -> Finding:
    """How many hypotheses stand and fall, and the first of them; of a lineage what has moved."""
    if not record.readings:
        return Finding("Nothing is measured yet", "The study has only begun.")
    if record.is_lineage:
        return _along(record)
    measured = (
        f"{spell_number(len(record.about))} {_plural('measure', len(record.about))} of "
        f"{spell_number(len(record.arms))} {_plural('arm', len(record.arms))} over "
        f"{spell_number(len(record.seeds))} {_plural('seed', len(record.seeds))}"
    )
    if not record.verdicts:
        contrasts = record.experiment.get("study", {}).get("contrasts", [])
        words = "Verdicts come at its end." if contrasts else "It declares no contrast."
        return Finding(_capital(measured), words)
    told = [_tell_class(record, name) for name in CLASSES]
    return Finding(headline_of(record), " ".join([*filter(None, told), f"{_capital(measured)}."]))


def _tell_class(record: StudyRecord, name: str) -> str:
    """The hypotheses of one verdict, the first few with their effects; "" where there is none."""
    found = [verdict for verdict in record.verdicts if verdict["verdict"] == name]
    words = [str(verdict["name"]) for verdict in found]
    if name != "undecided":
        words = [f"{verdict['name']} ({_tell_effect(verdict)})" for verdict in found]
    more = [f"{spell_number(len(words) - FEW)} more"] * (len(words) > FEW)
    return f"{_capital(name)}: {', '.join([*words[:FEW], *more])}." if found else ""


def _tell_effect(verdict: Row) -> str:
    unit = verdict["unit"]
    change = write_change(verdict["effect"]["mean"], unit)
    return (
        f"{verdict['arm']} against {verdict['rival']} {change} in {spell(verdict['measure'])}, "
        f"95 % interval {write_interval(verdict['effect'], unit)}"
    )


def sentence(words: str) -> str:
    """Words with a capital and a full stop.

    >>> sentence("in loss grown had 1")
    'In loss grown had 1.'
    """
    return _capital(words) if words.endswith(".") else f"{_capital(words)}."


def headline_of(record: StudyRecord) -> str:
    """How many hypotheses are supported, refuted and undecided, in words."""
    counts = Counter(str(verdict["verdict"]) for verdict in record.verdicts)
    total = len(record.verdicts)
    present = [name for name in CLASSES if counts[name]]
    if total == 1:
        return f"The hypothesis is {present[0]}"
    if len(present) == 1:
        every = "Both" if total == 2 else f"All {spell_number(total)}"
        return f"{every} hypotheses are {present[0]}"
    first, *others = present
    verb = "is" if counts[first] == 1 else "are"
    told = [f"{spell_number(counts[first])} of {spell_number(total)} hypotheses {verb} {first}"]
    told += [f"{spell_number(counts[name])} {name}" for name in others]
    return _capital(", ".join(told))


def spell_number(number: int) -> str:
    """A small number as a word.

    >>> spell_number(3), spell_number(40)
    ('three', '40')
    """
    return WORDS[number] if number < len(WORDS) else str(number)


def _along(record: StudyRecord) -> Finding:
    """How many measures follow a lineage, and those that changed most from its start to its end."""
    generations = sorted({reading["training"] for reading in record.readings})
    number, names = len(generations), record.about
    headline = (
        f"{spell_number(len(names))} {_plural('measure', len(names))} along "
        f"{spell_number(number)} {_plural('generation', number)}"
    )
    ends = {name: found for name in names if (found := _ends(record, name)) is not None}
    sizes = {name: abs(last - first) / max(abs(first), abs(last), TINY)
             for name, (first, last) in ends.items()}  # fmt: skip
    most = sorted((n for n in sizes if sizes[n] >= LEAST), key=lambda n: -sizes[n])[:FEW]
    told = ", ".join(
        f"{spell(n)} from {write_value(ends[n][0], record.unit(n))} "
        f"to {write_value(ends[n][1], record.unit(n))}"
        for n in most
    )
    words = f"Changed most from the first generation to the last: {told}." if told else ""
    return Finding(_capital(headline), words)


def _ends(record: StudyRecord, measure: str) -> tuple[float, float] | None:
    """The means of a measure in the first generation and in the last; None where unknown."""
    arm = record.arms[0]
    places = record.places(measure, arm)
    places = [place for place in places if place[1] == places[-1][1]]
    if len(places) < 2:
        return None
    ends = (average(record.values(measure, arm, place).values())["mean"] for place in
            (places[0], places[-1]))  # fmt: skip
    first, last = ends
    return None if first is None or last is None else (first, last)


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
