"""One candidate on its way from rung to rung."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Row
from recursive_lth.search.generation import Candidate
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket


@dataclass
class Course:
    """A candidate, the sprout it began as, and what its short training has come to.

    `born` and `begun` are ticket and optimizer as they were at birth, `ticket` and `state` as they
    are now; `order` counts those that are trained. One that came to the same growth as an earlier
    one is its twin: it is not trained and bears its numbers.
    """

    candidate: Candidate
    born: Ticket
    begun: State
    certificate: dict[str, Any] | None = None
    order: int = 0
    twin_of: "Course | None" = None
    rows: list[Row] = field(default_factory=list)
    ticket: Ticket = field(init=False)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.ticket, self.state = self.born, self.begun

    @property
    def number(self) -> int:
        """The candidate's number; 0 is not growing."""
        return self.candidate.number

    @property
    def is_alive(self) -> bool:
        """True iff it is still to be trained on."""
        return self.candidate.status == "waiting" and self.twin_of is None

    @property
    def is_trained(self) -> bool:
        """True iff it has been trained, or will be."""
        return self.is_alive or self.candidate.training_steps > 0

    @property
    def losses(self) -> list[float]:
        """The calibrated loss at each rung it has reached."""
        return [row["val_calibrated_loss"] for row in self.rows if row["val_loss"] is not None]

    def add(self, fitted: Fitted) -> None:
        """Book one rung's training; one that diverged or ended its workers has failed."""
        self.rows += fitted.rows
        self.pay(fitted)
        if not (fitted.is_diverged or fitted.killed):
            self.ticket = fitted.ticket
            self.state = next((kept.state for kept in fitted.kept.values()), State())

    def pay(self, fitted: Fitted) -> None:
        """Count what a training has cost; one that found nothing makes the candidate fail."""
        self.candidate = replace(
            self.candidate,
            training_cost=self.candidate.training_cost + fitted.cost,
            training_steps=self.candidate.training_steps + fitted.steps,
        )
        if fitted.is_diverged:
            self.fail("the short training diverged")
        if fitted.killed:
            self.fail(f"its training ended {fitted.killed} workers")

    def tell(self, standing: Sequence[float]) -> None:
        """Put down how it stands at its last rung, beside the losses of not growing there."""
        if not self.is_alive:
            return
        last, losses = self.rows[-1], self.losses
        gains = tuple(s - loss for s, loss in zip(standing, losses, strict=False))
        self.candidate = replace(
            self.candidate,
            loss=losses[-1],
            gain=gains[-1],
            accuracy=last["val_accuracy"],
            rungs=gains,
            epochs=last["epoch"],
        )

    def fail(self, reason: str) -> None:
        """It is no candidate any more."""
        self.candidate = replace(self.candidate, status="failed", reason=reason)

    def stop(self, reason: str) -> None:
        """It is behind the others and goes no further."""
        self.candidate = replace(self.candidate, status="stopped", reason=reason)

    def finish(self) -> None:
        """It has come to the last rung."""
        self.candidate = replace(self.candidate, status="judged")

    def settle(self) -> None:
        """A twin takes over what has become of the other, at no cost but its own."""
        if self.twin_of is None or self.candidate.status != "waiting":
            return
        other, own = self.twin_of.candidate, self.candidate
        self.candidate = replace(
            other,
            number=own.number,
            asked=own.asked,
            status="repeated" if other.status == "judged" else other.status,
            training_cost=own.training_cost,
            training_steps=0,
            reason=f"the same growth as candidate {other.number}",
        )
