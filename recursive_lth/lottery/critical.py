"""The critical compression of a score, at the moment when a run first cuts."""

from dataclasses import asdict
from typing import Any

from recursive_lth import seeds
from recursive_lth.config import TicketExperiment, pick
from recursive_lth.lottery.levels import Level
from recursive_lth.pruning.critical import critical_compression
from recursive_lth.pruning.scores import SCORES, rounds_of
from recursive_lth.running.evidence import gather
from recursive_lth.running.job import Bench


def critical_of(bench: Bench[TicketExperiment], level: Level) -> dict[str, Any]:
    """The largest compression at which the score still leaves every layer a weight."""
    pruning = bench.experiment.pruning
    score = pick(SCORES, pruning.score, "score")
    generator = seeds.generator(bench.experiment.seed, "critical")
    evidence = gather(bench, pruning, generator, level.drawn.tally)
    rounds = rounds_of(pruning)
    return asdict(critical_compression(level.drawn.ticket, score, evidence, rounds=rounds))
