"""Companies: the density below which they are sparse is measured once, and kept with the run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from test_choice import CPU, RECIPE, masks

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.running.engines import plan_of
from recursive_lth.running.job import Job
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.training import break_even as module
from recursive_lth.training.break_even import (
    FEW,
    LENET,
    MARGIN,
    TANH,
    TURN,
    TURNS,
    break_even,
    company,
    sparse_together,
)
from recursive_lth.training.choice import Choices
from recursive_lth.training.engine import DENSE, Plan
from recursive_lth.training.together import training_together

ALL, LARGE = ("fc1", "fc2", "output"), ("fc1", "fc2")
Told = Callable[..., list[None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Sets what of the dense time the next sparse steps take; who asked is counted."""
    monkeypatch.setattr(module, "onednn_layers", lambda *given: ())

    def tell(*shares: float) -> list[None]:
        asked, left = list[None](), list(shares)

        def least(*loops: object) -> tuple[float, float]:
            asked.append(None)
            return 1.0, left.pop(0)

        monkeypatch.setattr(module, "_least", least)
        return asked

    return tell


def test_it_lies_where_the_line_of_sparse_times_meets_the_dense_time(told: Told) -> None:
    """The line is through .1 and .4; a density is no less than 0 and no more than 1."""
    for low, high, expected in (
        (0.2, 0.8, 0.1 + 0.3 * (MARGIN - 0.2) / 0.6),
        (MARGIN, 2.0, 0.1),
        (0.5, MARGIN, 0.4),
        (3.0, 4.0, 0.0),
        (0.01, 0.02, 1.0),
        (0.5, 0.4, 0.4),
        (2.0, 1.0, 0.0),
    ):
        asked = told(low, high)
        assert break_even(RECIPE, Choices(), is_chain=True) == pytest.approx(expected)
        assert len(asked) == 2


def test_it_is_measured_once_for_each_kind_and_recipe(told: Told, tmp_path: Path) -> None:
    """A run that goes on reads what it measured; another measures anew."""
    path, asked = tmp_path / "engine.json", told(*[0.2, 0.8] * 4)
    kinds = [
        (RECIPE, True),
        (RECIPE, False),
        (replace(RECIPE, batch_size=32), True),
        (replace(RECIPE, optimizer="sgd"), True),
    ]
    first = [break_even(recipe, Choices(path), is_chain=kind) for recipe, kind in kinds]
    assert len(asked) == 8
    asked = told()
    assert [break_even(recipe, Choices(path), is_chain=kind) for recipe, kind in kinds] == first
    assert not asked
    asked = told(2.0, 3.0)
    assert break_even(RECIPE, Choices(), is_chain=True) == 0
    assert len(asked) == 2


def chosen(network: Architecture, density: float, recipe: Training = RECIPE) -> tuple[str, ...]:
    return sparse_together(network, masks(network, density), recipe, CPU, Choices())


def test_a_chain_is_sparse_whole_below_the_break_even_of_chains(told: Told) -> None:
    """At .475 here; above it, layers that could still be are measured as layers."""
    told(0.2, 0.8)
    assert chosen(LENET, 0.46) == ALL
    asked = told(0.2, 0.8)
    assert chosen(LENET, 0.5) == ()
    assert len(asked) == 2  # no layer is thin enough to be asked about
    asked = told(2.0, 3.0, 0.2, 1.7)  # .25 for layers
    assert chosen(LENET, 0.3) == ()
    assert len(asked) == 4
    told(2.0, 3.0, 0.2, 1.7)
    assert chosen(LENET, 0.2) == LARGE


def test_other_networks_are_sparse_by_their_layers(told: Told) -> None:
    """So are chains of batches that no compiled step takes."""
    large = replace(RECIPE, batch_size=1000)
    for network, recipe, expected in ((TANH, RECIPE, LARGE), (LENET, large, ALL)):
        asked = told(0.2, 1.7)
        assert chosen(network, 0.2, recipe) == expected
        assert len(asked) == 2
        told(0.2, 1.7)
        assert chosen(network, 0.3, recipe) == ()


def test_what_is_small_or_whole_is_not_measured(told: Told) -> None:
    asked = told()
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
    asked = told(0.2, 0.8)
    assert planned(network, recipe) == DENSE
    assert not asked
    assert planned(LENET, RECIPE) == Plan(ALL)
    assert len(asked) == 2


@pytest.mark.parametrize("network", [LENET, TANH])
@pytest.mark.parametrize("plan", [DENSE, Plan(ALL)])
def test_what_is_timed_are_steps_of_a_company(network: Architecture, plan: Plan) -> None:
    """As many as the turns have, of members with masks of their own."""
    members = company(network, 0.1, replace(RECIPE, shift=2))
    assert len(members) == FEW
    assert not torch.equal(members[0].masks["fc1.weight"], members[1].masks["fc1.weight"])
    rounds = list(training_together(members, plan))
    assert [one.number for one in rounds] == list(range(1, TURNS * len(TURN) + 1))
    assert bool(rounds[-1].population.chain) == (network is LENET and plan != DENSE)


def test_thin_companies_are_faster_sparse() -> None:
    """Measured for real: a chain of a tenth of its weights takes some third of the dense time."""
    choices = Choices()
    with_one = replace(RECIPE, batch_size=60)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert break_even(with_one, choices, is_chain=True) > 0.1
    finally:
        torch.set_num_threads(before)
    thin, thick = (v for k, v in choices.measured.items() if k.startswith("company"))
    assert thin["sparse_us"] < 0.9 * thin["dense_us"]
    assert thin["sparse_us"] < thick["sparse_us"]
