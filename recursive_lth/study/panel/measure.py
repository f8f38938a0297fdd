"""What a measure is: a number read off a scene, with unit, cost, and source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from recursive_lth.study.scene import Scene

Read = Callable[[Scene], float | None]
Kind = Literal["curve", "state", "change", "probe"]
Better = Literal["more", "less", ""]


@dataclass(frozen=True)
class Measure:
    """A number read off a scene; None where it says nothing there.

    A measure of kind "curve" reads the looks at the validation data and is taken after a training;
    "state" the network as it is, at any moment; "change" what has become of the network since the
    training began, at any moment but the first; "probe" trains copies of it. `better` is "more" or
    "less" where one of them is. `passes` is about what it costs, in forward and backward passes
    over the study's samples; `trains` what a probe trains: the trainings by name, which measures
    share that name the same, and what each takes in epochs of the dense start network's. A measure
    that `trains_parent` trains what the network has grown from, for as many steps as itself.
    """

    read: Read
    unit: str
    better: Better
    kind: Kind
    about: str  # what it says, and its source
    passes: float = 0.0
    trains: Mapping[str, float] = field(default_factory=dict)
    is_default: bool = False
    trains_parent: bool = False

    @property
    def epochs(self) -> float:
        """What it trains where it shares nothing."""
        return sum(self.trains.values())

    @property
    def is_training(self) -> bool:
        """True iff it trains anything."""
        return self.kind == "probe" or self.trains_parent

    @property
    def fits_few(self) -> bool:
        """True iff it trains on no more than the study's samples; its passes are that training."""
        return self.kind == "probe" and not self.trains

    def is_taken_at(self, moment: float) -> bool:
        """True iff it has something to say at a moment of a training."""
        if self.kind == "curve":
            return moment == 1
        return moment > 0 or self.kind != "change"
