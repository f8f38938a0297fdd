"""A race: the leaders of a generation trained again under other seeds, for as long as noise asks.

All runners of a seed see the same batches, so that what a seed does to all alike cancels; what is
left of the losses, after the means of runners and of seeds are taken out, is the noise of a
comparison (a two-way table without interaction). It is estimated from this race and from those of
earlier generations; where neither is there yet, a second seed is run to find out. A runner whose
mean loss lies so far behind the leader's that noise does not explain it leaves the race.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import wilcoxon as signed_rank

from recursive_lth.config import Experiment, pick
from recursive_lth.running.job import Bench
from recursive_lth.search.generation import Candidate
from recursive_lth.search.judging.cohort import again
from recursive_lth.search.judging.course import Course
from recursive_lth.search.judging.cuts import ranked
from recursive_lth.search.objectives import merits_of, worth_of

LEVEL = 0.05  # one-sided: how often noise alone may send the better of two away

Table = NDArray[np.float64]  # gains, (runners, seeds)


class Noise(NamedTuple):
    """The variance of one gain about its runner's and its seed's means, and its degrees."""

    variance: float
    degrees: int


def noise_of(tables: Sequence[Table]) -> Noise:
    """The pooled noise of races; no degrees of freedom where none had two runners and two seeds."""
    total, degrees = 0.0, 0
    for table in tables:
        if min(table.shape) < 2:
            continue
        rest = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean()
        total += float((rest**2).sum())
        degrees += (table.shape[0] - 1) * (table.shape[1] - 1)
    return Noise(total / degrees if degrees else 0.0, degrees)


Race = Callable[[Table, Noise], frozenset[int]]  # the rows of those that are beaten


def by_noise(gains: Table, noise: Noise) -> frozenset[int]:
    """Those behind the leader by more than Student's t allows at the estimated noise."""
    if not noise.degrees:
        return frozenset()
    means, seeds = gains.mean(1), gains.shape[1]
    allowed = student.ppf(1 - LEVEL, noise.degrees) * np.sqrt(2 * noise.variance / seeds)
    return frozenset(int(row) for row in np.flatnonzero(means.max() - means > allowed))


def wilcoxon(gains: Table, noise: Noise) -> frozenset[int]:
    """Those below the leader by a one-sided signed-rank test over the seeds (Wilcoxon 1945).

    It makes no use of the estimated noise, and with fewer than five seeds it stops none at 5 %.
    Optuna's `WilcoxonPruner` is this test too, but still experimental.
    """
    ahead = gains[int(gains.mean(1).argmax())] - gains
    return frozenset(
        row
        for row, differences in enumerate(ahead)
        if differences.any() and _p(differences) < LEVEL
    )


def _p(differences: NDArray[np.float64]) -> float:
    found = signed_rank(differences, alternative="greater", zero_method="zsplit")
    return float(found.pvalue)


def race(
    bench: Bench[Experiment],
    generation: int,
    courses: Sequence[Course],
    earlier: Sequence[Sequence[Candidate]],
) -> None:
    """Train the leaders under further seeds until one is left, or `growth.replicates` are done.

    Leaders are the best `keep` of those judged. Not growing, against which all gains are, runs
    along to the end; it is out only in that it may be beaten. Each runner's gain becomes its mean,
    and that of those that repeat it.
    """
    growth = bench.experiment.growth
    judged = {c.number: c for c in courses if c.candidate.status == "judged" and c.number}
    if growth.replicates < 2 or not judged:
        return
    best = ranked(
        {n: merits_of(c.candidate, growth.objectives) for n, c in judged.items()},
        {n: worth_of(c.candidate, growth.objectives) for n, c in judged.items()},
    )
    runners = [courses[0], *(judged[n] for n in best[: leaders(growth.keep, len(best))])]
    gains = {course.number: [course.candidate.gain or 0.0] for course in runners}
    before = [_table(generation) for generation in earlier]
    for turn in range(1, growth.replicates):
        table = np.array([gains[course.number] for course in runners])
        beaten = pick(RACES, growth.race, "growth.race")(table, noise_of([*before, table]))
        left = [course for row, course in enumerate(runners) if row not in beaten]
        if len(left) == 1:
            break
        runners = [courses[0], *(course for course in left if course.number)]
        for course, gain in zip(runners, again(bench, generation, runners, turn), strict=True):
            gains[course.number].append(gain)
        runners = [course for course in runners if course.candidate.status == "judged"]
    for number, found in gains.items():
        course = courses[number]
        mean = float(np.mean(found))
        course.candidate = replace(course.candidate, replicates=tuple(found), gain=mean)
        for twin in (other for other in courses if other.twin_of is course):
            twin.candidate = replace(twin.candidate, gain=mean)


def leaders(keep: float, judged: int) -> int:
    """How many of those that were judged enter a race, beside not growing."""
    return math.ceil(keep * judged)


def _table(candidates: Sequence[Candidate]) -> Table:
    """The gains of an earlier race's last runners."""
    most = max((len(c.replicates) for c in candidates), default=0)
    return np.array([c.replicates for c in candidates if most and len(c.replicates) == most])


RACES: Mapping[str, Race] = MappingProxyType({"noise": by_noise, "wilcoxon": wilcoxon})
