"""Every number of a run, as frozen dataclasses whose constructors check each value.

Names of algorithms are plain strings here; `pick` looks them up in the dict at the foot of the
module that holds them. `config_file` turns all this into TOML and back.
"""

from recursive_lth.config.checks import nearest, pick
from recursive_lth.config.experiment import FORMAT, Experiment, TicketExperiment
from recursive_lth.config.growth import Acceptance, Budget, Growth, GrowthStep, Space
from recursive_lth.config.pruning import Pruning, moment_step
from recursive_lth.config.study import (
    Study,
    StudyArm,
    StudyExperiment,
    Task,
    arm_of_generation,
    generation_of_arm,
)
from recursive_lth.config.tickets import Arm, Supermask, Tickets, Transfer
from recursive_lth.config.training import Data, Start, Training
from recursive_lth.config.tuning import NamedSpace, Parameter, Tune, TuningExperiment

AnyExperiment = Experiment | TicketExperiment | StudyExperiment  # of a run that trains by itself

__all__ = [
    "FORMAT",
    "Acceptance",
    "AnyExperiment",
    "Arm",
    "Budget",
    "Data",
    "Experiment",
    "Growth",
    "GrowthStep",
    "NamedSpace",
    "Parameter",
    "Pruning",
    "Space",
    "Start",
    "Study",
    "StudyArm",
    "StudyExperiment",
    "Supermask",
    "Task",
    "TicketExperiment",
    "Tickets",
    "Training",
    "Transfer",
    "Tune",
    "TuningExperiment",
    "arm_of_generation",
    "generation_of_arm",
    "moment_step",
    "nearest",
    "pick",
]
