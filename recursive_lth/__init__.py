"""Recursive lottery ticket growth: prune to a winning ticket, grow it, prune again.

Names are loaded at first use, so that importing the package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recursive_lth.api import grow, prune, run_folder, run_study, tune
    from recursive_lth.architecture.graph import Architecture
    from recursive_lth.config import (
        Experiment,
        GrowthStep,
        StudyExperiment,
        TicketExperiment,
        TuningExperiment,
    )
    from recursive_lth.errors import DamagedFileError, InputError
    from recursive_lth.pruning.compact import compact
    from recursive_lth.pruning.merge import merge_norms
    from recursive_lth.search.policies.past import Past, Proposal
    from recursive_lth.shelf import (
        load_experiment,
        load_space,
        load_study_experiment,
        load_ticket_experiment,
        load_tuning_experiment,
    )
    from recursive_lth.ticket.from_module import ticket_from_module
    from recursive_lth.ticket.ticket import Ticket, load_ticket

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "architecture.graph",
    "DamagedFileError": "errors",
    "Experiment": "config",
    "GrowthStep": "config",
    "InputError": "errors",
    "Past": "search.policies.past",
    "Proposal": "search.policies.past",
    "StudyExperiment": "config",
    "Ticket": "ticket.ticket",
    "TicketExperiment": "config",
    "TuningExperiment": "config",
    "compact": "pruning.compact",
    "grow": "api",
    "load_experiment": "shelf",
    "load_space": "shelf",
    "load_study_experiment": "shelf",
    "load_ticket": "ticket.ticket",
    "load_ticket_experiment": "shelf",
    "load_tuning_experiment": "shelf",
    "merge_norms": "pruning.merge",
    "prune": "api",
    "run_folder": "api",
    "run_study": "api",
    "ticket_from_module": "ticket.from_module",
    "tune": "api",
}

__all__ = [
    "Architecture",
    "DamagedFileError",
    "Experiment",
    "GrowthStep",
    "InputError",
    "Past",
    "Proposal",
    "StudyExperiment",
    "Ticket",
    "TicketExperiment",
    "TuningExperiment",
    "__version__",
    "compact",
    "grow",
    "load_experiment",
    "load_space",
    "load_study_experiment",
    "load_ticket",
    "load_ticket_experiment",
    "load_tuning_experiment",
    "merge_norms",
    "prune",
    "run_folder",
    "run_study",
    "ticket_from_module",
    "tune",
]


def __getattr__(name: str) -> Any:
    """The public name, from the module that holds it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
