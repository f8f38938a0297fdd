"""The measures of a network at rest, read off a scene.

Activations, gradients and curvature are those on the first `samples` training samples, confidence
that on validation samples. What several measures need is made once for a scene.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor

from recursive_lth.study.panel import activity, confidence, curvature, gradients, kernel
from recursive_lth.study.panel.landscape import Landscape, landscape
from recursive_lth.study.panel.measure import Read
from recursive_lth.study.panel.parts import learning, norm
from recursive_lth.study.scene import Scene
from recursive_lth.ticket.masks import Masks
from recursive_lth.training.dormant import dormant_share
from recursive_lth.training.evaluate import logits_of

KERNEL_SAMPLES = 50
T = TypeVar("T")
OfLabels = Callable[[Tensor, Tensor], float | None]  # (logits or kernel, labels) -> number


def dormant(scene: Scene) -> float:
    """The share of dormant units."""
    return dormant_share(scene.architecture, dict(scene.weights), scene.train_samples.images)


def effective_rank(scene: Scene) -> float | None:
    """The effective rank of the last hidden layer's features."""
    found = _features(scene)
    return None if found is None else activity.effective_rank(found)


def srank(scene: Scene) -> float | None:
    """How many directions hold 99 % of the features' singular values."""
    found = _features(scene)
    return None if found is None else float(activity.srank(found))


def of_logits(read: OfLabels) -> Read:
    """A measure of logits and labels, of the validation samples."""

    def measure(scene: Scene) -> float | None:
        return read(_logits(scene), scene.validation_samples.labels)

    return measure


def loss_gap(scene: Scene) -> float | None:
    """Validation loss less training loss."""
    found = _gap(scene)
    return None if found is None else found.loss


def accuracy_gap(scene: Scene) -> float | None:
    """Training accuracy less validation accuracy."""
    found = _gap(scene)
    return None if found is None else found.accuracy


def gradient_norm(scene: Scene) -> float:
    """The norm of the gradient in all that learns."""
    return gradients.gradient_norm(_gradient(scene), learning(scene.architecture, scene.masks))


def gradient_flow(scene: Scene) -> float:
    """Its square."""
    return gradients.gradient_flow(_gradient(scene), learning(scene.architecture, scene.masks))


def gradient_to_weight(scene: Scene, part: Masks) -> float | None:
    """The gradient's norm over the weights', in a part of the network."""
    return gradients.gradient_to_weight(_gradient(scene), scene.weights, part)


def weight_norm(scene: Scene) -> float:
    """The norm of the remaining weights."""
    return norm(scene.ticket.weights, scene.ticket.masks)


def largest_eigenvalue(scene: Scene) -> float:
    """The largest eigenvalue of the loss's Hessian."""
    return curvature.largest_eigenvalue(_around(scene), scene.generator("eigenvalue"))


def hessian_trace(scene: Scene) -> float:
    """The trace of the loss's Hessian."""
    return curvature.hessian_trace(_around(scene), scene.generator("trace"))


def sam_sharpness(scene: Scene) -> float:
    """How far the loss rises nearby."""
    return curvature.sam_sharpness(_around(scene))


def of_kernel(read: OfLabels) -> Read:
    """A measure of the tangent kernel and the labels, of the first 50 training samples."""

    def measure(scene: Scene) -> float | None:
        found = _kernel(scene)
        labels = scene.train_samples.first(KERNEL_SAMPLES).labels
        return read(found, labels) if bool(found.isfinite().all()) else None

    return measure


def kernel_trace(found: Tensor, labels: Tensor) -> float:
    """The kernel's trace over the number of samples."""
    return kernel.kernel_trace(found)


def kernel_condition(found: Tensor, labels: Tensor) -> float:
    """The kernel's condition number."""
    return kernel.kernel_condition(found)


def _once(make: Callable[[Scene], T]) -> Callable[[Scene], T]:
    """What is made of a scene, once for as long as the scene is there."""
    made: WeakKeyDictionary[Scene, T] = WeakKeyDictionary()

    @wraps(make)
    def of(scene: Scene) -> T:
        if scene not in made:
            made[scene] = make(scene)
        return made[scene]

    return of


@_once
def _features(scene: Scene) -> Tensor | None:
    """None where there is no hidden layer, or features are not finite."""
    found = activity.features(scene.architecture, scene.weights, scene.train_samples.images)
    return found if found is not None and bool(found.isfinite().all()) else None


@_once
def _logits(scene: Scene) -> Tensor:
    return logits_of(scene.architecture, scene.weights, scene.validation_samples.images)


@_once
def _gap(scene: Scene) -> confidence.Gap | None:
    return confidence.generalisation_gap(
        scene.architecture, scene.weights, scene.train_samples, scene.validation_samples
    )


@_once
def _gradient(scene: Scene) -> Mapping[str, Tensor]:
    return gradients.loss_gradient(
        scene.architecture, scene.weights, scene.masks, scene.train_samples
    )


@_once
def _around(scene: Scene) -> Landscape:
    return landscape(scene.architecture, scene.weights, scene.masks, scene.train_samples)


@_once
def _kernel(scene: Scene) -> Tensor:
    few = scene.train_samples.first(KERNEL_SAMPLES)
    around = landscape(scene.architecture, scene.weights, scene.masks, few)
    return kernel.tangent_kernel(around)
