"""Finds a search space or an experiment by name, in a wheel or a checkout, or by its path."""

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from recursive_lth.config import (
    AnyExperiment,
    Experiment,
    Space,
    StudyExperiment,
    TicketExperiment,
    TuningExperiment,
    nearest,
)
from recursive_lth.config.ignored import yielded
from recursive_lth.config_file import (
    any_experiment_from,
    experiment_from,
    located,
    override,
    plain,
    read_toml,
    space_from,
    study_experiment_from,
    ticket_experiment_from,
)
from recursive_lth.errors import InputError
from recursive_lth.tuning_file import spaces_of, tuning_experiment_from

Kind = Literal["experiment", "search space"]
T = TypeVar("T")
FOLDERS: Mapping[Kind, str] = MappingProxyType(
    {"experiment": "experiments", "search space": "search_spaces"}
)
SUFFIX = ".toml"
DATA_SETS: Mapping[str, str] = MappingProxyType(
    {
        "digits": "1,797 real 8x8 digits, embedded: needs no network",
        "mnist": "70,000 handwritten digits, 28x28",
        "fashion-mnist": "70,000 pieces of clothing, 28x28",
        "kmnist": "70,000 handwritten Japanese characters, 28x28",
        "cifar10": "60,000 colour photographs in 10 classes, 32x32",
        "cifar100": "60,000 colour photographs in 100 classes, 32x32",
    }
)


def folder(kind: Kind) -> Path:
    """Where files of this kind lie: in the package (wheel), else in the folder above it (checkout).

    Raises `InputError` where neither is there.
    """
    package = Path(str(files("recursive_lth")))
    for place in (package / FOLDERS[kind], package.parent / FOLDERS[kind]):
        if any(place.glob(f"*{SUFFIX}")):
            return place
    raise InputError(
        f"no {FOLDERS[kind]}/ in {package} or above it: install recursive-lth again, or give the "
        f"path of a {SUFFIX} file"
    )


def names(kind: Kind) -> list[str]:
    """The names of all shipped files of this kind, sorted."""
    return sorted(path.stem for path in folder(kind).glob(f"*{SUFFIX}"))


def find(kind: Kind, name: str, *, beside: Path | None = None) -> Path:
    """The file of a shipped name, or the path itself where `name` ends in .toml.

    A relative path is looked for in the folder `beside` first, then in the current one. Raises
    `InputError` naming the nearest match and the command that lists them all.
    """
    if name.endswith(SUFFIX):
        tried = [Path(name)] if beside is None else [beside / name, Path(name)]
        found = next((path for path in tried if path.is_file()), None)
        if found is None:
            raise InputError(f"no {kind} file {name}: give the path of an existing {SUFFIX} file")
        return found
    if name not in names(kind):
        raise InputError(
            f"unknown {kind} {name!r}: {nearest(name, names(kind))} "
            "(`recursive-lth list` shows them all; a file's path must end in .toml)"
        )
    return folder(kind) / f"{name}{SUFFIX}"


def load_space(name: str, *, beside: Path | None = None) -> Space:
    """The search space of a shipped name or a file. `InputError` names file, line or key."""
    return _space(find("search space", name, beside=beside))[0]


def load_experiment(name: str | Path, settings: Iterable[str] = ()) -> Experiment:
    """The experiment of a shipped name or a file: defaults, then the file, then the settings.

    `settings` are like `training.epochs=5`. A file without a [space] table, or settings that name
    another `growth.space`, take that space from the shelf; settings of single `space.` keys are
    laid over it. What the file says and a setting switches off is put back to its default. Raises
    `InputError` naming the file, or the setting, and the key.

    >>> load_experiment("grow_digits", ["seed=3"]).seed
    3
    """
    path, data = _read(name)
    written = _named(path, experiment_from, data)
    settings = list(settings)
    wanted = experiment_from(override(data, settings))
    if "space" not in data or wanted.growth.space != written.growth.space:
        place = find("search space", wanted.growth.space, beside=path.parent)
        data = {**data, "space": _space(place)[1]}
    return yielded(experiment_from(override(data, settings)), settings)


def load_ticket_experiment(name: str | Path, settings: Iterable[str] = ()) -> TicketExperiment:
    """As `load_experiment`, for an experiment of `prune`.

    >>> load_ticket_experiment("prune_digits", ["tickets.replicates=5"]).tickets.replicates
    5
    """
    path, data = _read(name)
    _named(path, ticket_experiment_from, data)
    return ticket_experiment_from(override(data, settings))


def load_study_experiment(name: str | Path, settings: Iterable[str] = ()) -> StudyExperiment:
    """As `load_experiment`, for an experiment of `study`.

    >>> load_study_experiment("study_digits", ["study.seeds=3"]).study.seeds
    3
    """
    path, data = _read(name)
    _named(path, study_experiment_from, data)
    return study_experiment_from(override(data, settings))


def in_space_file(experiment: Experiment, message: str) -> str:
    """A message on a key of [space], with file and line where the space is a file's, unchanged."""
    try:
        path = find("search space", experiment.growth.space)
    except InputError:  # it lay beside its experiment
        return message
    is_as_written = _space(path)[0] == experiment.space
    return located(path, message, section="space") if is_as_written else message


def load_tuning_experiment(name: str | Path, settings: Iterable[str] = ()) -> TuningExperiment:
    """As `load_experiment`, for an experiment of `tune`; its base and spaces are put into it.

    A setting `base.section.key=value` is laid over the base, after those of `tune.set`. A [base]
    table in the file stands for the experiment that `tune.base` names, as long as no setting names
    another.

    >>> load_tuning_experiment("tune_digits", ["base.training.epochs=3"]).tune.set[-1]
    'training.epochs=3'
    """
    path, data = _read(name)
    written = _named(path, tuning_experiment_from, data)
    settings = list(settings)
    outer = override(data, [s for s in settings if not s.startswith("base.")])
    inner = [s.removeprefix("base.") for s in settings if s.startswith("base.")]
    wanted = tuning_experiment_from(outer)
    tune = {**plain(wanted.tune), "set": [*wanted.tune.set, *inner]}
    data = {**outer, "tune": tune}
    if "base" not in data or wanted.tune.base != written.tune.base:
        place = find("experiment", wanted.tune.base, beside=path.parent)
        data["base"] = plain(load_experiment(place))
    embedded = {entry.name: plain(entry) for entry in wanted.spaces}
    needed = spaces_of(tuning_experiment_from(data))
    data["spaces"] = [
        embedded.get(name) or {"name": name, "space": plain(load_space(name, beside=path.parent))}
        for name in needed
    ]
    return tuning_experiment_from(data)


def claims() -> dict[str, tuple[str, str]]:
    """For each shipped experiment the command that runs it, and its claim."""
    found = {}
    for name in names("experiment"):
        path, data = _read(name)
        command = str(data.get("command", "grow"))
        reader: Callable[[Mapping[str, Any]], AnyExperiment | TuningExperiment]
        reader = tuning_experiment_from if command == "tune" else any_experiment_from
        found[name] = (command, _named(path, reader, data).claim.strip())
    return found


def _read(name: str | Path) -> tuple[Path, dict[str, Any]]:
    path = find("experiment", str(name))
    return path, read_toml(path)


def _named(path: Path, build: Callable[[Mapping[str, Any]], T], data: Mapping[str, Any]) -> T:
    """What `build` makes of the data; its error names file and line."""
    try:
        return build(data)
    except InputError as error:
        raise InputError(located(path, str(error))) from None


def _space(path: Path) -> tuple[Space, dict[str, Any]]:
    """A space file as a checked Space and as its plain table."""
    data = read_toml(path)
    try:
        return space_from(data), data
    except InputError as error:
        raise InputError(located(path, str(error), section="space")) from None
