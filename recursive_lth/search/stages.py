"""Stages: what a generation has already computed, on disk, so that a kill loses little.

Each stage is a ticket file and a record beside it, the record written last. A stage asks first
whether it is already there. Long trainings also leave a checkpoint at the end of an epoch.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.files import read_json, write_atomic
from recursive_lth.ticket.ticket import Ticket, digest_of, load_ticket


@dataclass(frozen=True)
class Checkpoint:
    """The inside of a training at the end of an epoch; `tensors` by group/name."""

    step: int
    rows: list[dict[str, Any]]
    groups: dict[str, dict[str, Tensor]]


class Stages:
    """The stages of the generation in hand, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recall(self, name: str) -> tuple[Ticket, dict[str, Any]] | None:
        """Ticket and record of a finished stage; None where it is not there, or is damaged.

        What is damaged here is computed again, to the same bits.
        """
        record = self.folder / f"{name}.json"
        try:
            return load_ticket(self.folder / f"{name}.safetensors"), read_json(record)
        except (InputError, FileNotFoundError):
            return None

    def store(self, name: str, ticket: Ticket, record: Mapping[str, Any]) -> None:
        """Finish a stage; its checkpoint is no longer needed."""
        ticket.save(self.folder / f"{name}.safetensors")
        write_atomic(self.folder / f"{name}.json", json.dumps(record))
        self._checkpoint(name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything: the generation is in the lineage."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep the inside of a training, in place of an earlier one."""
        tensors = {
            f"{group}/{tensor}": value.detach().cpu().contiguous()
            for group, values in checkpoint.groups.items()
            for tensor, value in values.items()
        }
        inside = {"step": checkpoint.step, "rows": checkpoint.rows}
        manifest = json.dumps({"inside": inside, "sha256": digest_of(inside, tensors)})
        write_atomic(self._checkpoint(name), save(tensors, metadata={"manifest": manifest}))

    def load_checkpoint(self, name: str) -> Checkpoint | None:
        """The inside of a training that was stopped; None where there is none, or it is damaged."""
        path = self._checkpoint(name)
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
        return Checkpoint(manifest["inside"]["step"], manifest["inside"]["rows"], groups)

    def _checkpoint(self, name: str) -> Path:
        return self.folder / f"{name}.checkpoint.safetensors"
