"""Filling a page's template, and the lists of settings that every page ends with."""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from recursive_lth.report.canvas import DARK, LIGHT

Rows = list[tuple[str, str]]


def fill_template(template: str, /, **values: Any) -> str:
    """The HTML text of a template of this folder; every value is escaped."""
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_read_resource),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = [(name, LIGHT[name], DARK[name]) for name in LIGHT]
    style = _read_resource("page.css")
    return environment.get_template(template).render(style=style, colours=colours, **values)


def _read_resource(name: str) -> str:
    return files("recursive_lth.report").joinpath(name).read_text("utf-8")


def list_settings(experiment: Mapping[str, Any]) -> list[tuple[str, Rows]]:
    """The experiment's values by table, those outside any table first."""
    sections: list[tuple[str, Rows]] = []
    plain = {key: value for key, value in experiment.items() if not isinstance(value, Mapping)}
    plain.pop("claim", None)  # stands at the head of the page
    if plain:
        sections.append(("experiment", list_values(plain)))
    for key, value in experiment.items():
        if isinstance(value, Mapping):
            sections.append((key, list_values(flatten(value))))
    return sections


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a table within tables, by dotted key."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def list_values(values: Mapping[str, Any]) -> Rows:
    return [
        (key, value if isinstance(value, str) else _write(value)) for key, value in values.items()
    ]


def _write(value: Any) -> str:
    """A value as TOML would write it."""
    if isinstance(value, Iterable):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).lower() if isinstance(value, bool) else str(value)
