"""Measures of a network against a rival that learns the same: a fresh one, a shaken, its parent."""

from dataclasses import replace

import torch

from recursive_lth.growth.fresh import fresh
from recursive_lth.study.panel.barrier import barrier_above_line, embedded
from recursive_lth.study.panel.drift import line_of
from recursive_lth.study.panel.measure import Read
from recursive_lth.study.panel.probes import accuracy_of, fitted_to
from recursive_lth.study.scene import Scene
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.shrink import shrink_perturb

LONG = 3.0  # epochs
SHRINK, PERTURB = 0.6, 0.1


def further_accuracy(scene: Scene) -> float | None:
    """Validation accuracy after three more epochs of its own data."""
    return accuracy_of(fitted_to(scene, "further", LONG))


def warm_start_gap(scene: Scene) -> float | None:
    """How much better a fresh network like it ends than it does itself, after three epochs each.

    The gap of Ash & Adams (2020, arXiv 1910.08475) is above 0 where a warm start hurts. They warm
    up on half of the data until these are fitted, and train on all until they are; here the network
    counts as warm as it stands, both have its masks, and the same cost instead. So the head start
    counts more than with them, and a gap below 0 says that it outweighs.
    """
    gap = against_fresh(further_accuracy)(scene)
    return None if gap is None else -gap


def shrink_perturb_gain(scene: Scene) -> float | None:
    """How much better it ends after three epochs if it is shrunk and perturbed first.

    Weights times 0.6, and fresh ones times 0.1 added where Ash & Adams (2020) add Gaussian noise:
    above 0 where it had something to lose by its age.
    """
    generator = scene.generator("shrink_perturb")
    moved = shrink_perturb(scene.ticket, SHRINK, PERTURB, generator, scene.initialisation)
    return _difference(further_accuracy(replace(scene, ticket=moved)), further_accuracy(scene))


def barrier_to_parent(scene: Scene) -> float | None:
    """How far the loss rises above the line from the parent, trained on, to the grown network.

    The parent, as it stood before the growth, is trained as its child was: by the same recipe, on
    the same batches, for as many steps. Then it is embedded through the growth, which where that
    preserves the function changes nothing of what it computes. About 0 where growth has left the
    child in the parent's valley (linear mode connectivity, Frankle et al. 2020, arXiv 1912.05671,
    across two architectures, which is ours); None where the network has not just grown.
    """
    learnt = scene.parent.learnt() if scene.parent else None
    return None if learnt is None else barrier_from(scene, learnt)


def barrier_from(scene: Scene, learnt: Ticket) -> float | None:
    """That barrier from the parent with other weights than it grew with; its own give the start."""
    weights = learnt.weights
    for sprout in scene.parent.sprouts if scene.parent else ():
        weights = embedded(weights, sprout)
    inside = replace(scene.before, weights=weights)
    return barrier_above_line(line_of(scene, inside, scene.ticket).losses)


def against_fresh(read: Read) -> Read:
    """The measure less what it is of a fresh network with the same shape and masks.

    The fresh one is trained at equal cost on the same batches, and is one for all arms of a seed
    that have the same masks.
    """

    def difference(scene: Scene) -> float | None:
        return _difference(read(scene), read(replace(scene, ticket=fresh_like(scene))))

    return difference


def fresh_like(scene: Scene) -> Ticket:
    """A network with the scene's shape and masks on fresh weights, drawn as the study's first."""
    ticket = scene.ticket
    values = fresh(ticket.architecture, scene.generator("fresh"), scene.initialisation)
    births = {name: torch.zeros_like(born) for name, born in ticket.births.items()}
    weights = masking.apply(values, ticket.masks)
    return Ticket(ticket.architecture, weights, values, ticket.masks, births)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
