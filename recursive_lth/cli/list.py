"""`recursive-lth list`: what can be run, and what was."""

import tomllib
from pathlib import Path
from typing import Any

from recursive_lth import shelf
from recursive_lth.cli import screen
from recursive_lth.cli.options import Debug, Json, Out
from recursive_lth.cli.runs import run_folders, state, study_state, tickets_state, tuning_state
from recursive_lth.errors import InputError
from recursive_lth.growth.catalogue import BIRTHS, GROWTHS
from recursive_lth.report.record import command_of, read_run
from recursive_lth.report.study_record import read_study
from recursive_lth.report.table import Table
from recursive_lth.report.tickets_record import read_tickets
from recursive_lth.report.tuning_record import read_tuning
from recursive_lth.search.policies.words import POLICY_WORDS
from recursive_lth.study.panel.words import MEASURE_WORDS

EXAMPLES = """Examples:
  recursive-lth list
  recursive-lth list --out results --json
"""
OWN_DATA = "your own: arrays train_images, train_labels, test_images, test_labels"

IMPORTED = {
    "torchvision:MODEL": "a model of torchvision's registry, such as torchvision:resnet18, from "
    "fresh weights",
    "TICKET.safetensors": "a saved ticket with its weights; its structure with start.weights=fresh",
}


def list_all(*, out: Out = Path("runs"), json: Json = False, debug: Debug = False) -> None:
    """List experiments, spaces, networks, growths, policies, measures, data, and runs in --out."""
    found = {
        "experiments": _experiments(),
        "search_spaces": _spaces(),
        "architectures": {**_architectures(), **IMPORTED},
        "growth": _growths(),
        "policies": dict(POLICY_WORDS),
        "measures": dict(MEASURE_WORDS),
        "data": {**shelf.DATA_SETS, "FILE.npz": OWN_DATA},
        "runs": {str(folder): _state(folder) for folder in run_folders(out)},
    }
    if json:
        screen.print_json(found)
        return
    console = screen.console()
    for title, rows in found.items():
        name = f"runs in {out}/" if title == "runs" else title.replace("_", " ")
        if not rows:
            console.print(f"{name}: none yet; `recursive-lth grow` makes one\n")
            continue
        screen.print_table(console, name, Table(["", ""], [[*row] for row in rows.items()]))


def _experiments() -> dict[str, str]:
    return {name: f"{command}: {claim}" for name, (command, claim) in shelf.claims().items()}


def _spaces() -> dict[str, str]:
    return {name: shelf.load_space(name).description for name in shelf.names("search space")}


def _architectures() -> dict[str, str]:
    from recursive_lth.architecture.zoo import ARCHITECTURES

    return {name: _first_line(build) for name, build in ARCHITECTURES.items()}


def _growths() -> dict[str, str]:
    """Each growth, what it does and how its weights can be born, the preserving way first."""
    return {
        name: f"{words}. Births: {', '.join(BIRTHS[name])}" if name in BIRTHS else words
        for name, words in GROWTHS.items()
    }


def _first_line(function: Any) -> str:
    return " ".join((function.__doc__ or "").split("\n\n")[0].split())


def _state(folder: Path) -> str:
    """The state of a run; one that cannot be read says so, and the others are still listed."""
    try:
        command = command_of(folder)
        if command == "prune":
            return tickets_state(read_tickets(folder))
        if command == "tune":
            return tuning_state(read_tuning(folder))
        if command == "study":
            return study_state(read_study(folder))
        return state(read_run(folder))
    except (InputError, OSError, tomllib.TOMLDecodeError) as error:
        return f"cannot be read: {error}"
