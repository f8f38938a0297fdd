"""One prune-and-grow turn in numbers, as the lineage file holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from recursive_lth.errors import DamagedFileError
from recursive_lth.running.run_folder import RunFolder

Status = Literal["chosen", "judged", "stopped", "repeated", "failed", "infeasible", "waiting"]


@dataclass(frozen=True)
class Candidate:
    """One growth that was tried, or number 0: not growing.

    `loss` is the temperature-calibrated validation loss after the short training, `gain` how much
    lower it is than that of not growing, `rungs` the gain at each rung it reached. `asked` is what
    the policy proposed, `growth` what became of it. One `repeated` comes to the
    same growth as an earlier one and bears its numbers, at the cost of its birth. One `infeasible`
    breaks a limit of the space and is not trained; one `waiting` is not trained yet and stands in
    no file. `sizes` are those right after growth and `constraints` by what share they exceed each
    limit (`search.constraints`); `replicates` are the gains of one that has raced, under each seed,
    and `gain` their mean. All three are empty in lines that were written before they were known.
    """

    number: int
    asked: Mapping[str, Any] | None
    growth: Mapping[str, Any] | None
    status: Status
    loss: float | None
    gain: float | None
    accuracy: float | None
    rungs: tuple[float, ...]
    epochs: float
    training_cost: int
    training_steps: int
    reason: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    replicates: tuple[float, ...] = ()


def _candidate(row: Mapping[str, Any]) -> Candidate:
    later = ("sizes", "constraints", "replicates")
    known = {f.name: row[f.name] for f in fields(Candidate) if f.name not in later}
    known |= {name: row.get(name, {}) for name in ("sizes", "constraints")}
    lists = {"rungs": tuple(row["rungs"]), "replicates": tuple(row.get("replicates", ()))}
    return Candidate(**known | lists)


@dataclass(frozen=True)
class Generation:
    """The numbers and digests of one ticket. Field names are stable: other programs read them.

    Accuracies are fractions; costs are multiply-adds by the convention of `architecture.cost`;
    `training_cost` and `training_steps` count the whole run up to and including this ticket,
    candidates too. `survivors` says how many of the remaining weights were born in each
    generation, oldest first; it is empty in lines that were written before it was known.
    `weights_cost` are the multiply-adds of the trainings in this run that its weights as they are
    have gone through. `confirmation` holds what rule `paired` found (`search/confirm.py`) or null.
    One that `grows_on` is no ticket yet: nothing was pruned or judged, and the next grows from it.
    """

    digest: str
    parent: str
    generation: int
    operator: str
    growth: Mapping[str, Any] | None
    depth: int
    widths: Mapping[str, int]
    parameters: int
    remaining_parameters: int
    weights: int
    remaining_weights: int
    density: float
    multiply_adds: int
    remaining_multiply_adds: int
    val_accuracy: float
    val_loss: float
    val_calibrated_loss: float
    temperature: float
    test_accuracy: float | None
    accepted: bool
    verdict: str
    training_cost: int
    training_steps: int
    seconds: float
    certificate: Mapping[str, Any] | None
    candidates: tuple[Candidate, ...]
    layers: Mapping[str, Mapping[str, int]]
    architecture: Mapping[str, Any]
    survivors: Mapping[str, int] = field(default_factory=dict)
    weights_cost: int = 0
    confirmation: Mapping[str, Any] | None = None
    grows_on: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_dict(row: Mapping[str, Any]) -> "Generation":
        """The generation of a lineage line. Raises `DamagedFileError` where a field is missing."""
        try:
            names = [f.name for f in fields(Generation) if is_needed(f) or f.name in row]
            known = {name: row[name] for name in names}
            tried = [_candidate(c) for c in row["candidates"]]
            unknown = {c.status for c in tried} - set(get_args(Status))
            if unknown:
                raise KeyError(f"a known status for {unknown}")
        except (KeyError, TypeError) as error:
            raise DamagedFileError(
                f"a lineage line lacks {error}: it was written by another version; run anew with "
                "--resume never"
            ) from None
        return Generation(**known | {"candidates": tuple(tried)})


def is_needed(field: Field[Any]) -> bool:
    """True iff every line has had this field from the first version on."""
    return field.default is MISSING and field.default_factory is MISSING


def read_lineage(folder: RunFolder) -> list[Generation]:
    """The generations that a run's folder holds so far."""
    return [Generation.from_dict(row) for row in folder.lines()]


def write_lineage(folder: RunFolder, lineage: Sequence[Generation]) -> None:
    """Put the whole lineage into a run's folder anew."""
    folder.write_lines(turn.to_dict() for turn in lineage)
