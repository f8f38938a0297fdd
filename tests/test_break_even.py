"""Companies: the density below which they are sparse is measured once, and kept with the run."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lottery_runs import small
from search_runs import Stop, stopping
from test_choice import CPU, RECIPE, masks
from test_onednn_choice import bits

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.files import read_json
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.lottery.run import prune
from recursive_lth.running.engines import plan_of
from recursive_lth.running.job import Job
from recursive_lth.running.trainings import Trainings
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.training import break_even as module
from recursive_lth.training import choice, plans
from recursive_lth.training.break_even import (
    DENSITIES,
    FEW,
    GRID,
    LENET,
    MARGIN,
    MOST,
    TANH,
    break_even,
    company,
    sparse_together,
)
from recursive_lth.training.choice import Choices
from recursive_lth.training.device import pinned
from recursive_lth.training.engine import DENSE, Plan
from recursive_lth.training.lesson import MOST_SAMPLES
from recursive_lth.training.timing import STEPS, TURNS
from recursive_lth.training.together import training_together

ALL, LARGE = ("fc1", "fc2", "output"), ("fc1", "fc2")
LATER = (0.2, 0.8)  # of the dense time: breaks even at .6
Told = Callable[..., list[None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Sets what of the dense time the next thin and thick steps take; who asked is counted."""
    monkeypatch.setattr(module, "onednn_layers", lambda *given: ())

    def tell(*shares: tuple[float, float]) -> list[None]:
        asked, left = list[None](), list(shares)

        def measure(*given: object, is_chain: bool) -> dict[str, float]:
            asked.append(None)
            thin, thick = left.pop(0)
            return {"dense": 1.0, "thin": thin, "thick": thick}

        monkeypatch.setattr(module, "_measure", measure)
        return asked

    return tell


def test_it_lies_where_the_line_of_sparse_times_meets_the_dense_time(told: Told) -> None:
    """The line is through .1 and .5; what is found is a twentieth, no less than 0, at most .8."""
    low, high = DENSITIES
    for thin, thick, expected in (
        (0.2, 0.8, low + (high - low) * (MARGIN - 0.2) / 0.6),
        (MARGIN, 2.0, low),
        (0.5, MARGIN, high),
        (3.0, 4.0, 0.0),
        (0.01, 0.02, MOST),
        (0.50, 0.49, MOST),
        (2.0, 1.0, 0.0),
    ):
        asked = told((thin, thick))
        found = break_even(RECIPE, Choices(), is_chain=True)
        assert found <= expected + 1e-9 < found + 1 / GRID
        assert found * GRID == pytest.approx(round(found * GRID))
        assert len(asked) == 1


def test_it_is_measured_once_for_each_kind_and_recipe(told: Told, tmp_path: Path) -> None:
    """A run that goes on reads what it measured; another measures anew."""
    kinds = [
        (RECIPE, True),
        (RECIPE, False),
        (replace(RECIPE, batch_size=32), True),
        (replace(RECIPE, optimizer="sgd"), True),
        (replace(RECIPE, clip_norm=1.0), True),
    ]
    path, asked = tmp_path / "engine.json", told(*[LATER] * len(kinds))
    first = [break_even(recipe, Choices(path), is_chain=kind) for recipe, kind in kinds]
    assert len(asked) == len(kinds)
    asked = told()
    assert [break_even(recipe, Choices(path), is_chain=kind) for recipe, kind in kinds] == first
    assert not asked
    asked = told((2.0, 3.0))
    assert break_even(RECIPE, Choices(), is_chain=True) == 0
    assert len(asked) == 1


def test_large_batches_are_told_by_smaller_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a recipe of whole data sets would take minutes to be measured."""
    seen: list[int] = []

    def measure(recipe: Training, *given: object, is_chain: bool) -> dict[str, float]:
        seen.append(recipe.batch_size)
        return {"dense": 1.0, "thin": 0.2, "thick": 0.8}

    monkeypatch.setattr(module, "_measure", measure)
    monkeypatch.setattr(module, "onednn_layers", lambda *given: ())
    choices = Choices()
    for size in (64, 5000, 100_000):
        break_even(replace(RECIPE, batch_size=size), choices, is_chain=False)
    assert seen == [64, MOST_SAMPLES]


def chosen(network: Architecture, density: float, recipe: Training = RECIPE) -> tuple[str, ...]:
    return sparse_together(network, masks(network, density), recipe, CPU, Choices())


def test_a_chain_is_sparse_whole_below_the_break_even_of_chains(told: Told) -> None:
    """At .6 here; above it, layers that could still be are measured as layers."""
    told(LATER)
    assert chosen(LENET, 0.58) == ALL
    asked = told(LATER)
    assert chosen(LENET, 0.62) == ()
    assert len(asked) == 1  # no layer is thin enough to be asked about
    for density, expected in ((0.3, ()), (0.2, LARGE)):
        asked = told((2.0, 3.0), (0.2, 2.2))  # layers break even at .25
        assert chosen(LENET, density) == expected
        assert len(asked) == 2


def test_other_networks_are_sparse_by_their_layers(told: Told) -> None:
    """So are chains of batches that no compiled step takes."""
    large = replace(RECIPE, batch_size=1000)
    for network, recipe, expected in ((TANH, RECIPE, LARGE), (LENET, large, ALL)):
        for density, sparse in ((0.2, expected), (0.3, ())):
            asked = told((0.2, 2.2))
            assert chosen(network, density, recipe) == sparse
            assert len(asked) == 1


def test_what_is_small_or_thick_is_not_measured(told: Told) -> None:
    """Thick: above the most that a break-even can be."""
    asked = told()
    assert chosen(LENET, MOST + 0.01) == ()
    assert chosen(mlp((64,), 10, (64, 32)), 0.01) == ()
    assert chosen(LENET, 1.0) == ()
    few = masks(LENET, 0.01)
    assert sparse_together(LENET, few, RECIPE, torch.device("cuda"), Choices()) == ()
    assert not asked


def planned(network: Architecture, recipe: Training, density: float = 0.1) -> Plan:
    """What a run plans for a network that may have company."""
    draw = torch.Generator().manual_seed(0)
    few, whole = masks(network, density), seed_ticket(birth(network), draw, "glorot_normal")
    weights = masking.apply(whole.weights, few)
    ticket = replace(whole, masks=few, weights=weights, rewind=weights)
    bench = cast("Any", SimpleNamespace(batches=company(LENET, 1, RECIPE)[0].data))
    bench.choices = Choices()
    job = Job("one", replace(recipe, engine="auto"), 7, 0)
    return plan_of(bench, ticket, job, is_alone=False)


@pytest.mark.parametrize(
    ("network", "recipe"),
    [
        (LENET, replace(RECIPE, dropout=0.5)),
        (LENET, replace(RECIPE, precision="bfloat16")),
        (convnet((1, 28, 28), 10, (64,)), RECIPE),
    ],
)
def test_who_never_has_company_is_not_measured_for_it(
    network: Architecture, recipe: Training, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recursive_lth.running.engines.onednn_layers", lambda *given: ())
    asked = told(LATER)
    assert planned(network, recipe) == DENSE
    assert not asked
    assert planned(LENET, RECIPE) == Plan(ALL)
    assert len(asked) == 1


def test_plans_are_measured_at_the_batch_there_is(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe may ask for more samples than there are: in this case for twice as many."""
    monkeypatch.setattr("recursive_lth.running.engines.onednn_layers", lambda *given: ())
    seen: list[int] = []
    usual = module.break_even

    def asked(recipe: Training, *given: Any, **more: Any) -> float:
        seen.append(recipe.batch_size)
        return usual(recipe, *given, **more)

    monkeypatch.setattr(module, "break_even", asked)
    told(LATER)
    there = len(company(LENET, 1, RECIPE)[0].data)
    assert planned(LENET, replace(RECIPE, batch_size=2 * there)) == Plan(ALL)
    assert seen == [there]


@pytest.mark.parametrize("network", [LENET, TANH])
@pytest.mark.parametrize("plan", [DENSE, Plan(ALL)])
def test_what_is_timed_are_steps_of_a_company(network: Architecture, plan: Plan) -> None:
    """As many as the turns have, of members with masks of their own."""
    members = company(network, 0.1, replace(RECIPE, shift=2))
    assert len(members) == FEW
    assert not torch.equal(members[0].masks["fc1.weight"], members[1].masks["fc1.weight"])
    rounds = list(training_together(members, plan))
    assert [one.number for one in rounds] == list(range(1, TURNS * STEPS + 1))
    assert bool(rounds[-1].population.chain) == (network is LENET and plan != DENSE)


@pytest.mark.parametrize("is_chain", [True, False])
def test_thin_companies_are_faster_sparse(*, is_chain: bool) -> None:
    """Measured for real: a chain of a tenth of its weights takes some third of the dense time."""
    choices = Choices()
    with pinned(1):
        found = break_even(replace(RECIPE, batch_size=60), choices, is_chain=is_chain)
    (times,) = (v for k, v in choices.measured.items() if k.startswith("company"))
    assert 0 < times["thin_us"] < times["thick_us"]
    if is_chain:
        assert times["thin_us"] < 0.9 * times["dense_us"]
        assert found >= 0.1


def test_a_run_that_goes_on_keeps_to_what_it_measured(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To the same bits; had it measured anew they were others."""
    monkeypatch.setattr(choice, "LEAST_WORK", 1)
    monkeypatch.setattr(plans, "fastest", lambda *given, **how: {"dense": 2.0, "chain": 1.0})
    experiment = small("tickets.replicates=2", 'tickets.controls=["reinit"]', "pruning.rate=0.5")
    asked = told(LATER, LATER, (2.0, 3.0), (2.0, 3.0))
    list(prune(experiment, out=tmp_path / "one", device="cpu"))
    with suppress(Stop), stopping(Trainings, "next", 2):
        list(prune(experiment, out=tmp_path / "stopped", device="cpu"))
    assert len(asked) == 2
    (path,) = tmp_path.glob("stopped/*/engine.json")
    assert any(key.startswith("company") for key in read_json(path))
    list(prune(experiment, out=tmp_path / "stopped", device="cpu"))
    assert len(asked) == 2
    list(prune(experiment, out=tmp_path / "other", device="cpu"))
    assert len(asked) == 4  # chains and, as they are dense, layers
    one, stopped, other = (bits(experiment, tmp_path / n) for n in ("one", "stopped", "other"))
    assert stopped == one
    assert other != one
