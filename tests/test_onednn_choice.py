"""Who multiplies: measured once a run, recorded, and the same for workers, kin and resumed runs."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import search_runs
import torch
from lottery_runs import small
from search_runs import Stop, stopping
from test_choice import CPU, RECIPE, masks
from test_onednn import LARGE, needs_onednn, weights_of

from recursive_lth.architecture.cost import size
from recursive_lth.architecture.zoo import convnet
from recursive_lth.config import TicketExperiment, Training
from recursive_lth.errors import InputError
from recursive_lth.files import read_json
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.lottery.run import prune
from recursive_lth.running import wanted
from recursive_lth.running.crew import fit_here
from recursive_lth.running.engines import plan_of
from recursive_lth.running.job import Job
from recursive_lth.running.start import build
from recursive_lth.running.trainings import Trainings
from recursive_lth.running.wanted import Company, Wanted, companies
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.training import break_even, choice, onednn
from recursive_lth.training.choice import Choices, sparse_layers
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse
from recursive_lth.training.plans import noise


def told(monkeypatch: pytest.MonkeyPatch, blas: float, by_onednn: float) -> list[int]:
    """Have products take so long; one entry a measure."""
    seen: list[int] = []

    def measure() -> tuple[float, float]:
        seen.append(1)
        return blas, by_onednn

    monkeypatch.setattr(choice, "_measure_products", measure)
    return seen


def chosen(
    choices: Choices, recipe: Training = RECIPE, dtype: torch.dtype = torch.float32
) -> tuple[str, ...]:
    return choice.onednn_layers(LARGE, weights_of(LARGE, dtype), recipe, CPU, choices)


def test_the_faster_is_chosen_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For a run; small layers, other precisions and doubtful gains stay with the BLAS."""
    monkeypatch.setattr(onednn, "is_there", lambda: True)
    seen, choices = told(monkeypatch, 2e-3, 1e-3), Choices(tmp_path / "engine.json")
    assert chosen(choices) == chosen(choices) == ("fc1",)
    assert len(seen) == 1
    (times,) = read_json(tmp_path / "engine.json").values()
    assert times == {"blas_us": 2000.0, "onednn_us": 1000.0}
    told(monkeypatch, 1e-3, 9e-4)
    assert chosen(Choices(tmp_path / "engine.json")) == ("fc1",)
    assert chosen(Choices()) == ()
    told(monkeypatch, 2e-3, 1e-3)
    assert chosen(Choices(), Training(batch_size=30)) == ()
    assert chosen(Choices(), Training(batch_size=64, precision="bfloat16")) == ()
    assert chosen(Choices(), dtype=torch.float64) == ()
    assert choice.onednn_layers(convnet((3, 8, 8), 5, (4, 6)), {}, RECIPE, CPU, Choices()) == ()


def test_a_pytorch_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begins with the BLAS and stays with it, and refuses to go on with what another began."""
    measure = choice._measure_products
    told(monkeypatch, 2e-3, 1e-3)
    begun = Choices()
    monkeypatch.setattr(onednn, "is_there", lambda: True)
    assert chosen(begun) == ("fc1",)
    monkeypatch.setattr(onednn, "is_there", lambda: False)
    monkeypatch.setattr(choice, "_measure_products", measure)
    without = Choices()
    assert chosen(without) == ()
    monkeypatch.setattr(onednn, "is_there", lambda: True)
    assert chosen(without) == ()  # nor where it comes to one that has it
    monkeypatch.setattr(onednn, "is_there", lambda: False)
    with pytest.raises(InputError, match=r"by oneDNN, which this PyTorch lacks: go on with"):
        chosen(begun)


def test_an_operator_that_is_gone_or_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        raise AttributeError("_OpNamespace 'mkldnn' object has no attribute '_linear_pointwise'")

    for times in (gone, lambda left, right: left @ right.t() + 1):
        monkeypatch.setattr(onednn, "_times", times)
        assert not onednn.is_there.__wrapped__()


def test_sparse_is_measured_against_the_dense_that_would_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layer that oneDNN would compute is another case, with a measure of its own."""
    choices, few = Choices(), masks(LARGE, 0.05)
    sides: list[bool] = []

    def measure(self: choice.Sides) -> tuple[float, float]:
        sides.append(self.is_by_onednn)
        return (1e-3 if self.is_by_onednn else 3e-3), 2e-3

    monkeypatch.setattr(choice.Sides, "measure", measure)
    assert "fc1" in sparse_layers(LARGE, few, RECIPE, CPU, choices)
    assert "fc1" not in sparse_layers(LARGE, few, RECIPE, CPU, choices, ("fc1",))
    assert sides.count(True) == 1


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """OneDNN does every linear layer, however small and slow."""
    monkeypatch.setattr(onednn, "LEAST_WORK", 1)
    monkeypatch.setattr(choice, "ONEDNN_MARGIN", 1e9)


def bits(experiment: TicketExperiment, out: Path) -> tuple[Any, set[str]]:
    """The lines of a finished run but for seconds, and its tickets' files."""
    stored = prune(experiment, out=out, device="cpu")
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in stored]
    return lines, {path.name for path in out.rglob("*.safetensors")}


@needs_onednn
@pytest.mark.usefixtures("forced")
def test_workers_and_resumed_runs_find_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two processes, none, and one that was stopped; what it took stands in the run's folder."""
    experiment = small("tickets.replicates=2", 'tickets.controls=["reinit"]')
    list(prune(experiment, out=tmp_path / "one", device="cpu"))
    list(prune(experiment, out=tmp_path / "two", device="cpu", workers="2"))
    with suppress(Stop), stopping(Trainings, "next", 1):
        list(prune(experiment, out=tmp_path / "stopped", device="cpu"))
    (path,) = tmp_path.glob("stopped/*/engine.json")
    assert any(found.get("onednn_us") for found in read_json(path).values())
    monkeypatch.setattr(choice, "_measure_products", lambda: (1.0, 1e99))  # known already
    list(prune(experiment, out=tmp_path / "stopped", device="cpu"))
    expected = bits(experiment, tmp_path / "one")
    assert bits(experiment, tmp_path / "two") == expected
    assert bits(experiment, tmp_path / "stopped") == expected
    by_blas = replace(experiment, training=replace(experiment.training, engine="dense"))
    list(prune(by_blas, out=tmp_path / "blas", device="cpu"))
    assert bits(by_blas, tmp_path / "blas")[1] != expected[1]


@needs_onednn
@pytest.mark.usefixtures("forced")
def test_a_company_has_done_by_onednn_what_one_of_its_members_would(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One wide and one narrow member, of which the wide alone is work enough."""
    bench = search_runs.bench_of(search_runs.small(), tmp_path)
    recipe = replace(bench.experiment.training, engine="auto")
    some = []
    for width in (6, 60):
        start = replace(bench.experiment.start, hidden=(width,))
        network = build(start, bench.split.sample_shape, bench.split.classes)
        ticket = seed_ticket(birth(network), torch.Generator().manual_seed(width), "glorot_normal")
        some.append(Wanted(bench, ticket, Job(f"job-{width}", recipe, 7, width)))
    narrow, wide = (size(one.ticket.architecture, "fc1.weight") for one in some)
    monkeypatch.setattr(onednn, "LEAST_WORK", (narrow + wide) // 2 * recipe.batch_size)
    assert [one.plan(is_alone=True) for one in some] == [DENSE, Plan((), ("fc1",))]
    (company,) = companies(some)
    assert company.plan == Plan((), ("fc1",))
    fits = fit_here(company)
    lone = [fit_here(Company((one,), DENSE))[0] for one in some]
    for found, expected in zip(fits, lone, strict=True):
        for name, weight in expected.ticket.weights.items():
            torch.testing.assert_close(found.ticket.weights[name], weight, rtol=0, atol=1e-5)
    monkeypatch.setattr(wanted, "MOST_BY_ONEDNN", 1)
    assert [len(company.members) for company in companies(some)] == [1, 1]


def plan_at(
    density: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_chain: bool
) -> list[Plan]:
    """What a company of large and thin networks plans, by oneDNN and by the BLAS.

    It breaks even at .6 as chains and at .33 by its layers.
    """
    monkeypatch.setattr(
        break_even, "break_even", lambda *given, is_chain: 0.6 if is_chain else 0.33
    )
    bench = search_runs.bench_of(search_runs.small(), tmp_path)
    few, draw = masks(LARGE, density), torch.Generator().manual_seed(0)
    whole = seed_ticket(birth(LARGE), draw, "glorot_normal")
    weights, rewind = (masking.apply(t, few) for t in (whole.weights, whole.rewind))
    ticket = replace(whole, masks=few, weights=weights, rewind=rewind)
    recipe = replace(RECIPE, engine="auto", batch_size=RECIPE.batch_size if is_chain else 1000)
    found = []
    for margin in (1e9, 0.0):
        monkeypatch.setattr(choice, "ONEDNN_MARGIN", margin)
        there = replace(bench, choices=Choices(), batches=noise(LARGE, recipe))
        found.append(plan_of(there, ticket, Job("one", recipe, 7, 0), is_alone=False))
    return found


@needs_onednn
def test_a_company_is_sparse_below_a_density(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By oneDNN is done what is dense and work enough."""
    dense = [Plan((), ("fc1", "fc2")), DENSE]
    assert plan_at(0.5, monkeypatch, tmp_path, is_chain=False) == dense
    assert plan_at(0.35, monkeypatch, tmp_path, is_chain=False) == dense
    sparse = Plan(can_be_sparse(LARGE))
    assert plan_at(0.32, monkeypatch, tmp_path, is_chain=False) == [sparse, sparse]


@needs_onednn
def test_a_company_of_chains_is_sparse_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Below a density of all weights, down to the last layer; the small ones never alone."""
    chain = Plan(("fc1", "fc2", "output"))
    dense = [Plan((), ("fc1",)), DENSE]
    assert plan_at(0.62, monkeypatch, tmp_path, is_chain=True) == dense
    assert plan_at(0.58, monkeypatch, tmp_path, is_chain=True) == [chain, chain]
