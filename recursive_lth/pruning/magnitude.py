"""Scores from the size of a weight and how far training moved it.

The initial value is the ticket's rewind value. Criteria after Zhou et al. (2019, arXiv 1905.01067),
who rank within each layer; ours may also compete globally.
"""

import torch
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.pruning.evidence import Evidence, Scores
from recursive_lth.ticket.ticket import Ticket


def magnitude(ticket: Ticket, evidence: Evidence) -> Scores:
    """|w| of the trained weight (Han et al. 2015; Frankle & Carbin 2019, arXiv 1803.03635)."""
    return {name: _final(ticket, name).abs() for name in ticket.architecture.prunable}


def magnitude_small(ticket: Ticket, evidence: Evidence) -> Scores:
    """-|w| of the trained weight: the small ones stay (a control)."""
    return {name: -_final(ticket, name).abs() for name in ticket.architecture.prunable}


def magnitude_initial(ticket: Ticket, evidence: Evidence) -> Scores:
    """|w| of the initial weight."""
    return {name: _initial(ticket, name).abs() for name in ticket.architecture.prunable}


def magnitude_initial_final(ticket: Ticket, evidence: Evidence) -> Scores:
    """min(|initial|, |trained|): large before and after.

    The code of Zhou et al. keeps what is above one percentile of both sizes, so the lesser of two
    ranks; here the sizes themselves are compared, without a factor to balance them.
    """
    return {
        name: torch.minimum(_initial(ticket, name).abs(), _final(ticket, name).abs())
        for name in ticket.architecture.prunable
    }


def magnitude_increase(ticket: Ticket, evidence: Evidence) -> Scores:
    """|trained| - |initial|: how much the weight grew."""
    return {
        name: _final(ticket, name).abs() - _initial(ticket, name).abs()
        for name in ticket.architecture.prunable
    }


def movement(ticket: Ticket, evidence: Evidence) -> Scores:
    """|trained - initial|: how far the weight went, in either direction."""
    return {
        name: (_final(ticket, name) - _initial(ticket, name)).abs()
        for name in ticket.architecture.prunable
    }


def movement_gradient(ticket: Ticket, evidence: Evidence) -> Scores:
    """The sum of -w * g over the last training (Sanh et al. 2020, arXiv 2005.07683).

    Positive where descent moved the weight away from 0. They train under the mask and straight
    through it; here the tally is of the ticket's own training, whose pruned weights stay pruned.
    Raises `InputError` where nothing was tallied.
    """
    if not evidence.tally:
        raise InputError(
            "movement_gradient adds up a training's -w * g, and none was tallied: score at the end "
            "of a training (tickets.score_at=end)"
        )
    return {name: evidence.tally[name] for name in ticket.architecture.prunable}


def random(ticket: Ticket, evidence: Evidence) -> Scores:
    """A number drawn for each weight: the control of all scores."""
    return {
        name: torch.rand(ticket.masks[name].shape, generator=evidence.generator)
        for name in ticket.architecture.prunable
    }


def _final(ticket: Ticket, name: str) -> Tensor:
    return ticket.weights[name]


def _initial(ticket: Ticket, name: str) -> Tensor:
    return ticket.rewind[name]
