"""Births of what is new: exact where exactness is claimed, and else they say why not."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import SEEDS, architectures, random_batch
from test_grow import BIRTHS, SMALL, UNPAID, lived_in, places, sprout_of
from torch import Tensor

from recursive_lth.architecture.layer import IDEMPOTENT
from recursive_lth.architecture.network import EPSILON, Weights, network
from recursive_lth.architecture.zoo import convnet, mlp, paper_convnet
from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.initialise import INITIALISATIONS, is_preserving, resolve
from recursive_lth.growth.operators import PLACES
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited, transplant

CLAIMED = [birth for birth in BIRTHS if is_preserving(*birth)]
BOUNDS = {torch.float64: 1e-10, torch.float32: 1e-5}
pytestmark = pytest.mark.usefixtures("few_ascents")


def run(
    ticket: Ticket, batch: Tensor, dtype: torch.dtype, *, is_training: bool
) -> tuple[Tensor, Weights]:
    """Logits and new statistics of a ticket in a precision."""
    weights = {name: tensor.to(dtype) for name, tensor in ticket.weights.items()}
    return network(ticket.architecture)(weights, batch.to(dtype), training=is_training)


def worst_change(before: Ticket, sprout: Sprout, batch: Tensor, dtype: torch.dtype) -> float:
    """The largest change in either mode of a logit, or of an inherited running statistic."""
    worst, is_old = 0.0, inherited(sprout.morph)
    for is_training in (False, True):
        logits, statistics = run(before, batch, dtype, is_training=is_training)
        grown, after = run(sprout.ticket, batch, dtype, is_training=is_training)
        worst = max(worst, float((logits - grown).abs().max()))
        assert statistics.keys() <= after.keys()
        new = {name: after[name] for name in statistics}
        for name, value in transplant(statistics, sprout.morph, new).items():
            worst = max(worst, float((after[name] - value)[is_old[name]].abs().max()))
    return worst


@pytest.mark.parametrize(("operator", "initialisation"), CLAIMED)
@pytest.mark.parametrize("kind", SMALL)
def test_claims_are_exact(kind: str, operator: str, initialisation: str) -> None:
    """No logit and no statistic of an old unit moves in either mode, at every second place.

    widen: new units are read with weight 0. deepen: relu(1 * x) = x where x = relu(.). residual:
    relu(x + 0) = x there. Only the order of sums may change, so what is left is rounding.
    """
    ticket = lived_in(SMALL[kind], 1)
    batch = random_batch(ticket.architecture, 16, 2)
    for place in places(ticket.architecture, operator)[::2]:
        sprout = sprout_of(ticket, GrowthStep(operator, place, 0.4, initialisation, "erk"))
        assert sprout.certificate.claims_exact
        assert max(sprout.certificate.eval, sprout.certificate.train) <= BOUNDS[torch.float64]
        for dtype, bound in BOUNDS.items():
            assert worst_change(ticket, sprout, batch, dtype) <= bound


def ought_to_claim(ticket: Ticket, operator: str, initialisation: str, place: float) -> bool:
    """Is a growth there exact, by what its operator's and its birth's docstrings say?

    Twin of the claims, which look at the morph: at what stands at the place. A second activation
    must be idempotent, a silent unit must pass activations of f(0) = 0 only.
    """
    if not is_preserving(operator, initialisation):
        return False
    architecture = ticket.architecture
    at = int(place * len(PLACES[operator](architecture)))
    where = PLACES[operator](architecture)[at]
    if operator in {"deepen", "residual", "bottleneck", "stretch"}:
        operation = architecture.layers[where].operation
        return operation in IDEMPOTENT or operation == "add"
    if initialisation.startswith("gradmax"):
        return not any(
            layer.operation == "sigmoid" and where in {a.symbol for a in row}
            for name, layer in architecture.layers.items()
            for row in [architecture.unit_rows[name]]
        )
    return True


@settings(max_examples=16, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), st.sampled_from(UNPAID), SEEDS)
@pytest.mark.parametrize("operator", INITIALISATIONS)
def test_in_random_architectures_each_birth_is_exact_or_says_so(
    operator: str, data: st.DataObject, mask: str, seed: int
) -> None:
    """Pools, flattens, streams, norms on features, any activation: what claims is exact.

    A claim is made wherever it can be, and where none is made the certificate says why.
    """
    architecture = data.draw(architectures().filter(lambda found: bool(PLACES[operator](found))))
    ticket = lived_in(architecture, seed)
    batch = random_batch(architecture, 8, seed)
    place = data.draw(st.sampled_from(places(architecture, operator)))
    for initialisation in INITIALISATIONS[operator]:
        step = GrowthStep(operator, place, 0.6, initialisation, mask, density=0.5)
        sprout = sprout_of(ticket, step, seed)
        certificate = sprout.certificate
        ought = ought_to_claim(ticket, operator, initialisation, place)
        assert certificate.claims_exact == ought == (not certificate.reason)
        if certificate.claims_exact:
            assert max(certificate.eval, certificate.train) <= BOUNDS[torch.float64]
            assert worst_change(ticket, sprout, batch, torch.float64) <= BOUNDS[torch.float64]


@pytest.mark.parametrize(("operator", "initialisation"), [b for b in BIRTHS if b not in CLAIMED])
@pytest.mark.parametrize("kind", SMALL)
def test_what_does_not_preserve_says_so(kind: str, operator: str, initialisation: str) -> None:
    """No claim, no error, and the certificate bears the change that is really there.

    Far above rounding, in training mode at least: but for `tiny`, which is `zero_out` where that is
    the best that it finds. In evaluation a unit may be shut, or a norm take all of it back but for
    epsilon.
    """
    ticket = lived_in(SMALL[kind], 1)
    batch = random_batch(ticket.architecture, 8, 0)
    for place in places(ticket.architecture, operator)[:1]:
        sprout = sprout_of(ticket, GrowthStep(operator, place, 0.4, initialisation))
        certificate = sprout.certificate
        assert not certificate.claims_exact
        assert certificate.reason == f"{initialisation} changes what the network computes"
        for is_training, told in ((False, certificate.eval), (True, certificate.train)):
            before, _ = run(ticket, batch, torch.float64, is_training=is_training)
            after, _ = run(sprout.ticket, batch, torch.float64, is_training=is_training)
            change = float((before - after).abs().max())
            assert told == pytest.approx(change, rel=1e-9, abs=1e-15)
        assert certificate.train > 1e-6 or initialisation == "tiny"
        assert certificate.samples == 8


@pytest.mark.parametrize("kind", ["convnet", "paper-convnet", "mlp"])
def test_the_papers_identity_doubles(kind: str) -> None:
    """A post-activation block of identities gives relu(x + x / (1 + eps)), near 2x, in eval mode.

    Each fresh norm divides by sqrt(1 + eps), and x >= 0 passes each ReLU. Behind the last site
    only pooling, means and one linear layer follow, all homogeneous, so logits - bias are
    multiplied by the same factor. A perceptron's block has no norm: exactly 2.
    """
    starts = {
        "convnet": convnet((3, 8, 8), 5, (4, 6)),
        "paper-convnet": paper_convnet((3, 16, 16), 5, ()),
        "mlp": mlp((1, 5, 5), 4, (7, 5)),
    }
    ticket = lived_in(starts[kind], 1)
    batch = random_batch(ticket.architecture, 8, 0)
    sprout = sprout_of(ticket, GrowthStep("residual", 1.0, 1.0, "identity_paper"))
    before, _ = run(ticket, batch, torch.float64, is_training=False)
    after, _ = run(sprout.ticket, batch, torch.float64, is_training=False)
    bias = ticket.weights["output.bias"].double()
    factor = 2.0 if kind == "mlp" else 1 + 1 / (1 + EPSILON)
    torch.testing.assert_close(after - bias, factor * (before - bias), rtol=1e-9, atol=1e-12)
    assert sprout.certificate.eval == pytest.approx(
        (factor - 1) * float((before - bias).abs().max()), rel=1e-9
    )
    in_training, _ = run(ticket, batch, torch.float64, is_training=True)
    grown, _ = run(sprout.ticket, batch, torch.float64, is_training=True)
    relative = float((grown - in_training).norm() / (in_training - bias).norm())
    assert relative > 0.3


def test_resolve_and_claims() -> None:
    """Each operator's first is its preserving one; another's name falls back to it.

    A birth claims to preserve the function iff its docstring does not deny it.
    """
    for operator, choices in INITIALISATIONS.items():
        first = next(iter(choices))
        assert resolve(operator, "preserving") == (first, choices[first])
        for name in choices:
            assert resolve(operator, name) == (name, choices[name])
            denial = "Not preserving" in " ".join((choices[name].__doc__ or "").split())
            assert is_preserving(operator, name) == (not denial)
        assert is_preserving(operator, first)
    assert resolve("widen", "identity_paper")[0] == "zero_out"
    with pytest.raises(InputError, match="unknown operator 'wide': did you mean 'widen'"):
        resolve("wide", "preserving")


@pytest.mark.parametrize("operator", INITIALISATIONS)
def test_the_word_preserving_claims_to_preserve(operator: str) -> None:
    """`preserving` stands for the operator's preserving one, so asking about it says true."""
    assert is_preserving(operator, "preserving")
