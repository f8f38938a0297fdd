"""Critical compression: by bisection, against the closed form and against Tanaka's axiom."""

from dataclasses import replace

import torch
from hypothesis import given
from strategies import SEEDS, architectures, normal_weights

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.pruning.critical import critical_compression
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.pruning.scores import SCORES
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket


def ticket_of(architecture: Architecture, seed: int) -> Ticket:
    whole = seed_ticket(birth(architecture), torch.Generator(), "kaiming_normal")
    return replace(whole, weights=normal_weights(architecture, seed))


@given(architectures(), SEEDS)
def test_a_layer_dies_with_its_largest_weight(architecture: Architecture, seed: int) -> None:
    """A global threshold empties a layer when it passes its maximum.

    So as many weights must stay as are no smaller than the least of the layers' maxima.
    """
    ticket = ticket_of(architecture, seed)
    sizes = [ticket.weights[n].abs().flatten() for n in architecture.prunable]
    weakest = min(float(s.max()) for s in sizes)
    wanted = sum(int((s >= weakest).sum()) for s in sizes)
    found = critical_compression(ticket, SCORES["magnitude"], Evidence(torch.Generator()))
    assert found.remaining == wanted
    assert found.compression == ticket.cost.weights / wanted
    assert found.density == wanted / ticket.cost.weights


def test_synflow_reaches_the_maximum_where_magnitude_does_not() -> None:
    """Tanaka et al. (2020): in 100 rounds SynFlow ends with one weight a layer."""
    architecture = ARCHITECTURES["vgg-11"]((3, 16, 16), 10, (4, 4, 8, 8, 8))
    ticket = seed_ticket(birth(architecture), torch.Generator().manual_seed(1), "kaiming_normal")
    evidence = Evidence(torch.Generator())
    flow = critical_compression(ticket, SCORES["synflow"], evidence, rounds=100)
    size = critical_compression(ticket, SCORES["magnitude"], evidence)
    assert flow.remaining == len(architecture.prunable)
    assert flow.compression == flow.maximal_compression == size.maximal_compression
    assert size.compression < flow.compression / 4
