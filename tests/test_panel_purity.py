"""Measuring changes nothing: no tensor, no global randomness, and the same number twice."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_landscape import ARCHITECTURES, Case, case
from test_grow import SMALL, lived_in, sprout_of
from torch import Tensor

from recursive_lth.config import GrowthStep
from recursive_lth.study.panel.activity import effective_rank, features, srank
from recursive_lth.study.panel.barrier import embedded, line_between
from recursive_lth.study.panel.batch_statistics import reestimated
from recursive_lth.study.panel.confidence import (
    calibration_error,
    generalisation_gap,
    over_confidence,
    temperature,
)
from recursive_lth.study.panel.curvature import (
    hessian_trace,
    largest_eigenvalue,
    sam_sharpness,
)
from recursive_lth.study.panel.distances import cosine, relative_distance, sign_agreement
from recursive_lth.study.panel.gradients import (
    gradient_flow,
    gradient_norm,
    gradient_to_weight,
    loss_gradient,
)
from recursive_lth.study.panel.kernel import (
    kernel_alignment,
    kernel_condition,
    kernel_trace,
    tangent_kernel,
)
from recursive_lth.study.panel.landscape import landscape
from recursive_lth.study.panel.mask_drift import mask_drift
from recursive_lth.study.panel.parts import by_birth, by_layer, learning
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import logits_of


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def ticket_of(given: Case) -> Ticket:
    births = {n: torch.zeros(m.shape, dtype=torch.int16) for n, m in given.masks.items()}
    rewind = {n: t / 2 for n, t in given.weights.items()}
    return Ticket(given.architecture, given.weights, rewind, given.masks, births)


def of_landscapes(given: Case) -> list[object]:
    around = landscape(given.architecture, given.weights, given.masks, given.samples)
    return [
        largest_eigenvalue(around, seeded(), products=5),
        hessian_trace(around, seeded(), probes=2),
        sam_sharpness(around),
    ]


def of_kernels(given: Case) -> list[object]:
    kernel = tangent_kernel(given.landscape())
    kept = kernel.clone()
    found = [
        kernel_trace(kernel),
        kernel_condition(kernel),
        kernel_alignment(kernel, given.samples.labels),
    ]
    assert torch.equal(kernel, kept)
    return [*found, kernel.tolist()]


def of_gradients(given: Case) -> list[object]:
    found = loss_gradient(given.architecture, given.weights, given.masks, given.samples)
    masks = learning(given.architecture, given.masks)
    births = ticket_of(given).births
    return [
        gradient_norm(found, masks),
        gradient_flow(found, masks),
        gradient_to_weight(found, given.weights, given.masks),
        [gradient_norm(found, part) for part in by_layer(masks).values()],
        [gradient_norm(found, part) for part in by_birth(given.masks, births).values()],
    ]


def of_distances(given: Case) -> list[object]:
    ticket = ticket_of(given)
    return [
        measure(ticket.weights, ticket.rewind, ticket.masks)
        for measure in (relative_distance, sign_agreement, cosine)
    ]


def of_activity(given: Case) -> list[object]:
    found = features(given.architecture, given.weights, given.samples.images)
    return [] if found is None else [effective_rank(found), srank(found)]


def of_confidence(given: Case) -> list[object]:
    logits = logits_of(given.architecture, given.weights, given.samples.images)
    labels = given.samples.labels
    gap = generalisation_gap(given.architecture, given.weights, given.samples, given.samples)
    return [
        gap,
        *(m(logits, labels) for m in (over_confidence, temperature, calibration_error)),
    ]


def of_masks(given: Case) -> list[object]:
    ticket = ticket_of(given)
    return [mask_drift(ticket, replace(ticket, weights=ticket.weights), 0.3)]


def of_lines(given: Case) -> list[object]:
    images = given.samples.images
    other = {n: 2 * t for n, t in given.weights.items()}
    return [
        line_between(
            given.architecture, given.weights, other, given.samples, points=3, images=images
        ),
        [t.tolist() for t in reestimated(given.architecture, given.weights, images).values()],
    ]


FAMILIES: dict[str, Callable[[Case], list[object]]] = {
    "landscapes": of_landscapes,
    "kernels": of_kernels,
    "gradients": of_gradients,
    "distances": of_distances,
    "activity": of_activity,
    "confidence": of_confidence,
    "masks": of_masks,
    "lines": of_lines,
}


def everything(given: Case) -> dict[str, Tensor]:
    """Each tensor that a measure is given."""
    return {
        **{f"weights/{n}": t for n, t in given.weights.items()},
        **{f"masks/{n}": t for n, t in given.masks.items()},
        "images": given.samples.images,
        "labels": given.samples.labels,
    }


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("family", FAMILIES)
def test_measuring_changes_nothing(family: str, name: str) -> None:
    """Tensors keep their values and hold no gradient; torch, numpy and Python draw on as before."""
    given = case(name)
    before = {n: t.clone() for n, t in everything(given).items()}
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()  # noqa: NPY002
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    first, second = FAMILIES[family](given), FAMILIES[family](given)
    assert first == second
    assert len(first) > 0 or (family, name) == ("activity", "linear")
    for label, tensor in everything(given).items():
        assert torch.equal(tensor, before[label]), label
        assert tensor.grad is None
        assert not tensor.requires_grad
    assert torch.equal(torch.get_rng_state(), states[0])
    assert str(np.random.get_state()) == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)


def test_embedding_changes_nothing() -> None:
    parent = lived_in(SMALL["mlp"], 0)
    sprout = sprout_of(parent, GrowthStep("split", 0.5, 0.5))
    digests = [replace(t).digest for t in (parent, sprout.ticket)]  # a ticket keeps its own
    one, two = (embedded(parent.weights, sprout) for _ in range(2))
    assert all(torch.equal(one[n], two[n]) for n in two)
    assert [replace(t).digest for t in (parent, sprout.ticket)] == digests
