"""A whole experiment, of recursive growth or of classic tickets, its digest and run folder."""

import hashlib
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from recursive_lth.config.checks import within
from recursive_lth.config.growth import Acceptance, Budget, Growth, Space
from recursive_lth.config.pruning import Pruning
from recursive_lth.config.tickets import Arm, Supermask, Tickets, Transfer, check_arms
from recursive_lth.config.training import Data, Start, Training
from recursive_lth.errors import InputError
from recursive_lth.files import canonical_json

FORMAT = 1  # raise it when the meaning of any value changes


@dataclass(frozen=True)
class Experiment:
    """Every number of a run of recursive growth; its digest names the run's folder."""

    name: str = "grow"
    claim: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    start: Start = field(default_factory=Start)
    training: Training = field(default_factory=Training)
    pruning: Pruning = field(default_factory=Pruning)
    growth: Growth = field(default_factory=Growth)
    space: Space = field(default_factory=Space)
    acceptance: Acceptance = field(default_factory=Acceptance)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        check_name(self.name, self.seed)

    @property
    def digest(self) -> str:
        """SHA-256 of the format number and every value, defaults included."""
        return digest_of(asdict(self))

    @property
    def folder_name(self) -> str:
        """The name of its run's folder."""
        return f"{self.name}-{self.digest[:12]}"


@dataclass(frozen=True)
class TicketExperiment:
    """Every number of a run of classic ticket finding; its digest names the run's folder.

    Each of `arms` is this experiment with some settings changed; without arms it is the one arm.
    """

    command: str = "prune"
    name: str = "prune"
    claim: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    start: Start = field(default_factory=Start)
    training: Training = field(default_factory=Training)
    pruning: Pruning = field(default_factory=Pruning)
    tickets: Tickets = field(default_factory=Tickets)
    supermask: Supermask = field(default_factory=Supermask)
    transfer: Transfer = field(default_factory=Transfer)
    arms: tuple[Arm, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, self.seed)
        if self.command != "prune":
            raise InputError(f"command must be grow or prune, got {self.command!r}")
        check_arms(self.arms)

    @property
    def digest(self) -> str:
        """SHA-256 of the format number and every value, defaults included."""
        return digest_of(asdict(self))

    @property
    def folder_name(self) -> str:
        """The name of its run's folder."""
        return f"{self.name}-{self.digest[:12]}"


def check_name(name: str, seed: int) -> None:
    """Raise `InputError` where a name cannot be a folder's, or a seed is out of range."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise InputError(f"name must be letters, digits, _ . or -, got {name!r}")
    within("seed", seed, 0, 2**63 - 1)


def digest_of(values: dict[str, Any]) -> str:
    """SHA-256 of the format number and an experiment's values."""
    text = canonical_json({"format": FORMAT, "experiment": values})
    return hashlib.sha256(text.encode()).hexdigest()
