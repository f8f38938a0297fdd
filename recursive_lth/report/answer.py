"""What a run found, in words: the headline of its report and the figures beneath it."""

from collections.abc import Callable
from typing import NamedTuple

from recursive_lth.report.quantities import count, operations, percent, points
from recursive_lth.report.record import RunRecord
from recursive_lth.report.standing import Line, best, grows_on, start


class Card(NamedTuple):
    """One figure of the best ticket beside ticket 0's."""

    label: str
    value: str
    change: str
    is_worse: bool
    against: str


class Answer(NamedTuple):
    """The headline, a sentence that explains it, and its figures."""

    headline: str
    explanation: str
    cards: list[Card]


def find_answer(record: RunRecord) -> Answer:
    """The best ticket of a run against its ticket 0, or how far the run has come."""
    ticket, dense = best(record), start(record.generations)
    if dense is None:
        return Answer("No ticket yet", "The start network is still in training.", [])
    if ticket is None:
        later = [line for line in record.generations if line["generation"] > 0]
        tried = sum(not grows_on(line) for line in later)
        rest = f", and none of the {tried} after it was accepted" if tried else ""
        key, data = _shared_accuracy(dense, dense)
        reached = f"Ticket 0, the start network, reaches {percent(dense[key])} {data} accuracy"
        return Answer("No winning ticket yet", f"{reached}{rest}.", [])
    key, _ = _shared_accuracy(ticket, dense)
    weights = f"{count(ticket['remaining_weights'])} weights"
    headline = f"{percent(ticket[key])} with {weights}, {ticket['depth']} layers deep"
    return Answer(headline, _explain(ticket, dense), _list_cards(ticket, dense))


def _shared_accuracy(ticket: Line, dense: Line) -> tuple[str, str]:
    """The key and the name of the accuracy both have: on test data once it is known."""
    if ticket["test_accuracy"] is None or dense["test_accuracy"] is None:
        return "val_accuracy", "validation"
    return "test_accuracy", "test"


def _explain(ticket: Line, dense: Line) -> str:
    key, data = _shared_accuracy(ticket, dense)
    ratio = ticket["remaining_weights"] / max(dense["remaining_weights"], 1)
    better, deeper = 100 * (ticket[key] - dense[key]), ticket["depth"] - dense["depth"]
    accuracy = f"{abs(better):.2f} points {'more' if better > 0 else 'less'} accurate"
    layers = f"{abs(deeper)} layer{'s' * (abs(deeper) != 1)}"
    depth = f"{layers} {'deeper' if deeper > 0 else 'shallower'}"
    return (
        f"Ticket 0, the network the run began with, reaches {percent(dense[key])} {data} "
        f"accuracy with {count(dense['remaining_weights'])} weights at depth {dense['depth']}. The "
        f"best ticket, found in generation {ticket['generation']}, is "
        f"{accuracy if better else 'as accurate'}, has {percent(ratio, digits=1)} as many weights "
        f"and is {depth if deeper else 'as deep'}."
    )


def _list_cards(ticket: Line, dense: Line) -> list[Card]:
    cards = []
    for key, label in (("test_accuracy", "Test accuracy"), ("val_accuracy", "Validation accuracy")):
        if ticket[key] is not None and dense[key] is not None:
            gained = ticket[key] - dense[key]
            against = f"ticket 0: {percent(dense[key])}"
            cards.append(Card(label, percent(ticket[key]), points(gained), gained < 0, against))
    cards.append(_compare("Remaining weights", "remaining_weights", count, ticket, dense))
    change, against = (
        f"of {count(ticket['weights'])} weights",
        f"ticket 0: {percent(dense['density'])}",
    )
    cards.append(Card("Density", percent(ticket["density"]), change, False, against))
    deeper = ticket["depth"] - dense["depth"]
    change = f"{deeper:+d}".replace("-", "−") if deeper else "the same"
    against = f"ticket 0: {dense['depth']}"
    cards.append(Card("Depth", str(ticket["depth"]), change, deeper < 0, against))
    key = "remaining_multiply_adds"
    return [*cards, _compare("Multiply-adds", key, operations, ticket, dense)]


def _compare(
    label: str, key: str, write: Callable[[float], str], ticket: Line, dense: Line
) -> Card:
    """A card of a number that had better be small."""
    now, then = ticket[key], dense[key]
    is_worse = now > then
    change = "the same"
    if now != then and min(now, then) > 0:
        change = f"{now / then:.3g}× as many" if is_worse else f"{then / now:.3g}× fewer"
    return Card(label, write(now), change, is_worse, f"ticket 0: {write(then)}")
