"""Experiments as TOML: strict reading that names key and cure, overrides, and full writing."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tomli_w

from recursive_lth.config import (
    FORMAT,
    AnyExperiment,
    Arm,
    Experiment,
    Space,
    StudyExperiment,
    TicketExperiment,
    TuningExperiment,
    nearest,
)
from recursive_lth.errors import InputError

T = TypeVar("T")
TYPE_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `InputError` with file, line and what is wrong."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from None


def located(path: Path, message: str, *, section: str = "") -> str:
    """The message with its file, and with the line of the key that it begins with, if it stands.

    `section` is the name under which a file holds a table's keys by themselves. Of a name that is
    unknown, in a list over several lines, it is the line of that name.
    """
    found = re.match(r"(?:unknown key |unknown )?([\w.]+)(?:\[\d+\])?(?: '([^']*)')?", message)
    if not path.is_file() or not found:
        return f"{path}: {message}"
    key = found[1].removeprefix(f"{section}.") if section else found[1]
    number = _line_of(path.read_text(encoding="utf-8").splitlines(), key, found[2])
    return f"{path} line {number}: {message}" if number else f"{path}: {message}"


def _line_of(lines: Sequence[str], key: str, word: str | None) -> int:
    """The number of the line, from 1, where a dotted key is set, or a word in its list; 0: none."""
    *tables, last = key.split(".")
    inside, begin = "", 0
    for number, line in enumerate(lines, start=1):
        if begin and word and re.search(rf"""["']{re.escape(word)}["']""", line):
            return number
        if header := re.match(r"\s*\[+\s*([\w.]+)\s*\]+\s*(#.*)?$", line):
            inside = header[1]
        elif inside == ".".join(tables) and re.match(rf"\s*{re.escape(last)}\s*=", line):
            begin = number
            if not word or re.search(rf"""["']{re.escape(word)}["']""", line):
                return number
    return begin


def experiment_from(data: Mapping[str, Any]) -> Experiment:
    """The experiment of `grow` that plain TOML values describe; unknown keys are refused."""
    values = _checked(data)
    command = values.pop("command", "grow")
    if command != "grow":
        raise InputError(f"this is an experiment of `recursive-lth {command}`, not of `grow`")
    return build(Experiment, values, "")


def ticket_experiment_from(data: Mapping[str, Any]) -> TicketExperiment:
    """The experiment of `prune` that plain TOML values describe; each of its arms is tried too."""
    experiment = build(TicketExperiment, checked_values(data, "prune"), "")
    arms_of(experiment)
    return experiment


def study_experiment_from(data: Mapping[str, Any]) -> StudyExperiment:
    """The experiment of `study` that plain TOML values describe."""
    return build(StudyExperiment, checked_values(data, "study"), "")


def any_experiment_from(data: Mapping[str, Any]) -> AnyExperiment:
    """The experiment of `grow`, `prune` or `study`."""
    if data.get("command") == "prune":
        return ticket_experiment_from(data)
    if data.get("command") == "study":
        return study_experiment_from(data)
    return experiment_from(data)


def arms_of(experiment: TicketExperiment) -> dict[str, TicketExperiment]:
    """Each arm by name, as an experiment of its own without arms. `InputError` names the arm."""
    alone = replace(experiment, arms=())
    plain = _plain(asdict(alone))
    found = {}
    for arm in experiment.arms or (Arm(),):
        try:
            found[arm.name] = build(TicketExperiment, override(plain, arm.set), "")
        except InputError as error:
            raise InputError(f"arm {arm.name}: {error}") from None
    return found


def space_from(data: Mapping[str, Any]) -> Space:
    """The search space that plain TOML values describe."""
    return build(Space, data, "space.")


def experiment_to_toml(experiment: AnyExperiment | TuningExperiment) -> str:
    """The full, resolved experiment as TOML; reading it gives an equal one back."""
    return tomli_w.dumps({"format": FORMAT, **plain(experiment)})


def plain(section: Any) -> dict[str, Any]:
    """A dataclass of the configuration as plain TOML values; what is None is left out."""
    values: dict[str, Any] = _plain(asdict(section))
    return values


def checked_values(data: Mapping[str, Any], command: str) -> dict[str, Any]:
    """The values without the format number. Raises unless they say that they are of the command."""
    values = _checked(data)
    if values.get("command", "grow") != command:
        raise InputError(
            f"this is an experiment of `recursive-lth {values.get('command', 'grow')}`: one of "
            f'`{command}` says command = "{command}"'
        )
    return values


def override(data: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The data with `section.key=value` settings laid over; values are TOML, else plain text.

    >>> override({"training": {"epochs": 3}}, ["training.epochs=5", "data.name=mnist"])
    {'training': {'epochs': 5}, 'data': {'name': 'mnist'}}
    """
    result = {key: dict(v) if isinstance(v, Mapping) else v for key, v in data.items()}
    for setting in settings:
        path, separator, text = setting.partition("=")
        keys = path.strip().split(".")
        if not separator or not all(keys) or len(keys) > 2:
            raise InputError(f"--set needs section.key=value, got {setting!r}")
        table = result
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise InputError(f"--set {path}: {key} is a value, not a section")
        table[keys[-1]] = toml_value(text.strip())
    return result


def _checked(data: Mapping[str, Any]) -> dict[str, Any]:
    """The values without the format number, which must be ours."""
    values = dict(data)
    written = values.pop("format", FORMAT)
    if written != FORMAT:
        raise InputError(f"format must be {FORMAT}, got {written!r}: write the experiment anew")
    return values


def toml_value(text: str) -> Any:
    """What a text is as a TOML value, or else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def build(kind: type[T], data: Any, path: str) -> T:
    """A dataclass from a table. `path` is the dotted way to it, with a trailing dot."""
    if not isinstance(data, Mapping):
        raise InputError(f"{path.rstrip('.')} must be a section of keys, got {data!r}")
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            raise InputError(f"unknown key {path}{key}: {nearest(str(key), known)}")
    return kind(**{key: convert(hints[key], value, f"{path}{key}") for key, value in data.items()})


def convert(kind: Any, value: Any, path: str) -> Any:
    """A TOML value as the type a field wants. Raises `InputError` naming the key."""
    if kind is object:
        return tuple(convert(object, v, path) for v in value) if isinstance(value, list) else value
    if is_dataclass(kind) and isinstance(kind, type):
        return build(kind, value, f"{path}.")
    if isinstance(kind, UnionType):
        return convert(next(k for k in get_args(kind) if k is not NoneType), value, path)
    if get_origin(kind) is tuple:
        return _convert_list(get_args(kind), value, path)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and is_number:
        return float(value)
    if type(value) is not kind:
        raise InputError(f"{path} must be {TYPE_NAMES[kind]}, got {value!r}")
    return value


def _convert_list(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{path} must be a list, got {value!r}")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise InputError(f"{path} must have {len(kinds)} entries, got {value!r}")
    return tuple(convert(kinds[0], item, f"{path}[{i}]") for i, item in enumerate(value))
