"""Plans of networks that train alone: a compiled chain where it was measured to be faster."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_choice import CPU, RECIPE, masks

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.training import plans
from recursive_lth.training.choice import Choices
from recursive_lth.training.engine import DENSE, Plan
from recursive_lth.training.plans import chain_plan, measured_plan, stepping
from recursive_lth.training.timing import STEPS, TURNS

LARGE = mlp((784,), 10, (300, 100))
CHAIN = Plan(("fc1", "fc2", "output"))


def plan_of(
    network: Architecture, density: float, choices: Choices, recipe: Training = RECIPE
) -> Plan:
    """What is planned for a network of which so much remains."""
    weights = {name: torch.zeros(network.shape(name)) for name in network.tensors}
    return measured_plan(network, weights, masks(network, density), recipe, CPU, choices)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], list[None]]:
    """Sets what whole steps are told to take, dense and as a chain; who asked is counted."""

    def tell(dense: float, chain: float) -> list[None]:
        asked: list[None] = []

        def fastest(*steps: object, **how: object) -> dict[str, float]:
            asked.append(None)
            return {"dense": dense, "chain": chain}

        monkeypatch.setattr(plans, "fastest", fastest)
        monkeypatch.setattr(plans, "onednn_layers", lambda *given: ())
        monkeypatch.setattr(plans, "sparse_layers", lambda *given: ("fc1",))
        return asked

    return tell


def test_the_faster_is_chosen_once(
    told: Callable[[float, float], list[None]], tmp_path: Path
) -> None:
    """A run that goes on reads what it measured; another measures anew."""
    path = tmp_path / "engine.json"
    asked = told(2e-3, 1e-3)
    assert plan_of(LARGE, 0.1, Choices(path)) == CHAIN
    assert len(asked) == 1
    asked = told(1e-3, 2e-3)
    assert plan_of(LARGE, 0.1, Choices(path)) == CHAIN
    assert not asked
    assert plan_of(LARGE, 0.1, Choices()) == Plan(("fc1",))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("network", "density", "recipe"),
    [
        (LARGE, 0.1, replace(RECIPE, dropout=0.5)),
        (LARGE, 0.1, replace(RECIPE, precision="bfloat16")),
        (LARGE, 0.1, replace(RECIPE, batch_size=1000)),
        (LARGE, 0.63, RECIPE),
        (mlp((64,), 10, (64,)), 0.01, RECIPE),
        (convnet((3, 32, 32), 10, (64,)), 0.1, RECIPE),
    ],
)
def test_who_is_never_measured_as_a_chain(
    network: Architecture,
    density: float,
    recipe: Training,
    told: Callable[[float, float], list[None]],
) -> None:
    """What keeps its tape, and what is dense or small."""
    asked = told(2.0, 1.0)
    assert plan_of(network, density, Choices(), recipe) == Plan(("fc1",))
    assert not asked


def test_a_graphics_card_has_no_chains() -> None:
    few = masks(LARGE, 0.09)
    assert chain_plan(LARGE, few, RECIPE, CPU) == CHAIN
    assert chain_plan(LARGE, few, RECIPE, torch.device("cuda")) is None


def test_a_thin_network_is_faster_as_a_chain() -> None:
    """Measured for real: at half a percent it is not close."""
    choices = Choices()
    assert plan_of(mlp((1024,), 10, (1024,)), 0.005, choices) == Plan(("fc1", "output"))
    (key,) = (key for key in choices.measured if key.startswith("chain"))
    assert choices.measured[key]["sparse_us"] < choices.measured[key]["dense_us"]


@pytest.mark.parametrize("plan", [DENSE, CHAIN])
def test_what_is_timed_are_steps_of_a_training(plan: Plan) -> None:
    step = stepping(LARGE, masks(LARGE, 0.1), replace(RECIPE, shift=2), plan)
    assert [step().number for _ in range(TURNS * STEPS)] == list(range(1, TURNS * STEPS + 1))
    with pytest.raises(StopIteration):
        step()
