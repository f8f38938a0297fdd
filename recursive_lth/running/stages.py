"""Stages: what a generation has already computed, on disk, so that a kill loses little.

Each stage is a ticket file and a record beside it, the record written last. A stage asks first
whether it is already there. Long trainings also leave a checkpoint at the end of an epoch.
"""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.files import read_json, write_atomic
from recursive_lth.ticket.ticket import Ticket, digest_of, load_ticket

COMPANIES = "companies.json"
Groups = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Checkpoint:
    """The inside of a training at the end of an epoch; `tensors` by group/name."""

    step: int
    rows: list[dict[str, Any]]
    groups: dict[str, dict[str, Tensor]]


class Stages:
    """The stages of the generation in hand, in one folder.

    Its owner, the run, finishes or drops what a kill left half done; others leave checkpoints.
    """

    def __init__(self, folder: Path, *, is_owner: bool = True) -> None:
        self.folder = folder
        if is_owner:
            self._settle()

    def recall(self, name: str) -> tuple[Ticket, dict[str, Any]] | None:
        """Ticket and record of a finished stage; None where it is not there, or is damaged.

        What is damaged here is computed again; what was in company then is so to rounding.
        """
        record = self.folder / f"{name}.json"
        try:
            return load_ticket(self.folder / f"{name}.safetensors"), read_json(record)
        except (InputError, FileNotFoundError):
            return None

    def store(
        self, name: str, ticket: Ticket, record: Mapping[str, Any], *, is_alone: bool = True
    ) -> None:
        """Finish a stage; its checkpoint is no longer needed.

        One that is not alone counts from the next `confirm` on, with all that were stored before.
        """
        ticket.save(self.folder / f"{name}.safetensors")
        suffix = "json" if is_alone else "waits"
        write_atomic(self.folder / f"{name}.{suffix}", json.dumps(record))
        self._checkpoint(name).unlink(missing_ok=True)

    def confirm(self) -> None:
        """Let all stages count that wait for one another.

        The list of their names is what makes it one act: from then on a reader takes them as they
        are, and this goes on renaming them after a kill.
        """
        names = sorted(path.stem for path in self.folder.glob("*.waits"))
        if names:
            write_atomic(self.folder / "confirmed", json.dumps(names))
            self._settle()

    def _settle(self) -> None:
        """Rename what is confirmed; drop what was stored and never was."""
        listed = self.folder / "confirmed"
        if listed.exists():
            for name in read_json(listed):
                waiting = self.folder / f"{name}.waits"
                if waiting.exists():
                    waiting.replace(self.folder / f"{name}.json")
            listed.unlink()
        for path in self.folder.glob("*.waits"):
            path.unlink()

    def companies(self) -> list[list[str]]:
        """Which trainings go together, by their names, as `add_companies` has put it down."""
        path = self.folder / COMPANIES
        return list(read_json(path)) if path.exists() else []

    def add_companies(self, new: Sequence[Sequence[str]]) -> None:
        """Put down who goes together; do it before they begin."""
        if new:
            write_atomic(self.folder / COMPANIES, json.dumps([*self.companies(), *new]))

    def suspect(self, name: str, workers: int = 0) -> None:
        """Put down that a training ended workers: so many alone, 0 in company."""
        write_atomic(self.folder / f"{name}.suspect", str(workers))

    def ended(self, name: str) -> int | None:
        """How many workers a suspect has ended alone, 0 in company; None where it is no suspect."""
        path = self.folder / f"{name}.suspect"
        return int(path.read_text("utf-8")) if path.exists() else None

    def clear(self) -> None:
        """Forget everything: the generation is in the lineage."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def pass_on(self, digest: str, groups: Groups) -> None:
        """Keep tensors beside a finished ticket for the generations that begin with it."""
        _write_groups(self._legacy(digest), {}, groups)

    def passed_on(
        self, digest: str, *, wanted: Collection[str] = ()
    ) -> dict[str, dict[str, Tensor]]:
        """What was kept beside a ticket; what is beside others is dropped, but of those wanted yet.

        Raises `DamagedFileError` where it is gone or damaged: it cannot be computed again.
        """
        path = self._legacy(digest)
        found = _read_groups(path)
        if found is None:
            raise DamagedFileError(
                f"{path} is gone or damaged: restore it or start anew with --resume never"
            )
        kept = {path, *map(self._legacy, wanted)}
        for other in path.parent.iterdir():
            if other not in kept:
                other.unlink()
        return found[1]

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep the inside of a training, in place of an earlier one."""
        inside = {"step": checkpoint.step, "rows": checkpoint.rows}
        _write_groups(self._checkpoint(name), inside, checkpoint.groups)

    def load_checkpoint(self, name: str) -> Checkpoint | None:
        """The inside of a training that was stopped; None where there is none, or it is damaged."""
        found = _read_groups(self._checkpoint(name))
        return None if found is None else Checkpoint(found[0]["step"], found[0]["rows"], found[1])

    def store_groups(self, name: str, groups: Groups) -> None:
        """Keep further tensors of a stage; write them before the stage itself."""
        _write_groups(self.folder / f"{name}.more.safetensors", {}, groups)

    def recall_groups(self, name: str) -> dict[str, dict[str, Tensor]] | None:
        """What `store_groups` kept; None where it is not there, or is damaged."""
        found = _read_groups(self.folder / f"{name}.more.safetensors")
        return None if found is None else found[1]

    def _legacy(self, digest: str) -> Path:
        """Beside the folder, which does not outlive its generation."""
        return self.folder.with_name(f"{self.folder.name}-passed-on") / f"{digest}.safetensors"

    def _checkpoint(self, name: str) -> Path:
        return self.folder / f"{name}.checkpoint.safetensors"


def _write_groups(path: Path, inside: Mapping[str, Any], groups: Groups) -> None:
    """Tensors by group and name in one file, with their SHA-256."""
    tensors = {
        f"{group}/{tensor}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for group, values in groups.items()
        for tensor, value in values.items()
    }
    manifest = json.dumps({"inside": inside, "sha256": digest_of(inside, tensors)})
    write_atomic(path, save(tensors, metadata={"manifest": manifest}))


def _read_groups(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]] | None:
    """What `_write_groups` wrote; None where it is not there, or is damaged."""
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            manifest = json.loads(file.metadata()["manifest"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if digest_of(manifest["inside"], tensors) != manifest["sha256"]:
            return None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None
    for key, value in tensors.items():
        group, _, tensor = key.partition("/")
        groups.setdefault(group, {})[tensor] = value
    return manifest["inside"], groups
