"""Tickets: checked at construction, and files that load to the same ticket or not at all."""

import ast
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from safetensors import safe_open
from safetensors.torch import save, save_file
from strategies import SEEDS, architectures, exact_masks, kept_counts, normal_weights, random_batch
from torch import Tensor

import recursive_lth
from recursive_lth.architecture.cost import cost
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import GROUPS, Ticket, load_ticket

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
MLP = ARCHITECTURES["mlp"]((3,), 2, (3,))
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"torch.load", "torch.save", "torch.serialization.load", "torch.hub.load"}


def make(
    architecture: Architecture = MLP, seed: int = 0, kept: dict[str, int] | None = None
) -> Ticket:
    """A ticket with random tensors; all weights remain, or as many as `kept` says."""
    shapes = {n: architecture.shape(n) for n in architecture.prunable}
    whole = {n: torch.Size(shape).numel() for n, shape in shapes.items()}
    masks = exact_masks(architecture, kept or whole, seed)
    return Ticket(
        architecture,
        weights=masking.apply(normal_weights(architecture, seed), masks),
        rewind=normal_weights(architecture, seed + 1),
        masks=masks,
        births={n: torch.full(shape, 2, dtype=torch.int16) for n, shape in shapes.items()},
        parent="ab" * 32,
        provenance={"seed": seed, "operator": "widen", "note": 'a "word", ü'},
    )


def content(ticket: Ticket) -> dict[str, Tensor]:
    """Every tensor, as the file names it."""
    groups: dict[str, Mapping[str, Tensor]] = {group: getattr(ticket, group) for group in GROUPS}
    return {f"{group}/{n}": t for group, tensors in groups.items() for n, t in tensors.items()}


def outcome(path: Path) -> str:
    """The digest of the ticket in a file, or "damaged"; any other error passes through."""
    try:
        return load_ticket(path).digest
    except DamagedFileError as error:
        told = str(error)
    assert str(path) in told
    assert "\n" not in told
    return "damaged"


@given(st.data(), SEEDS)
@in_one_folder
def test_file_round_trip(tmp_path: Path, data: DataObject, seed: int) -> None:
    """Every name, type and bit comes back, with them the digest; saved again, the same file."""
    architecture = data.draw(architectures())
    ticket = make(architecture, seed, data.draw(kept_counts(architecture)))
    path = ticket.save(tmp_path / "one.safetensors")
    loaded = load_ticket(path)
    assert loaded.digest == ticket.digest
    assert loaded.architecture == architecture
    assert (loaded.parent, loaded.provenance) == (ticket.parent, ticket.provenance)
    found, expected = content(loaded), content(ticket)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name])
    again = loaded.save(tmp_path / "two.safetensors")
    assert again.read_bytes() == path.read_bytes()


def test_digest_is_that_of_the_manifest_and_every_byte() -> None:
    """SHA-256 by hand: the manifest, then each tensor by name, with type, shape and bytes."""
    ticket = make()
    text = {
        "format": 1,
        "architecture": MLP.to_dict(),
        "parent": ticket.parent,
        "provenance": dict(ticket.provenance or {}),
    }
    whole = json.dumps(text, sort_keys=True, separators=(",", ":")).encode()
    for name, tensor in sorted(content(ticket).items()):
        whole += f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode()
        whole += tensor.numpy().tobytes()
    assert ticket.digest == hashlib.sha256(whole).hexdigest()


def test_digest_is_stable_and_tells_tickets_apart(tmp_path: Path) -> None:
    """The same values in other memory have one digest; each part that differs changes it."""
    ticket = make()
    matrices = {n: t for n, t in ticket.weights.items() if t.ndim == 2}
    turned = {n: t.T.contiguous().T.requires_grad_() for n, t in matrices.items()}
    columns_first = replace(ticket, weights=ticket.weights | turned)
    assert columns_first.digest == ticket.digest
    files = [t.save(tmp_path / f"{i}") for i, t in enumerate((ticket, columns_first))]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert replace(ticket, weights=dict(reversed(ticket.weights.items()))).digest == ticket.digest
    assert replace(ticket, provenance=None).digest == replace(ticket, provenance={}).digest
    fewer = exact_masks(MLP, {"fc1.weight": 8, "output.weight": 6}, 0)
    others = [
        replace(ticket, parent=""),
        replace(ticket, provenance={"seed": 1}),
        replace(ticket, rewind=ticket.weights),
        replace(ticket, births={n: t + 1 for n, t in ticket.births.items()}),
        replace(ticket, weights={n: t.float() for n, t in ticket.weights.items()}),
        replace(ticket, masks=fewer, weights=masking.apply(ticket.weights, fewer)),
    ]
    assert len({ticket.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_truncated_files_are_damaged(tmp_path: Path) -> None:
    """A file cut at any of 100 lengths, or with a byte more, is told, never loaded."""
    path = make().save(tmp_path / "ticket.safetensors")
    whole = path.read_bytes()
    lengths = {0, 1, 7, 8, 9, len(whole) - 1, *range(0, len(whole), len(whole) // 100)}
    for length in sorted(lengths):
        path.write_bytes(whole[:length])
        assert outcome(path) == "damaged", length
    path.write_bytes(whole + b"\0")
    assert outcome(path) == "damaged"
    path.write_bytes(whole)
    assert outcome(path) == make().digest


def test_mutated_files_are_damaged_or_the_same(tmp_path: Path) -> None:
    """200 random bytes, and those of the first keys: damage is never another ticket."""
    ticket = make()
    path = ticket.save(tmp_path / "ticket.safetensors")
    whole, draw = path.read_bytes(), random.Random(0)  # noqa: S311
    places = [*(draw.randrange(len(whole)) for _ in range(200)), *range(40)]
    found = []
    for place in places:
        mutated = bytearray(whole)
        mutated[place] ^= draw.randrange(1, 256)
        path.write_bytes(mutated)
        found.append(outcome(path))
    assert set(found) <= {ticket.digest, "damaged"}
    assert found.count("damaged") > len(found) - 5  # a space of padding may become another


def rewritten(ticket: Ticket, path: Path, **changes: object) -> Path:
    """A file of the same tensors whose manifest was changed and signed again."""
    ticket.save(path)
    with safe_open(path, framework="pt") as file:
        manifest = json.loads(file.metadata()["manifest"]) | changes
    del manifest["sha256"]
    whole = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    for name, tensor in sorted(content(ticket).items()):
        whole += f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode()
        whole += tensor.numpy().tobytes()
    manifest["sha256"] = hashlib.sha256(whole).hexdigest()
    path.write_bytes(save(content(ticket), metadata={"manifest": json.dumps(manifest)}))
    return path


def test_other_files_are_bad_input_not_damage(tmp_path: Path) -> None:
    """No file, a folder, another's safetensors, a later format: the cure is no copy of the file."""
    path = tmp_path / "x.safetensors"
    for absent in (path, tmp_path):
        with pytest.raises(InputError, match="no ticket at") as caught:
            load_ticket(absent)
        assert not isinstance(caught.value, DamagedFileError)
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="no ticket: it has no manifest") as caught:
        load_ticket(path)
    assert not isinstance(caught.value, DamagedFileError)
    assert outcome(rewritten(make(), path)) == make().digest  # as it was: the twin signs alike
    with pytest.raises(InputError, match="has format 2, this version reads 1") as caught:
        load_ticket(rewritten(make(), path, format=2))
    assert not isinstance(caught.value, DamagedFileError)


@pytest.mark.parametrize("manifest", ["", "3", "[]", "null", "{}", '{"sha256": 3}', "[" * 100_000])
def test_manifests_that_are_none_are_damage(tmp_path: Path, manifest: str) -> None:
    """Whatever stands in the manifest, the error is ours and names the file."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(content(make()), metadata={"manifest": manifest}))
    assert outcome(path) == "damaged"


def test_signed_nonsense_is_not_loaded(tmp_path: Path) -> None:
    """A digest that fits does not excuse an architecture that does not."""
    path = tmp_path / "x.safetensors"
    other = ARCHITECTURES["mlp"]((3,), 2, (4,)).to_dict()
    for nonsense in (other, {}, None):
        assert outcome(rewritten(make(), path, architecture=nonsense)) == "damaged"


def flawed() -> Iterator[tuple[str, dict[str, Any]]]:
    """Fields that break a law of tickets, each with what the error must name."""
    ticket = make(kept={"fc1.weight": 4, "output.weight": 6})
    for group in GROUPS:
        tensors = getattr(ticket, group)
        lacking = {n: t for n, t in tensors.items() if n != "fc1.weight"}
        yield rf"{group}.*fc1\.weight", {group: lacking}
        yield rf"{group}.*ghost", {group: {**tensors, "ghost": torch.zeros(1)}}
        misshapen = {**tensors, "fc1.weight": tensors["fc1.weight"][:2]}
        yield rf"{group}/fc1\.weight must have shape \(3, 3\), got \(2, 3\)", {group: misshapen}
        wrong = {**tensors, "fc1.weight": tensors["fc1.weight"].to(torch.complex64)}
        yield r"fc1\.weight must be", {group: wrong}
    yield (
        r"births/fc1\.weight must be",
        {"births": {**ticket.births, "fc1.weight": ticket.births["fc1.weight"].long()}},
    )
    for value in (1.0, -1e-30, float("nan")):
        weights = {n: t.clone() for n, t in ticket.weights.items()}
        weights["fc1.weight"][~ticket.masks["fc1.weight"]] = value
        yield r"weights/fc1\.weight must be 0 where its mask is false", {"weights": weights}
    elsewhere = {**ticket.weights, "fc1.weight": torch.zeros(3, 3, device="meta")}
    yield r"weights/fc1\.weight must lie on the CPU", {"weights": elsewhere}
    for odd in (float("nan"), {1, 2}, torch.zeros(1)):
        yield "must be JSON", {"provenance": {"x": odd}}


@pytest.mark.parametrize(("law", "fields"), list(flawed()))
def test_constructor_refuses(law: str, fields: dict[str, Any]) -> None:
    """Every group covers its names in the right shapes and types; pruned weights are 0."""
    ticket = make(kept={"fc1.weight": 4, "output.weight": 6})
    with pytest.raises(InputError, match=law) as caught:
        replace(ticket, **fields)
    assert "\n" not in str(caught.value)


@given(st.data(), SEEDS)
@in_one_folder
def test_cost_and_module_are_the_tickets(data: DataObject, seed: int) -> None:
    """The cost counts its masks; its module computes what its weights do, pruned ones being 0."""
    architecture = data.draw(architectures())
    kept = data.draw(kept_counts(architecture))
    ticket = make(architecture, seed, kept)
    assert ticket.cost == cost(architecture, kept)
    batch = random_batch(architecture, 3, seed)
    logits, _ = network(architecture)(ticket.weights, batch)
    torch.testing.assert_close(ticket.module().eval()(batch), logits, rtol=1e-8, atol=1e-10)


def unsafe(source: str) -> set[str]:
    """What in a module's source can run code that a file holds."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            case ast.Attribute():
                found.add(ast.unparse(node))
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=False)):
                pass
            case ast.keyword(arg="allow_pickle"):
                found.add("pickle by numpy")
    return {
        name for name in found if name.split(".")[0].split()[0] in UNSAFE
    } | found & UNSAFE_CALLS


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads as safe",
        "from torch import load",
        "torch.load(path)",
        "read = torch.load",
        "numpy.load(file, allow_pickle=True)",
    ],
)
def test_unsafe_code_is_seen(source: str) -> None:
    """The reader of the test below sees each way to unpickle, and only those."""
    assert unsafe(source)
    assert not unsafe("from safetensors.torch import load\nnumpy.load(x, allow_pickle=False)")


def test_nothing_that_we_load_can_run() -> None:
    """No module of the package imports pickle or its kin, nor calls torch.load or numpy with it."""
    files = sorted(Path(recursive_lth.__file__).parent.rglob("*.py"))
    assert len(files) > 20
    found = {str(file): unsafe(file.read_text(encoding="utf-8")) for file in files}
    assert not {file: names for file, names in found.items() if names}
