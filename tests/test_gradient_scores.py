"""Scores that differentiate: against finite differences in float64, and the laws they keep."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from strategies import exact_masks, normal_weights
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.architecture.zoo import ARCHITECTURES, resnet_20
from recursive_lth.config import Pruning
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.pruning.gradient import TAYLOR_BATCH, TEMPERATURE
from recursive_lth.pruning.scores import NEEDS_DATA, SCORES, scoring_cost
from recursive_lth.ticket.masks import apply
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

SHAPE, CLASSES, SAMPLES = (2, 5, 5), 3, 2 * TAYLOR_BATCH
NETWORKS = {"mlp": (4,), "convnet": (2, 2), "resnet-20": (2, 2, 2)}
STEP = 1e-5


def build(name: str, hidden: tuple[int, ...], basis: str = "identity") -> Ticket:
    """A ticket in float64, two thirds of each tensor left, with values to rewind to."""
    architecture = ARCHITECTURES[name](SHAPE, CLASSES, hidden)
    kept = {n: max(1, 2 * architecture_size(architecture, n) // 3) for n in architecture.prunable}
    masks = exact_masks(architecture, kept, 1)
    weights = normal_weights(architecture, 2)
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    return replace(whole, weights=apply(weights, masks), rewind=weights, masks=masks, basis=basis)


def architecture_size(architecture: Architecture, name: str) -> int:
    size = 1
    for n in architecture.shape(name):
        size *= n
    return size


def evidence() -> Evidence:
    draw = torch.Generator().manual_seed(3)
    images = torch.randn(SAMPLES, *SHAPE, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (SAMPLES,), generator=draw)
    return Evidence(draw, images, labels)


def loss_of(
    ticket: Ticket, live: dict[str, Tensor], temperature: float, part: slice = slice(None)
) -> Tensor:
    images, labels = evidence().samples()
    forward = network(ticket.architecture)
    logits, _ = forward(ticket.reading()(live), images[part], training=True)
    return F.cross_entropy(logits / temperature, labels[part])


def slopes(ticket: Ticket, value: Callable[[dict[str, Tensor]], float]) -> dict[str, list[float]]:
    """d value / d w for the first six remaining weights of each tensor, by central differences."""
    found: dict[str, list[float]] = {}
    for name, mask in ticket.masks.items():
        found[name] = []
        for place in mask.nonzero()[:6]:
            ends = []
            for sign in (1, -1):
                moved = ticket.weights[name].clone()
                moved[tuple(place)] += sign * STEP
                ends.append(value(ticket.weights | {name: moved}))
            found[name].append((ends[0] - ends[1]) / (2 * STEP))
    return found


def first(ticket: Ticket, tensors: dict[str, Tensor], name: str) -> list[float]:
    """The entries of a tensor at the places that `slopes` visits."""
    return [float(tensors[name][tuple(p)]) for p in ticket.masks[name].nonzero()[:6]]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("basis", ["identity", "dct"])
def test_snip_is_the_size_of_slope_times_weight(name: str, basis: str) -> None:
    """|dL/dw * w| over the sum of all; the slope by finite differences, in either basis."""
    ticket = build(name, NETWORKS[name], basis)
    scores = SCORES["snip"](ticket, evidence())
    assert sum(float(s.sum()) for s in scores.values()) == pytest.approx(1)
    slope = slopes(ticket, lambda live: float(loss_of(ticket, live, 1.0)))
    ratios = []
    for tensor in ticket.masks:
        wanted = [abs(s * w) for s, w in zip(slope[tensor], first(ticket, ticket.weights, tensor),
                                             strict=True)]  # fmt: skip
        ratios += [
            (found, want) for found, want in zip(first(ticket, scores, tensor), wanted, strict=True)
        ]
    total = sum(want for _, want in ratios) / sum(found for found, _ in ratios)
    for found, want in ratios:
        assert found * total == pytest.approx(want, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_grasp_is_signed_weight_times_hessian_times_gradient(name: str) -> None:
    """Hg is the gradient of half the squared norm of g, here by finite differences.

    Flow is what training can follow, so g is that of the remaining weights alone; a third of each
    tensor is pruned here, and the gradient at those places is far from 0.
    """
    ticket = build(name, NETWORKS[name])
    prunable = list(ticket.architecture.prunable)

    def half_square(live: dict[str, Tensor]) -> float:
        leaves = {n: t.clone().requires_grad_(n in prunable) for n, t in live.items()}
        loss = loss_of(ticket, leaves, TEMPERATURE)
        gradients = torch.autograd.grad(loss, [leaves[n] for n in prunable])
        flow = [g[ticket.masks[n]] for n, g in zip(prunable, gradients, strict=True)]
        return float(torch.cat(flow).square().sum()) / 2

    scores = SCORES["grasp"](ticket, evidence())
    slope = slopes(ticket, half_square)
    signs = set()
    for tensor in prunable:
        for s, w, found in zip(slope[tensor], first(ticket, ticket.weights, tensor),
                               first(ticket, scores, tensor), strict=True):  # fmt: skip
            assert found == pytest.approx(s * w, rel=1e-3, abs=1e-11)
            signs.add(found > 0)
    assert signs == {True, False}


@pytest.mark.parametrize("name", NETWORKS)
def test_taylor_is_the_mean_square_over_batches(name: str) -> None:
    """(dL/dw * w)^2, averaged over batches of 32; the slope of each by finite differences."""
    ticket = build(name, NETWORKS[name])
    scores = SCORES["taylor"](ticket, evidence())
    parts = [slice(i, i + TAYLOR_BATCH) for i in range(0, SAMPLES, TAYLOR_BATCH)]
    by_part = [slopes(ticket, lambda live, p=p: float(loss_of(ticket, live, 1.0, p)))  # type: ignore[misc]
               for p in parts]  # fmt: skip
    for tensor in ticket.masks:
        weights, found = first(ticket, ticket.weights, tensor), first(ticket, scores, tensor)
        for i, weight in enumerate(weights):
            wanted = sum((s[tensor][i] * weight) ** 2 for s in by_part) / len(parts)
            assert found[i] == pytest.approx(wanted, rel=1e-3, abs=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_synflow_is_the_flow_through_a_weight(name: str) -> None:
    """|dR/d|w| * |w||, R the sum of logits on ones, all tensors positive, in evaluation mode."""
    ticket = build(name, NETWORKS[name])
    positive = replace(ticket, weights={n: t.abs() for n, t in ticket.weights.items()})
    ones = torch.ones(1, *SHAPE, dtype=torch.float64)
    forward = network(ticket.architecture)
    slope = slopes(positive, lambda live: float(forward(live, ones)[0].sum()))
    scores = SCORES["synflow"](ticket, Evidence(torch.Generator()))
    for tensor in ticket.masks:
        for s, w, found in zip(slope[tensor], first(ticket, positive.weights, tensor),
                               first(ticket, scores, tensor), strict=True):  # fmt: skip
            assert found == pytest.approx(abs(s * w), rel=1e-4, abs=1e-9)


def test_synflow_is_conserved_from_layer_to_layer() -> None:
    """Without biases and norms R is linear in each layer, so the scores of each layer sum to R.

    The conservation law of Tanaka et al. (2020).
    """
    ticket = build("mlp", (4, 3))
    bare = {n: torch.zeros_like(t) if n.endswith("bias") else t for n, t in ticket.weights.items()}
    scores = SCORES["synflow"](replace(ticket, weights=bare), Evidence(torch.Generator()))
    totals = [float(score.sum()) for score in scores.values()]
    assert totals == pytest.approx([totals[0]] * len(totals), rel=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_synflow_takes_the_size_of_what_fills_pruned_places(name: str) -> None:
    """A filled ticket runs as a dense one that holds the rewind values where it is pruned.

    So the scores of its remaining weights are that dense ticket's, every tensor positive.
    """
    ticket = replace(build(name, NETWORKS[name]), is_filled=True)
    whole = {n: ticket.weights[n].where(m, ticket.rewind[n]) for n, m in ticket.masks.items()}
    dense = replace(
        ticket,
        weights=ticket.weights | whole,
        masks={n: torch.ones_like(m) for n, m in ticket.masks.items()},
        is_filled=False,
    )
    found, wanted = (SCORES["synflow"](t, Evidence(torch.Generator())) for t in (ticket, dense))
    for tensor, mask in ticket.masks.items():
        assert bool((wanted[tensor][mask] > 0).any())
        torch.testing.assert_close(found[tensor][mask], wanted[tensor][mask], rtol=1e-12, atol=0)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("basis", ["identity", "dct"])
def test_every_score_on_every_network(score: str, name: str, basis: str) -> None:
    """Finite, on the CPU, of each tensor's shape, the same twice; the ticket stays as it is."""
    ticket = build(name, NETWORKS[name], basis)
    digest = replace(ticket).digest
    tally = {n: t.sin() for n, t in ticket.rewind.items()}
    seen = [SCORES[score](ticket, replace(evidence(), tally=tally)) for _ in range(2)]
    for tensor in ticket.architecture.prunable:
        one, other = (scores[tensor] for scores in seen)
        assert tuple(one.shape) == ticket.architecture.shape(tensor)
        assert one.dtype.is_floating_point
        assert one.device.type == "cpu"
        assert not one.requires_grad
        assert bool(one.isfinite().all())
        assert torch.equal(one, other)
    assert replace(ticket).digest == digest


@pytest.mark.parametrize("score", sorted(NEEDS_DATA))
def test_a_score_of_samples_asks_for_them(score: str) -> None:
    with pytest.raises(InputError, match="give it training samples"):
        SCORES[score](build("mlp", (4,)), Evidence(torch.Generator()))


@pytest.mark.parametrize("score", sorted(SCORES))
def test_a_score_costs_what_torch_counts(score: str) -> None:
    """Its products of matrices, but for what is not differentiated: the gradient of the input."""
    architecture = resnet_20((3, 8, 8), 10, (8, 8, 8))
    ticket = seed_ticket(birth(architecture), seeds.generator(0, "score"), "kaiming_normal")
    evidence = Evidence(torch.Generator(), torch.rand(20, 3, 8, 8), torch.arange(20) % 10)
    if score not in NEEDS_DATA:
        evidence = Evidence(torch.Generator(), tally=ticket.weights)
    with FlopCounterMode(display=False) as counter:
        SCORES[score](ticket, evidence)
    pruning = Pruning(score=score, score_rounds=1)
    found = scoring_cost(ticket, pruning, evidence)
    assert counter.get_total_flops() / 2 == pytest.approx(found, rel=0.03)
    assert scoring_cost(ticket, replace(pruning, score_rounds=7), evidence) == 7 * found
