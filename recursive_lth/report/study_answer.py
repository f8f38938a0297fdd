"""What a study found, in words: the headline, and the sentences that explain it."""

from collections import Counter

from recursive_lth.report.study_record import StudyRecord
from recursive_lth.report.study_values import signed_share, spell
from recursive_lth.report.tickets_answer import Finding
from recursive_lth.statistics import average

WORDS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
CLASSES = ("supported", "refuted", "undecided")
FEW = 4  # verdicts that are told one by one


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
    told = sorted(record.verdicts, key=lambda v: CLASSES.index(v["verdict"]))[:FEW]
    rest = len(record.verdicts) - len(told)
    words = [str(verdict["words"]) for verdict in told]
    words += [f"The other {spell_number(rest)} stand below." if rest > 1 else
              "One more stands below."] * (rest > 0)  # fmt: skip
    return Finding(headline_of(record), " ".join([*words, f"{_capital(measured)}."]))


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
    changes = {name: _change(record, name) for name in names}
    known = {name: share for name, share in changes.items() if share is not None}
    most = sorted(known, key=lambda name: -abs(known[name]))[:FEW]
    told = ", ".join(f"{spell(name)} by {signed_share(known[name])}" for name in most)
    words = f"From the first generation to the last changed most: {told}." if told else ""
    return Finding(_capital(headline), words)


def _change(record: StudyRecord, measure: str) -> float | None:
    """By what share of the first generation's value the last one's differs; None where unknown."""
    arm = record.arms[0]
    places = record.places(measure, arm)
    places = [place for place in places if place[1] == places[-1][1]]
    if len(places) < 2:
        return None
    ends = (average(record.values(measure, arm, place).values()) for place in
            (places[0], places[-1]))  # fmt: skip
    first, last = (end["mean"] for end in ends)
    return (last - first) / abs(first) if first and last is not None else None


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
