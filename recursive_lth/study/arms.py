"""Arms: the lines of a study as moves, and by which factors two of them differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from recursive_lth.config import GrowthStep, StudyExperiment, Training, pick
from recursive_lth.errors import InputError
from recursive_lth.growth.catalogue import BIRTHS, GROWTHS
from recursive_lth.growth.fresh import SCHEMES
from recursive_lth.growth.initialise import CLAIMS, PRESERVING, resolve
from recursive_lth.growth.masks_of_new import MASKS_OF_NEW
from recursive_lth.growth.operators import COMPOUNDS
from recursive_lth.pruning.schedule import SCOPES
from recursive_lth.pruning.scores import NEEDS_TALLY, SCORES
from recursive_lth.running.start import FILE
from recursive_lth.study.moves import (
    Begin,
    Grow,
    Move,
    Prune,
    Remake,
    Rewind,
    Train,
    factors_of,
    read_move,
)
from recursive_lth.study.remakes import KINDS
from recursive_lth.training.optimizer import OPTIMIZERS, SCHEDULES


@dataclass(frozen=True)
class Arm:
    """A line of a study: its name, its moves, and how they were written."""

    name: str
    moves: tuple[Move, ...]
    texts: tuple[str, ...]

    @property
    def begin(self) -> Begin | None:
        """Its own beginning, if it has one."""
        return next((move for move in self.moves if isinstance(move, Begin)), None)

    @property
    def trainings(self) -> int:
        """How often it trains."""
        return sum(isinstance(move, Train) for move in self.moves)

    @property
    def like(self) -> str:
        """The arm whose final shape it begins with, or nothing."""
        return self.begin.like if self.begin else ""


def arms_of(experiment: StudyExperiment) -> dict[str, Arm]:
    """The arms of a study by name, those that others begin like before them.

    Raises `InputError` naming the arm, the move and the word at fault.
    """
    found = {}
    for line in experiment.arms:
        try:
            moves = tuple(read_move(text) for text in line.moves)
            arm = Arm(line.name, moves, line.moves)
            _check(arm, experiment)
        except InputError as error:
            raise InputError(f"arm {line.name}: {error}") from None
        found[line.name] = arm
    for arm in found.values():
        if arm.like and found[arm.like].like:
            raise InputError(
                f"arm {arm.name} begins like {arm.like}, which begins like {found[arm.like].like}: "
                "name that one"
            )
    return dict(sorted(found.items(), key=lambda item: bool(item[1].like)))


def _check(arm: Arm, experiment: StudyExperiment) -> None:
    tasks = [task.name for task in experiment.tasks]
    others = [line.name for line in experiment.arms if line.name != arm.name]
    if not arm.trainings:
        raise InputError('no move trains: give it one, such as "train 1"')
    optimizer = ""  # whose state there is to carry on
    for number, (move, text) in enumerate(zip(arm.moves, arm.texts, strict=True)):
        try:
            if isinstance(move, Begin):
                _check_begin(move, number, experiment)
            _check_names(move, tasks, others)
            optimizer = _carried(move, optimizer, experiment)
        except InputError as error:
            raise InputError(f"move {text!r}: {error}") from None


def _check_begin(move: Begin, number: int, experiment: StudyExperiment) -> None:
    """Raise `InputError` where a beginning comes late, or says what nothing would heed."""
    if number:
        raise InputError("only the first can be `begin`")
    own = move.start(experiment.start)
    brings = own.architecture.endswith(FILE) and own.weights == "own" and not move.like
    if move.initialisation and brings:
        raise InputError("a saved ticket has weights of its own: leave out initialisation")


def _carried(move: Move, optimizer: str, experiment: StudyExperiment) -> str:
    """The optimizer whose state there is after a move; raise where a training carries on none."""
    if isinstance(move, Train):
        wanted = move.recipe(experiment.training).optimizer
        if move.state == "carry" and wanted != optimizer:
            raise InputError(
                f"no state of {wanted} to carry on here: begin with state=reset, and after a "
                "rewind, a remake, or another optimizer as well"
            )
        return wanted
    return "" if isinstance(move, Rewind | Remake) else optimizer


def _check_names(move: Move, tasks: Sequence[str], others: Sequence[str]) -> None:
    """Raise `InputError` where a move names what is not there."""
    match move:
        case Begin():
            if move.like:
                pick(dict.fromkeys(others), move.like, "other arm")
            if move.initialisation:
                pick(SCHEMES, move.initialisation, "initialisation")
        case Train():
            if move.on:
                pick(dict.fromkeys(tasks), move.on, "task")
            recipe = move.recipe(Training())
            pick(OPTIMIZERS, recipe.optimizer, "optimizer")
            pick(SCHEDULES, recipe.schedule, "schedule")
        case Grow():
            _check_growth(move.step)
        case Remake():
            pick(dict.fromkeys(KINDS), move.kind, "kind")
        case Prune():
            pick(SCORES, move.score, "score")
            pick(SCOPES, move.scope, "scope")
            if move.score in NEEDS_TALLY:
                raise InputError(f"{move.score} adds up a whole training: use another score")


def _check_growth(step: GrowthStep) -> None:
    """Raise `InputError` where a name is unknown: a search would ignore other operators' births."""
    pick(GROWTHS, step.operator, "operator")
    parts = COMPOUNDS.get(step.operator, (step.operator,))
    births = dict.fromkeys((PRESERVING, *(name for part in parts for name in BIRTHS[part])))
    pick(births, step.initialisation, f"initialisation of {step.operator}")
    pick(MASKS_OF_NEW, step.mask, "mask")


def until(arm: Arm, training: int, moment: float) -> Arm:
    """The arm as far as it has come at a moment of a training; what follows tells nothing there.

    Of a training that has not begun only its data are there.
    """
    end = [place for place, move in enumerate(arm.moves) if isinstance(move, Train)][training]
    last = arm.moves[end]
    if moment == 0 and isinstance(last, Train):
        last = Train(length=1.0, on=last.on)
    return Arm(arm.name, (*arm.moves[:end], last), arm.texts[: end + 1])


def differing_factors(one: Arm, other: Arm) -> frozenset[str]:
    """The factors of the moves that tell two arms apart; how long they train is none of them.

    Two growths that differ in nothing but their initialisation differ in that alone. Where one arm
    trains more often, as when a schedule is begun anew, that is strategy.
    """
    mine, theirs = [_kind(move) for move in one.moves], [_kind(move) for move in other.moves]
    found: set[str] = set()
    for tag, low, high, start, end in SequenceMatcher(None, mine, theirs, False).get_opcodes():
        if tag != "equal":
            found |= _apart(one.moves[low:high], other.moves[start:end])
    if one.trainings != other.trainings:
        found.add("strategy")
    return frozenset(found)


def _kind(move: Move) -> str:
    """What makes two moves the same, whatever they cost and however that is counted."""
    return repr(replace(move, length=1.0, by="cost") if isinstance(move, Train) else move)


def _apart(mine: Sequence[Move], theirs: Sequence[Move]) -> set[str]:
    """The factors by which two stretches of moves differ, verb by verb where they match."""
    if [type(move) for move in mine] == [type(move) for move in theirs]:
        return {factor for a, b in zip(mine, theirs, strict=True) for factor in _between(a, b)}
    return {factor for move in (*mine, *theirs) for factor in factors_of(move)}


def _between(mine: Move, theirs: Move) -> frozenset[str]:
    if isinstance(mine, Grow) and isinstance(theirs, Grow):
        as_born = replace(mine.step, initialisation=theirs.step.initialisation)
        return frozenset({"structure"} if as_born != theirs.step else ()) | frozenset(
            () if _are_born_alike(mine.step, theirs.step) else {"initialisation"}
        )
    if isinstance(mine, Begin) and isinstance(theirs, Begin):
        as_drawn = replace(mine, initialisation=theirs.initialisation)
        return frozenset({"structure"} if as_drawn != theirs else ()) | frozenset(
            {"initialisation"} if as_drawn != mine else ()
        )
    if isinstance(mine, Train) and isinstance(theirs, Train):
        data = {"data"} if mine.on != theirs.on else set()
        ways = [(move.settings, move.state) for move in (mine, theirs)]
        return frozenset(data if ways[0] == ways[1] else {*data, "strategy"})
    return factors_of(mine) | factors_of(theirs)


def _are_born_alike(mine: GrowthStep, theirs: GrowthStep) -> bool:
    """True iff two growths are born the same way.

    Each operator has names of its own: of two operators, iff both claim to keep the function.
    """
    births = [
        [
            resolve(part, step.initialisation)[0]
            for part in COMPOUNDS.get(step.operator, [step.operator])
        ]
        for step in (mine, theirs)
    ]
    if mine.operator == theirs.operator:
        return births[0] == births[1]
    return len({all(name in CLAIMS for name in names) for names in births}) == 1
