"""Every form of a ticket tells what the masked one does; a form that cannot be had says why."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from strategies import random_batch
from test_cli_grow import write_data
from test_units import ticket_of

from recursive_lth.architecture.network import operation
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.cli import main
from recursive_lth.report.latency import HEADERS, latency_table
from recursive_lth.ticket.masks import apply
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training import forms
from recursive_lth.training import latency as timing
from recursive_lth.training.engine import kernel
from recursive_lth.training.latency import latencies

NAMES = ["dense", "masked", "compact", "compact, merged", "sparse", "torch.export", "onnxruntime"]
HAS_ONNX = all(find_spec(name) for name in forms.ONNX)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn repeats, and every layer counts as faster sparse."""
    monkeypatch.setattr(timing, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(forms, "_is_faster_sparse", lambda *_: True)


def masked_ticket(name: str, density: float) -> Ticket:
    """A float32 ticket of 3 x 8 x 8 images in 4 classes."""
    draw = torch.Generator().manual_seed(0)
    ticket = ticket_of(ARCHITECTURES[name]((3, 8, 8), 4, (6, 5)), 0)
    masks = {n: torch.rand(m.shape, generator=draw) < density for n, m in ticket.masks.items()}
    weights = {n: t.float() for n, t in apply(ticket.weights, masks).items()}
    rewind = {n: t.float() for n, t in ticket.rewind.items()}
    return replace(ticket, weights=weights, rewind=rewind, masks=masks)


@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_every_form_tells_what_the_masked_one_does(name: str, in_a_hurry: None) -> None:
    ticket = masked_ticket(name, 0.2)
    images = random_batch(ticket.architecture, 5, 0).float()
    found = latencies(ticket, images, (1, 5))
    assert [(line.batch_size, line.form) for line in found] == [
        (size, form) for size in (1, 5) for form in NAMES
    ]
    largest = float(ticket.module().eval()(images).detach().abs().max())
    for line in found:
        if line.form == "onnxruntime" and not HAS_ONNX:
            assert "pip install" in line.reason
            continue
        assert line.reason == ""
        assert line.seconds is not None
        assert line.low is not None
        assert line.high is not None
        assert 0 < line.low <= line.seconds <= line.high
        assert line.times_as_fast is not None
        assert line.times_as_fast > 0
        if line.form == "dense":
            assert line.times_as_fast == 1
            assert line.largest_change is None
        else:
            assert line.largest_change is not None
            assert line.largest_change <= 1e-5 * largest
    held = {line.form: line.parameters for line in found}
    assert held["dense"] == held["masked"] == ticket.cost.parameters
    assert (held["sparse"] or 0) < (held["compact"] or 0) < ticket.cost.parameters


def test_dense_is_another_function(in_a_hurry: None) -> None:
    ticket = masked_ticket("mlp", 0.2)
    batch = random_batch(ticket.architecture, 3, 0).float()
    dense, masked, *_ = forms.forms(ticket, forms.lightest(ticket, batch), batch)
    assert dense.logits is not None
    assert masked.logits is not None
    with torch.no_grad():
        assert float((dense.logits() - masked.logits()).abs().max()) > 0.1


def test_what_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing packages, layers that are too small to be sparse, and pruned places with values."""
    monkeypatch.setattr(timing, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(forms, "find_spec", lambda _: None)
    monkeypatch.setattr(forms, "MOST_DENSITY", 0.0)
    ticket = masked_ticket("mlp", 0.2)
    batch = random_batch(ticket.architecture, 2, 0).float()
    found = {line.form: line for line in latencies(ticket, batch, (2,))}
    assert found["sparse"].reason == "no layer is faster sparse"
    assert "recursive-lth[onnx]" in found["onnxruntime"].reason
    rows = latency_table([asdict(line) for line in found.values()]).rows
    assert all(len(row) == len(HEADERS) for row in rows)
    assert [row[1] == "–" for row in rows] == [name in {"sparse", "onnxruntime"} for name in NAMES]
    filled = {line.form: line for line in latencies(replace(ticket, is_filled=True), batch, (2,))}
    for name in ("compact", "compact, merged", "sparse"):
        assert "pruned places hold values" in filled[name].reason
    assert filled["torch.export"].largest_change == 0


def test_sparse_layers_are_those_measured_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that a call of the sparse kernel moves less than one of the dense one, or more."""
    clock = {"now": 0.0}
    ticket = masked_ticket("mlp", 0.2)
    batch = random_batch(ticket.architecture, 2, 0).float()
    for name in ("perf_counter", "thread_time"):
        monkeypatch.setattr(f"recursive_lth.training.timing.{name}", lambda: clock["now"])

    def slow(
        make: Callable[..., Callable[..., object]], seconds: float
    ) -> Callable[..., Callable[..., object]]:
        def made(*arguments: object) -> Callable[..., object]:
            def run(*more: object) -> object:
                clock["now"] += seconds
                return make(*arguments)(*more)

            return run

        return made

    for of_dense, of_sparse, wanted in ((2.0, 1.0, True), (1.0, 1.0, False)):
        monkeypatch.setattr(forms, "operation", slow(operation, of_dense))
        monkeypatch.setattr(forms, "kernel", slow(kernel, of_sparse))
        assert forms._is_faster_sparse(ticket, "fc1", batch) == wanted


def test_the_command_shows_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], in_a_hurry: None
) -> None:
    path = masked_ticket("mlp", 0.2).save(tmp_path / "ticket.safetensors")
    data = write_data(tmp_path / "data.npz", (3, 8, 8), classes=4)
    arguments = ["evaluate", str(path), "--data", str(data), "--latency", "--batch-size", "8"]
    assert main([*arguments, "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["latency"]
    assert [line["form"] for line in lines] == NAMES * 2
    assert [line["batch_size"] for line in lines] == [1] * 7 + [8] * 7
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "a batch of 8, in turns" in said
    assert all(said.count(name) >= 2 for name in NAMES)
