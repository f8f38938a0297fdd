"""Is it still a winning ticket? Decided on validation data alone."""

from collections.abc import Sequence
from typing import NamedTuple

from recursive_lth.config import Acceptance
from recursive_lth.errors import InputError
from recursive_lth.search.confirmation import Confirmation
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import tickets
from recursive_lth.search.population import is_on_front
from recursive_lth.statistics import MOST_PAIRS, Effect, required_pairs

ROUNDING = 1e-12  # exactly the margin is within it
UNITS = {"accuracy": (100, "points"), "loss": (1, "nats")}


class Verdict(NamedTuple):
    """Accepted or not, and why in one sentence."""

    accepted: bool
    words: str


def accept(
    rule: Acceptance,
    lineage: Sequence[Generation],
    accuracy: float,
    density: float,
    confirmation: Confirmation | None = None,
    *,
    weights: int = 0,
) -> Verdict:
    """Sparse enough, and good enough by the rule, which may need a confirmation.

    Rule `margin`: at most `margin` below the best winning ticket so far, which keeps small losses
    from adding up; the first ticket is held against the dense start network, as rule `paper` holds
    all of them (Zhang 2021, arXiv 2109.03862: kept fraction at most r_comp, accuracy about that of
    the dense network; how near that is, the paper leaves open, and we call `margin`). Rule
    `paired`: won or tied against its parent. Rule `front`: not beaten in accuracy and remaining
    `weights` by one that was accepted.
    """
    if is_too_dense(rule, density):
        return Verdict(
            False, f"rejected: density {density:.3f} is above the bound {rule.max_density:g}"
        )
    if rule.rule == "paired":
        if confirmation is None:
            raise ValueError("acceptance.rule=paired needs a confirmation")
        return _by_pairs(rule, confirmation)
    if rule.rule == "front":
        is_new = is_on_front(lineage, accuracy, weights)
        words = "accepted: on the front" if is_new else "rejected: behind the front"
        return Verdict(is_new, f"{words} of accuracy and weights")
    start, winners = lineage[0], tickets(lineage)
    is_first = rule.rule == "paper" or not winners
    reference = max(turn.val_accuracy for turn in ([start] if is_first else winners))
    kind = "dense" if start.density == 1 else "given"
    rival = f"{kind} start" if is_first else "best so far"
    change = f"{100 * (accuracy - reference):+.2f} points to the {rival}"
    if reference - accuracy > rule.margin + ROUNDING:
        return Verdict(False, f"rejected: {change}, margin {100 * rule.margin:g}")
    return Verdict(True, f"accepted: {change}")


def is_too_dense(rule: Acceptance, density: float) -> bool:
    """True iff more remains than any rule lets pass."""
    return density > rule.max_density


def _by_pairs(rule: Acceptance, confirmation: Confirmation) -> Verdict:
    """Won or tied, with the effect in words; where undecided, how many pairs would tell."""
    parent = confirmation.parent
    found, (scale, unit) = parent.effect(rule.measure), UNITS[rule.measure]
    digits = 2 if scale == 100 else 4
    low, high = (0.0 if end is None else scale * end for end in (found.low, found.high))
    words = (
        f"{parent.verdict} against its parent by {scale * found.mean:+.{digits}f} {unit} "
        f"(95 % interval {low:+.{digits}f} to {high:+.{digits}f}, one-sided p {found.p:.3f}, "
        f"n = {found.n})"
    )
    if parent.verdict in {"won", "tied"}:
        return Verdict(True, f"accepted: {words}")
    if parent.verdict == "undecided":
        words += _cure(found, rule)
    return Verdict(False, f"rejected: {words}")


def _cure(found: Effect, rule: Acceptance) -> str:
    """How many pairs would show an effect like this, where that can be said."""
    try:
        pairs = required_pairs(abs(found.mean), found.sd or 0.0, level=rule.level)
    except InputError:  # no effect, or one that over MOST_PAIRS pairs would not show
        return f"; not even {MOST_PAIRS} pairs would tell so small a difference from none"
    return f"; about {pairs} pairs would tell such a difference from none"
