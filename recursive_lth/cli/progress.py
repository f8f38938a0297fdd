"""A run as it happens, on standard error: a live bar in a terminal, else a line a phase."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from recursive_lth.report.quantities import count, duration, percent
from recursive_lth.report.tickets_table import name_variant

if TYPE_CHECKING:
    from recursive_lth.lottery.progress import LevelProgress
    from recursive_lth.running.progress import Progress as Place
    from recursive_lth.study.progress import StudyProgress
    from recursive_lth.tuning.progress import TuneProgress

VERBS = {
    "train": "training",
    "judge": "judging candidate",
    "grow": "training what has grown",
    "prune": "pruning",
    "confirm": "confirming",
}
Report = Callable[[str], None]  # print a line that stays


class Words(NamedTuple):
    """How a command's progress is told: in one line, and what makes a line worth printing."""

    describe: Callable[[Any], str]
    part: Callable[[Any], tuple[Any, ...]]  # a line is printed when it changes; () is never told


@contextmanager
def following(
    console: Console, *, is_quiet: bool, words: Words | None = None
) -> Iterator[tuple[Any, Report]]:
    """A watch for a run and a function that prints lasting lines; both mute when quiet."""
    words = words or GROW
    if is_quiet:
        yield None, lambda line: None
    elif console.is_terminal:
        with _live(console, words) as pair:
            yield pair
    else:
        yield _line_watch(console, words), console.print


@contextmanager
def _live(console: Console, words: Words) -> Iterator[tuple[Any, Report]]:
    """Two lines that are redrawn: what is done now, and a bar with the time left."""
    bar = Progress(
        BarColumn(bar_width=40), TaskProgressColumn(), TextColumn("{task.fields[left]}"),
        console=console,
    )  # fmt: skip
    task = bar.add_task("", total=1.0, left="")
    left = _clock()
    with Live(bar, console=console, transient=True, refresh_per_second=8) as live:

        def watch(place: Any) -> None:
            bar.update(task, completed=place.done, left=left(place.done))
            live.update(Group(Text(words.describe(place), no_wrap=True, overflow="ellipsis"), bar))

        yield watch, console.print


def _line_watch(console: Console, words: Words) -> Callable[[Any], None]:
    """A watch that prints a line whenever another part of the run begins."""
    last: tuple[Any, ...] = ()
    left = _clock()

    def watch(place: Any) -> None:
        nonlocal last
        now = words.part(place)
        if now and now != last:
            last = now
            console.print(
                f"{place.done:4.0%}  {words.describe(place)}  {left(place.done)}".rstrip()
            )

    return watch


def _clock() -> Callable[[float], str]:
    """A function of the share done: the time left in words, by the speed since its first call."""
    first: tuple[float, float] | None = None

    def left(done: float) -> str:
        nonlocal first
        now = monotonic()
        if first is None:
            first = (now, done)
        elapsed, gained = now - first[0], done - first[1]
        if elapsed < 1 or gained < 0.01 or done >= 1:
            return ""
        return f"about {duration(elapsed * (1 - done) / gained)} left"

    return left


def describe(place: "Place") -> str:
    """Where a run is, in one line: generation, phase, candidate, accuracy, weights, depth."""
    doing = VERBS.get(place.phase, "")
    if place.candidate == 0:
        doing = "judging not growing"
    elif place.candidate is not None:
        doing += f" {place.candidate} of {place.candidates}"
    accuracy = "" if place.val_accuracy is None else f"  {percent(place.val_accuracy)}"
    size = f"{count(place.remaining_weights)} weights  depth {place.depth}"
    return f"generation {place.generation} of {place.generations}  {doing}{accuracy}  {size}"


def describe_level(place: "LevelProgress") -> str:
    """Where a run of `prune` is, in one line: replicate, arm, level, what is trained, its size."""
    accuracy = "" if place.val_accuracy is None else f"  {percent(place.val_accuracy)}"
    return (
        f"replicate {place.replicate + 1} of {place.replicates}  {place.arm}  "
        f"level {place.level} of {place.levels}  {name_variant(place.variant)}{accuracy}  "
        f"{count(place.remaining_weights)} weights"
    )


def describe_tuning(place: "TuneProgress") -> str:
    """Where a tuning is, in one line: trials done, and the run at hand or how many there are."""
    told = f"{place.finished} of {place.trials} trials done"
    if place.inner is None:
        return f"{told}  {place.running} running"
    run = f"  run {place.run + 1} of {place.runs}" if place.runs > 1 else ""
    return f"{told}  trial {place.trial}{run}  {describe(place.inner)}"


def describe_study(place: "StudyProgress") -> str:
    """Where a study is, in one line: seed, arm and training, or that the panel is read."""
    if not place.arm:
        return "beginning"
    accuracy = "" if place.val_accuracy is None else f"  {percent(place.val_accuracy)}"
    doing = "training"
    if place.phase == "panel":
        doing = f"reading the panel, {place.read} of {place.readings}"
    return (
        f"{doing}  seed {place.seed}  {place.arm}  training {place.training}{accuracy}  "
        f"{count(place.remaining_weights)} weights"
    )


def _study_part(place: "StudyProgress") -> tuple[Any, ...]:
    if place.phase == "panel":  # whose lines tell what has been read
        return (place.phase,)
    return (place.phase, place.seed, place.arm) if place.arm else ()


def _tuning_part(place: "TuneProgress") -> tuple[Any, ...]:
    is_told = place.inner is None or place.inner.phase in VERBS
    return (place.finished, place.trial, place.run) if is_told else ()


def _generation_part(place: "Place") -> tuple[Any, ...]:
    is_told = place.phase in VERBS
    return (place.generation, place.phase, place.candidate) if is_told else ()


def _level_part(place: "LevelProgress") -> tuple[Any, ...]:
    return (place.replicate, place.arm) if place.arm else ()


GROW = Words(describe, _generation_part)
PRUNE = Words(describe_level, _level_part)
TUNE = Words(describe_tuning, _tuning_part)
STUDY = Words(describe_study, _study_part)
