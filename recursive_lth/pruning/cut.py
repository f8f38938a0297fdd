"""The one door to pruning: the ticket after the next round, whatever is cut and however."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from recursive_lth.architecture.cost import size
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Pruning, pick
from recursive_lth.errors import InputError
from recursive_lth.pruning.evidence import Evidence, Score
from recursive_lth.pruning.n_of_m import prune_n_of_m
from recursive_lth.pruning.prune import prune
from recursive_lth.pruning.schedule import next_round, scheduled, toward
from recursive_lth.pruning.scores import SCORES, rounds_of
from recursive_lth.pruning.spare import spared, sparing
from recursive_lth.pruning.units import lowest_units, remove_units, unit_scores
from recursive_lth.ticket.moments import move_state
from recursive_lth.ticket.morph import Morph, compose
from recursive_lth.ticket.ticket import Ticket


@dataclass(frozen=True)
class Cut:
    """A cut ticket; where units were removed, the morph that it shrank by."""

    ticket: Ticket
    morph: Morph | None = None

    def moved(self, state: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        """An optimizer's state for the cut ticket."""
        if self.morph is None:
            return {kind: dict(tensors) for kind, tensors in state.items()}
        return move_state(state, self.morph)


def cut(
    ticket: Ticket,
    pruning: Pruning,
    evidence: Evidence,
    *,
    start: Architecture,
    done: int,
    density: float | None = None,
    score: Score | None = None,
    generation: int = 0,
) -> Cut | None:
    """The ticket after the round that follows `done` others; None where nothing is left to cut.

    With a `density` exactly round(density * weights of `start`) weights remain (of units: so many
    of its free ones); without, rate and schedule decide. `score` stands in for `pruning.score`;
    `generation` is what the quarantine of grown weights is counted from.
    Raises `InputError` where that cannot be, naming the cure.
    """
    if score is None:
        score = pick(SCORES, pruning.score, "score")
    if pruning.quarantine or pruning.spare_skeleton:
        score = sparing(score, spared(ticket, pruning, generation))
    if pruning.granularity == "unit":
        return _cut_units(ticket, pruning, score, evidence, start, done, density)
    if pruning.kept_of:
        if done:
            return None
        scores = score(ticket, evidence)
        return Cut(prune_n_of_m(ticket, scores, pruning.kept_of, pruning.group))
    if density is None:
        groups = next_round(ticket, pruning, done=done)
    else:
        whole = sum(size(start, name) for name in start.prunable)
        groups = toward(ticket, pruning, round(density * whole))
    if not groups and density is None:
        return None
    rounds = rounds_of(pruning)
    smaller = prune(ticket, score, groups, evidence, floor=pruning.layer_floor, rounds=rounds)
    return Cut(smaller)


def _cut_units(
    ticket: Ticket,
    pruning: Pruning,
    score: Score,
    evidence: Evidence,
    start: Architecture,
    done: int,
    density: float | None,
) -> Cut | None:
    widths = {s: ticket.architecture.widths[s] for s in ticket.architecture.free_symbols}
    if pruning.scope == "global":
        remove: int | dict[str, int] = _units_to_remove(
            sum(widths.values()), _free_units(start), len(widths), pruning, done, density
        )
        total = remove
    elif pruning.scope == "per_layer":
        remove = {
            s: _units_to_remove(units, start.widths[s], 1, pruning, done, density)
            for s, units in widths.items()
        }
        total = sum(remove.values())
    else:
        raise InputError(
            f"pruning.scope {pruning.scope} shares out weights: with pruning.granularity unit use "
            "global or per_layer"
        )
    if total == 0 and density is None:
        return None
    rounds = rounds_of(pruning)
    return _in_rounds(ticket, score, evidence, remove, rounds)


def _in_rounds(
    ticket: Ticket,
    score: Score,
    evidence: Evidence,
    remove: int | Mapping[str, int],
    rounds: int,
) -> Cut:
    """Remove units in rounds of a like share of what is left, scored anew before each."""
    whole = {s: ticket.architecture.widths[s] for s in ticket.architecture.free_symbols}
    shrunk, change = ticket, None
    for done in range(1, rounds + 1):
        gone = {s: n - shrunk.architecture.widths[s] for s, n in whole.items()}
        now: int | dict[str, int]
        if isinstance(remove, Mapping):
            now = {s: _gone_after(whole[s], n, done, rounds) - gone[s] for s, n in remove.items()}
            few = sum(now.values())
        else:
            now = _gone_after(sum(whole.values()), remove, done, rounds) - sum(gone.values())
            few = now
        if few == 0 and done < rounds:
            continue
        scores = unit_scores(shrunk.architecture, shrunk.masks, score(shrunk, evidence))
        shrunk, step = remove_units(shrunk, lowest_units(scores, now))
        change = step if change is None else compose(change, step)
    return Cut(replace(shrunk, parent=ticket.digest), change)


def _gone_after(units: int, remove: int, done: int, rounds: int) -> int:
    """How many of the units to remove are gone after so many rounds of a constant share."""
    if done == rounds or remove == 0:
        return remove
    return units - round(units * math.pow((units - remove) / units, done / rounds))


def _units_to_remove(
    units: int, whole: int, least: int, pruning: Pruning, done: int, density: float | None
) -> int:
    """How many of `units` go, where the start had `whole` and `least` must stay."""
    if density is not None:
        return max(0, min(units - least, units - round(density * whole)))
    rounds = 1 if pruning.schedule == "one_shot" else pruning.rounds
    if rounds and done >= rounds:
        return 0
    goal = max(least, round(pruning.target_density * whole))
    if goal >= units:
        return 0
    if pruning.schedule != "iterative":
        return units - scheduled(pruning.schedule, units, goal, done=done, rounds=rounds)
    return min(units - goal, max(1, round(pruning.rate * units)))


def _free_units(architecture: Architecture) -> int:
    return sum(architecture.widths[symbol] for symbol in architecture.free_symbols)
