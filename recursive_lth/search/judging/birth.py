"""Births of candidates: a proposed growth made, measured, and told apart from earlier ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from recursive_lth import seeds
from recursive_lth.config import Experiment, GrowthStep, pick
from recursive_lth.errors import InputError
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.certificate import BrokenPromiseError, Stand, stand_of
from recursive_lth.growth.compound import grow_any
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.optimizer import INHERIT
from recursive_lth.pruning.spare import spared
from recursive_lth.running.evidence import few
from recursive_lth.running.job import Bench
from recursive_lth.search.constraints import sized
from recursive_lth.search.describe import describe_growth
from recursive_lth.search.generation import Candidate
from recursive_lth.search.judging.course import Course
from recursive_lth.search.policies.past import Proposal
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in


@dataclass(frozen=True)
class Nursery:
    """What all births of a generation share: the parent, with its optimizer's state if any."""

    bench: Bench[Experiment]
    parent: Ticket
    generation: int
    state: State

    @cached_property
    def few(self) -> Batch:
        """The samples that certificates and gradients are computed on."""
        return few(self.bench)

    @cached_property
    def stand(self) -> Stand:
        """How the parent does on them, without the gradient, which nobody asks for."""
        return replace(stand_of(self.parent, self.few), gradient={})

    def grow(self, step: GrowthStep) -> Sprout:
        """The parent grown. All growths of a generation share the seed of their birth."""
        experiment, generation = self.bench.experiment, self.generation
        with self.bench.clock.inside("growth"):
            return grow_any(
                self.parent,
                step,
                self.few,
                generation=generation,
                generator=seeds.generator(experiment.seed, "generation", generation, "birth"),
                scheme=experiment.start.initialisation,
                spared=spared(self.parent, experiment.pruning, generation),
                stand=self.stand,
            )

    def handed_on(self, sprout: Sprout) -> State:
        """The optimizer's state that the training after a growth begins with."""
        growth, recipe = self.bench.experiment.growth, self.bench.experiment.training
        warmup = steps_in(growth.warmup_epochs, len(self.bench.batches), recipe.batch_size)
        inherit = pick(INHERIT, growth.optimizer, "growth.optimizer")
        return inherit(self.state, sprout, warmup)

    def described(self, sprout: Sprout) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the lineage says of a growth, and its certificate."""
        return describe_growth(self.parent, sprout, self.generation), asdict(sprout.certificate)

    def standing(self) -> Course:
        """Candidate 0: not growing."""
        unchanged = sized(self.bench.experiment, blank(0), self.parent)
        return Course(unchanged, self.parent, self.state)

    def bear(self, proposal: Proposal, number: int, elders: Sequence[Course]) -> Course:
        """A proposed growth; one that cannot be, may not be, or is there already is not trained."""
        known = replace(blank(number), asked=asdict(proposal.step))
        try:
            sprout = self.grow(proposal.step)
        except BrokenPromiseError:
            raise
        except InputError as error:
            known = replace(known, training_cost=proposal.multiply_adds)
            return Course(replace(known, status="failed", reason=str(error)), self.parent, State())
        cost = sprout.multiply_adds + proposal.multiply_adds
        known = sized(self.bench.experiment, replace(known, training_cost=cost), sprout.ticket)
        for elder in elders:
            if elder.number and elder.born.digest == sprout.ticket.digest:
                return Course(known, elder.born, State(), elder.certificate, twin_of=elder)
        if known.status == "infeasible":
            return Course(known, sprout.ticket, State())
        growth, certificate = self.described(sprout)
        order = sum(elder.is_trained for elder in elders)
        begun = self.handed_on(sprout)
        return Course(replace(known, growth=growth), sprout.ticket, begun, certificate, order)


def blank(number: int) -> Candidate:
    """A candidate of which nothing is known yet."""
    return Candidate(number, None, None, "waiting", None, None, None, (), 0.0, 0, 0, "")
