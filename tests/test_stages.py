"""Stages and checkpoints: there wholly or not at all, and the same bits when they come back."""

import json
import os
from pathlib import Path

import pytest
import torch
from search_runs import Stop, stopping

from recursive_lth import seeds
from recursive_lth.architecture.zoo import mlp
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.running import stages as module
from recursive_lth.running.stages import Checkpoint, Stages
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

RECORD = {"rows": [{"loss": 0.1 + 0.2, "val_loss": None, "round": 1}], "cost": 2**60, "steps": 3}
ROWS = [{"epoch": 1.0, "loss": 1 / 3, "val_loss": None}]


def a_ticket(seed: int = 0) -> Ticket:
    """The first ticket of a small network."""
    whole = birth(mlp((1, 2, 2), 3, (4,)))
    return seed_ticket(whole, seeds.generator(seed), "kaiming_normal")


def a_checkpoint(step: int) -> Checkpoint:
    """Weights, moments and counts of several types."""
    draw = seeds.generator(step)
    names = ("fc1.weight", "stage1.block1.conv.weight")
    groups = {
        kind: {name: torch.randn(3, 2, generator=draw) for name in names}
        for kind in ("weights", "exp_avg")
    }
    groups["step"] = {name: torch.tensor(float(step)) for name in names}
    return Checkpoint(step, ROWS, groups)


def check_same(found: Checkpoint | None, wanted: Checkpoint) -> None:
    """Step, rows and every tensor, bit for bit."""
    assert found is not None
    assert (found.step, found.rows) == (wanted.step, wanted.rows)
    assert found.groups.keys() == wanted.groups.keys()
    for group, tensors in wanted.groups.items():
        assert found.groups[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(found.groups[group][name], tensor)
            assert found.groups[group][name].dtype == tensor.dtype


def test_a_stored_stage_comes_back(tmp_path: Path) -> None:
    """The same ticket and, through JSON, the same numbers to the last bit; others are not there."""
    stages, ticket = Stages(tmp_path / "work" / "stages"), a_ticket()
    assert stages.recall("0001-grow") is None
    stages.store("0001-grow", ticket, RECORD)
    found = stages.recall("0001-grow")
    assert found is not None
    assert found[0].digest == ticket.digest
    assert found[1] == RECORD
    assert stages.recall("0001-prune-1") is None
    stages.store("0001-grow", a_ticket(1), RECORD)
    again = stages.recall("0001-grow")
    assert again is not None
    assert again[0].digest == a_ticket(1).digest != ticket.digest


@pytest.mark.parametrize("writes", [0, 1])
def test_a_stage_counts_from_its_record_on(tmp_path: Path, writes: int) -> None:
    """Stopped before the ticket or between ticket and record, the stage is not there."""
    stages = Stages(tmp_path)
    with pytest.raises(Stop), stopping(os, "replace", writes):
        stages.store("0001-grow", a_ticket(), RECORD)
    assert stages.recall("0001-grow") is None
    assert len(list(tmp_path.glob("*.safetensors"))) == writes
    stages.store("0001-grow", a_ticket(), RECORD)
    assert stages.recall("0001-grow") is not None


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    """Also when it replaces an earlier one, and only under its own name."""
    stages = Stages(tmp_path)
    assert stages.load_checkpoint("0000-train") is None
    stages.save_checkpoint("0000-train", a_checkpoint(7))
    check_same(stages.load_checkpoint("0000-train"), a_checkpoint(7))
    stages.save_checkpoint("0000-train", a_checkpoint(14))
    check_same(stages.load_checkpoint("0000-train"), a_checkpoint(14))
    assert stages.load_checkpoint("0000-trai") is None


def test_rows_come_back_in_their_own_order(tmp_path: Path) -> None:
    """They are written to metrics.jsonl as they are: another order of names is another file."""
    stages = Stages(tmp_path)
    rows = [{"step": 7, "epoch": 1.0, "loss": 0.5}]
    stages.save_checkpoint("0000-train", Checkpoint(7, rows, a_checkpoint(7).groups))
    found = stages.load_checkpoint("0000-train")
    assert found is not None
    assert json.dumps(found.rows) == json.dumps(rows)


def test_live_tensors_are_written_as_they_are_now(tmp_path: Path) -> None:
    """Parameters in training need gradients, and may be views: their values are what is kept."""
    weights = torch.arange(6.0).reshape(2, 3).requires_grad_()
    stages = Stages(tmp_path)
    stages.save_checkpoint("a", Checkpoint(1, [], {"weights": {"w": weights, "v": weights.t()}}))
    found = stages.load_checkpoint("a")
    assert found is not None
    assert torch.equal(found.groups["weights"]["v"], torch.arange(6.0).reshape(2, 3).t())
    assert not found.groups["weights"]["w"].requires_grad


def test_a_finished_stage_needs_no_checkpoint(tmp_path: Path) -> None:
    """Storing drops the stage's own checkpoint, not another's; clearing drops all."""
    stages = Stages(tmp_path / "stages")
    for name in ("0001-grow", "0001-prune-1"):
        stages.save_checkpoint(name, a_checkpoint(7))
    stages.store("0001-grow", a_ticket(), RECORD)
    assert stages.load_checkpoint("0001-grow") is None
    assert stages.load_checkpoint("0001-prune-1") is not None
    stages.clear()
    stages.clear()
    assert stages.recall("0001-grow") is None
    assert stages.load_checkpoint("0001-prune-1") is None
    assert not (tmp_path / "stages").exists()


@pytest.mark.parametrize("end", [".safetensors", ".json"])
@pytest.mark.parametrize("harm", ["cut", "turned", "gone"])
def test_a_damaged_stage_is_not_there(tmp_path: Path, end: str, harm: str) -> None:
    """Ticket or record: it is computed again, never taken."""
    stages = Stages(tmp_path)
    stages.store("0001-grow", a_ticket(), RECORD)
    hurt(tmp_path / f"0001-grow{end}", harm)
    assert stages.recall("0001-grow") is None
    stages.store("0001-grow", a_ticket(), RECORD)
    assert stages.recall("0001-grow") is not None


@pytest.mark.parametrize("harm", ["cut", "turned", "gone"])
def test_a_damaged_checkpoint_is_not_there(tmp_path: Path, harm: str) -> None:
    """Also where a single bit of a weight is another."""
    stages = Stages(tmp_path)
    stages.save_checkpoint("0001-grow", a_checkpoint(7))
    hurt(next(tmp_path.iterdir()), harm)
    assert stages.load_checkpoint("0001-grow") is None


def hurt(path: Path, harm: str) -> None:
    """Cut a file off in the middle, turn its first or (of tensors) last bits, or lose it."""
    content = path.read_bytes()
    place = 0 if path.suffix == ".json" else len(content) - 9
    turned = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    path.write_bytes(content[: len(content) // 2] if harm == "cut" else turned)
    if harm == "gone":
        path.unlink()


def test_records_are_json(tmp_path: Path) -> None:
    """What is stored can be read without us."""
    Stages(tmp_path).store("0001-grow", a_ticket(), RECORD)
    assert json.loads((tmp_path / "0001-grow.json").read_text("utf-8")) == RECORD
    assert module.Stages(tmp_path).recall("0001-grow") is not None
