"""Networks of the user's own: what is imported computes the same, and grows, shrinks and returns.

The law throughout: with the module's own weights the pure forward gives the module's own outputs,
in float64, in evaluation and in training mode.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from recursive_lth import seeds
from recursive_lth.architecture.importer import from_module
from recursive_lth.architecture.network import network
from recursive_lth.config import GrowthStep, Pruning
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.grow import grow
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.pruning.units import remove_units
from recursive_lth.ticket.from_module import ticket_from_module
from recursive_lth.ticket.ticket import Ticket


class ResidualMlp(nn.Module):
    """Blocks of Linear and ReLU with x + f(x), one with BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.first = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(0.1), nn.Linear(6, 8))
        self.second = nn.Sequential(
            nn.Linear(8, 7), nn.BatchNorm1d(7), nn.ReLU(inplace=True), nn.Linear(7, 8)
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = x + self.first(x)
        x = F.relu(x)
        y = x
        y += self.second(x)
        return self.head(F.dropout(torch.relu(y), training=self.training))  # type: ignore[no-any-return]


class Dense(nn.Module):
    """A small DenseNet: every layer reads all before it, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding="same")
        self.norm1, self.conv1 = nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(6), nn.Conv2d(6, 3, 1)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(9 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        features.append(self.conv1(F.silu(self.norm1(torch.cat(features, 1)))))
        features.append(self.conv2(F.silu(self.norm2(torch.cat(features, 1)))))
        x = self.pool(torch.cat(features, dim=-3)).tanh()
        return self.head(x.reshape(x.shape[0], -1))  # type: ignore[no-any-return]


class Grouped(nn.Module):
    """A residual block whose middle convolution has 4 groups of 2 channels, and a depthwise one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.groups = nn.Conv2d(2, 8, 1), nn.Conv2d(8, 12, 3, 2, 1, groups=4)
        self.short = nn.Conv2d(2, 12, 1, 2, bias=False)
        self.wide, self.deep = nn.Conv2d(12, 6, 1), nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.pool, self.flat = nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.groups(F.gelu(self.inner(x)))).add(self.short(x))
        y = F.hardswish(self.deep(F.leaky_relu(self.wide(y))))
        return self.head(self.flat(self.pool(y)))  # type: ignore[no-any-return]


OWN: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual mlp": (ResidualMlp, (5,)),
    "dense": (Dense, (3, 8, 8)),
    "grouped": (Grouped, (2, 6, 6)),
}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeds.generator(seed, "images"))


def own(name: str) -> tuple[nn.Module, Tensor]:
    """One of the modules above, its norms no longer at birth, and a batch for it."""
    make, shape = OWN[name]
    with torch.random.fork_rng():
        module = make()
    return lived_in(module), drawn(6, *shape)


def lived_in(module: nn.Module) -> nn.Module:
    """The module with other parameters and statistics, as after a training."""
    generator = seeds.generator(1, "life")
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                is_scale = name.endswith("running_var") or tensor.dim() == 1
                spread = torch.rand(tensor.shape, generator=generator)
                tensor.mul_(spread + 0.5) if is_scale else tensor.add_((spread - 0.5) * 0.1)
    return module.eval()


def check_same(module: nn.Module, ticket: Ticket, batch: Tensor) -> None:
    """A ticket's forward in float64 gives what the module gives, and so does its own module."""
    weights = {name: tensor.double() for name, tensor in ticket.weights.items()}
    with torch.no_grad():
        expected = module.double().eval()(batch.double())
        found, _ = network(ticket.architecture)(weights, batch.double())
        back = ticket.module().double().eval()(batch.double())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(back, found, rtol=1e-10, atol=1e-10)


def check_grows(
    ticket: Ticket,
    batch: Tensor,
    operators: dict[str, str],
    places: tuple[float, ...] = (0.0, 0.5, 1.0),
) -> None:
    """Each growth, at all places, leaves the function as it is and returns as a module."""
    labels = torch.arange(len(batch)) % ticket.architecture.classes
    for operator, initialisation in operators.items():
        for place in places:
            step = GrowthStep(operator, place, 0.3, initialisation)
            sprout = grow(
                ticket, step, Batch(batch, labels), generation=1, generator=seeds.generator(0, "g")
            )
            certificate = sprout.certificate
            assert certificate.claims_exact
            assert max(certificate.eval, certificate.train) <= 1e-10
            assert sprout.ticket.cost.parameters > ticket.cost.parameters
            check_same(sprout.ticket.module(), sprout.ticket, batch)


def check_shrinks(ticket: Ticket, batch: Tensor) -> None:
    """Pruned to half its units it is really smaller, and returns as a module."""
    pruning = Pruning(granularity="unit", rate=0.5, rounds=1, target_density=0.1)
    found = cut(
        ticket, pruning, Evidence(seeds.generator(0, "score")), start=ticket.architecture, done=0
    )
    assert found is not None
    free = ticket.architecture.free_symbols
    units = [
        sum(a.widths[s] for s in free) for a in (ticket.architecture, found.ticket.architecture)
    ]
    assert units[1] == units[0] - round(units[0] / 2)
    assert found.ticket.cost.parameters < ticket.cost.parameters
    check_same(found.ticket.module(), found.ticket, batch)
    for symbol in free[:: 1 + len(free) // 4]:
        stays = torch.arange(ticket.architecture.widths[symbol])[::2]
        smaller, _ = remove_units(ticket, {symbol: stays})
        check_same(smaller.module(), smaller, batch)


def check_returns(module: nn.Module, fresh: nn.Module, ticket: Ticket, batch: Tensor) -> None:
    """What is exported loads strictly into the module's own class, and torch can export it."""
    fresh.load_state_dict(ticket.module().state_dict(), strict=True)
    with torch.no_grad():
        expected = module.float().eval()(batch)
        assert torch.equal(fresh.eval()(batch), expected)
        program = torch.export.export(ticket.module().eval(), (batch,))
        torch.testing.assert_close(program.module()(batch), expected)


@pytest.mark.parametrize("name", OWN)
def test_own_networks(name: str) -> None:
    module, batch = own(name)
    was = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    ticket = ticket_from_module(module, batch)
    assert not module.training
    assert all(torch.equal(tensor, was[key]) for key, tensor in module.state_dict().items())
    assert set(ticket.weights) == {n for n in was if not n.endswith("num_batches_tracked")}
    assert ticket.cost.density == 1.0
    assert not any(bool(births.any()) for births in ticket.births.values())
    check_same(module, ticket, batch)
    check_returns(module, OWN[name][0](), ticket, batch)
    check_shrinks(ticket, batch)


def test_own_networks_grow() -> None:
    """Wider on every stream, deeper behind every single stream; SiLU allows no identity."""
    widths = {"widen": "zero_out", "split": "split_evenly"}
    residual = {"residual": "zero_gamma", "residual_pre": "zero_gamma"}
    for name, operators in {
        "residual mlp": widths | residual | {"deepen": "identity"},
        "dense": widths,
        "grouped": widths | {"residual_pre": "zero_gamma"},
    }.items():
        module, batch = own(name)
        check_grows(ticket_from_module(module, batch), batch, operators)


@pytest.mark.parametrize("name", OWN)
def test_training_mode(name: str) -> None:
    """Without dropout the forward in training mode and the new statistics are the module's too."""
    module, batch = own(name)
    architecture, weights = from_module(module, batch)
    double = {n: tensor.double() for n, tensor in weights.items()}
    module.double().train()
    for inner in module.modules():
        if isinstance(inner, nn.Dropout):
            inner.p = 0.0
    if name == "residual mlp":
        module.training = False  # its functional dropout
    found, statistics = network(architecture)(double, batch.double(), training=True)
    torch.testing.assert_close(found, module(batch.double()))
    for key, tensor in statistics.items():
        torch.testing.assert_close(tensor, module.state_dict()[key])


def test_streams_share_a_symbol() -> None:
    """All that is added has one symbol, named after the first layer that makes it."""
    module, batch = own("residual mlp")
    architecture, _ = from_module(module, batch)
    assert dict(architecture.widths) == {
        "input": 5, "stem": 8, "first.0": 6, "second.0": 7, "head": 3,
    }  # fmt: skip
    makers = ("stem", "first.3", "second.3")
    assert {architecture.layers[name].width for name in makers} == {"stem"}
    assert {"relu", "add", "relu_1", "add_1", "relu_2", "first.1"} < set(architecture.layers)


def test_units_are_groups() -> None:
    """A stream read in 4 groups has 4 units: 8 channels are 2 each, and what comes out 3 each."""
    module, batch = own("grouped")
    architecture, weights = from_module(module, batch)
    assert architecture.widths["inner"] == 4
    multiples = {name: architecture.layers[name].multiple for name in ("inner", "groups", "short")}
    assert multiples == {"inner": 2, "groups": 3, "short": 3}
    assert architecture.layers["short"].width == "inner"
    assert architecture.widths["wide"] == 6
    assert architecture.shape("groups.weight") == tuple(weights["groups.weight"].shape)
    assert architecture.layers["pool"].operation == "meanpool"


def test_masks_from_zeros() -> None:
    """After torch's own pruning the zeros are the mask; dense where it is not asked for."""
    module, batch = own("residual mlp")
    layer = module.get_submodule("first.0")
    prune.l1_unstructured(layer, "weight", amount=0.5)
    prune.remove(layer, "weight")
    assert ticket_from_module(module, batch).cost.density == 1.0
    ticket = ticket_from_module(module, batch, masks_from_zeros=True)
    assert int(ticket.masks["first.0.weight"].sum()) == 24
    assert all(bool(m.all()) for n, m in ticket.masks.items() if n != "first.0.weight")
    check_same(module, ticket, batch)
