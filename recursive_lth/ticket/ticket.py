"""Ticket: a network at rest, checked at construction, and its file.

The file is safetensors: tensors named `weights/...`, `rewind/...`, `masks/...`, `births/...`, and
a JSON manifest in its header with the architecture, parent, provenance and the SHA-256 of all of
it. Nothing in it can run when loaded.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from recursive_lth.architecture.cost import Cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.architecture.network import Weights
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.files import canonical_json, write_atomic
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.masks import Masks
from recursive_lth.ticket.reading import Read, make_reading

FORMAT = 1
GROUPS = ("weights", "rewind", "masks", "births")
SKELETON = "skeleton"  # a group that few tickets have


@dataclass(frozen=True, eq=False)
class Ticket:
    """A network at rest: structure, tensors, and where they come from. Tensors lie on the CPU.

    `weights` holds every tensor of the architecture and is 0 where `masks` are false; `rewind`
    the values to rewind to, likewise for every tensor; `births` for each prunable weight the
    generation (int16) in which it was born; `skeleton`, of some tensors, which weights were born
    to make a grown layer the identity (bool). In a `basis` the prunable tensors are coefficients,
    and where it `is_filled` the network runs with the rewind values at pruned places:
    `ticket.reading` says what the forward sees. The constructor checks every name and shape, and
    puts all tensors in the order in which the layers run: whoever draws or ranks through them gets
    the same for a ticket from a file.
    """

    architecture: Architecture
    weights: Weights
    rewind: Weights
    masks: Masks
    births: dict[str, Tensor]
    parent: str = ""
    provenance: Mapping[str, Any] | None = None
    basis: str = "identity"
    is_filled: bool = False
    skeleton: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        whole, prunable = set(self.architecture.tensors), set(self.architecture.prunable)
        for group, names in zip(GROUPS, (whole, whole, prunable, prunable), strict=True):
            tensors: Mapping[str, Tensor] = getattr(self, group)
            if set(tensors) != names:
                raise InputError(f"{group} lack or add {sorted(set(tensors) ^ names)}")
            for name, tensor in tensors.items():
                if tuple(tensor.shape) != self.architecture.shape(name):
                    raise InputError(
                        f"{group}/{name} must have shape {self.architecture.shape(name)}, "
                        f"got {tuple(tensor.shape)}"
                    )
                if tensor.device.type != "cpu":
                    raise InputError(f"{group}/{name} must lie on the CPU, not on {tensor.device}")
                if group in {"weights", "rewind"} and not tensor.is_floating_point():
                    raise InputError(f"{group}/{name} must be of a float type, got {tensor.dtype}")
                if group == "births" and tensor.dtype != torch.int16:
                    raise InputError(f"{group}/{name} must be int16, got {tensor.dtype}")
            order = self.architecture.tensors if names == whole else self.architecture.prunable
            object.__setattr__(self, group, {name: tensors[name] for name in order})
        for name, bones in self.skeleton.items():
            if (
                bones.dtype != torch.bool
                or name not in prunable
                or bones.shape != self.masks[name].shape
            ):
                raise InputError(f"skeleton/{name} must be a bool for each of its prunable weights")
        masking.check(self.architecture, self.masks)
        for name, mask in self.masks.items():
            if bool((self.weights[name].ne(0) & ~mask).any()):
                raise InputError(f"weights/{name} must be 0 where its mask is false")
        try:
            canonical_json(self._manifest())
        except (TypeError, ValueError) as error:
            raise InputError(f"parent and provenance must be JSON: {error}") from None

    @property
    def is_plain(self) -> bool:
        """True iff the network runs on `weights` as they stand."""
        return self.basis == "identity" and not self.is_filled

    @cached_property
    def cost(self) -> Cost:
        """Weights, parameters and multiply-adds, dense and remaining."""
        found = masking.masked_cost(self.architecture, self.masks)
        if self.is_plain:
            return found
        return replace(found, remaining_multiply_adds=found.multiply_adds)  # its weights are dense

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the manifest and every tensor's name, type, shape and bytes."""
        return digest_of(self._manifest(), self._tensors())

    def reading(self, device: torch.device | None = None) -> Read:
        """The function from live tensors of the ticket's names to what its forward sees."""
        filled = self.masks.items() if self.is_filled else ()
        filling = {name: self.rewind[name].masked_fill(mask, 0) for name, mask in filled}
        return make_reading(self.basis, filling, self.masks, device)

    def readable(self) -> Weights:
        """The weights that the network runs on."""
        return self.reading()(self.weights)

    def module(self) -> nn.Module:
        """A plain `nn.Module` with ordinary layers holding a copy of what the forward sees."""
        return module(self.architecture, self.readable())

    def save(self, path: Path | str) -> Path:
        """Write the ticket's file, atomically."""
        manifest = canonical_json(self._manifest() | {"sha256": self.digest})
        copies = {name: tensor.clone() for name, tensor in self._tensors().items()}  # unshared
        return write_atomic(Path(path), save(copies, metadata={"manifest": manifest}))

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "architecture": self.architecture.to_dict(),
            "parent": self.parent,
            "provenance": dict(self.provenance or {}),
            **({} if self.is_plain else {"basis": self.basis, "is_filled": self.is_filled}),
        }

    def _tensors(self) -> dict[str, Tensor]:
        groups = {group: getattr(self, group) for group in (*GROUPS, SKELETON)}
        return {
            f"{group}/{name}": tensor.detach().contiguous()
            for group, tensors in groups.items()
            for name, tensor in tensors.items()
        }


def digest_of(manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a JSON manifest and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(canonical_json(manifest).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_ticket(path: Path | str) -> Ticket:
    """The ticket in a file that `Ticket.save` wrote.

    Raises `InputError` where there is no such file or it is no ticket, `DamagedFileError` where it
    is truncated or its content does not match its SHA-256.
    """
    if not Path(path).is_file():
        raise InputError(f"no ticket at {path}: give the path of a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except PermissionError:
        raise InputError(f"may not read {path}: change its permissions") from None
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(
            f"{path} is damaged or no safetensors file ({error}): restore it from a copy"
        ) from None
    if "manifest" not in metadata:
        if any(name.startswith("weights/") for name in tensors):
            raise DamagedFileError(f"{path} is damaged (no manifest): restore it from a copy")
        raise InputError(f"{path} is a safetensors file but no ticket: it has no manifest")
    try:
        manifest = json.loads(metadata["manifest"])
        recorded = manifest.pop("sha256")
        if digest_of(manifest, tensors) != recorded:
            raise InputError("its content does not match its SHA-256")
        form = manifest["format"]
    except (InputError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}): restore it from a copy") from None
    if form != FORMAT:
        raise InputError(f"{path} has format {form!r}, this version reads {FORMAT}: upgrade")
    try:
        groups: dict[str, dict[str, Tensor]] = {group: {} for group in (*GROUPS, SKELETON)}
        for key, tensor in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = tensor
        return Ticket(
            architecture=Architecture.from_dict(manifest["architecture"]),
            parent=manifest["parent"],
            provenance=manifest["provenance"],
            basis=manifest.get("basis", "identity"),
            is_filled=manifest.get("is_filled", False),
            **groups,
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}): restore it from a copy") from None
