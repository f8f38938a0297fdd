"""What a network still knows of data that it was trained on before."""

from statistics import fmean

from recursive_lth.study.scene import Scene
from recursive_lth.training.evaluate import accuracy


def own_accuracy(scene: Scene) -> float:
    """Accuracy on the whole validation part of the study's own data, whatever it is trained on."""
    return accuracy(scene.architecture, scene.weights, scene.own.validation)


def forgetting(scene: Scene) -> float | None:
    """The accuracy that it has lost on other data it was trained on before, the mean of each.

    Right after the last training on them less now: the backward transfer of Lopez-Paz & Ranzato
    (2017, arXiv 1706.08840) with its sign changed. Below 0 where it has come to know them better;
    None where there were no other data.
    """
    if not scene.past:
        return None
    return fmean(
        past.accuracy - accuracy(scene.architecture, scene.weights, past.validation)
        for past in scene.past
    )
