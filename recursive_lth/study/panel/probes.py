"""What a network can still learn: measures that train copies of it, each for a stated cost.

Costs are multiply-adds in epochs of the dense start network, so that networks of any size are
probed at equal cost; recipe and batches are the same for all arms of a seed. A training that
diverges says nothing: None. Measures that want the same training share it.

What the early phase of a training needs (Frankle et al. 2020, arXiv 2002.10365) are arms and no
measures: with tasks `blurred` (pixels="blurred"), `turned` (labels="rotation") and `nonsense`
(labels="random"), arms such as ["train 0.5 on=blurred", "train 3"] and ["train 0.5", "train 3"]
tell what the first half epoch has to be.
"""

import itertools
from types import MappingProxyType

from recursive_lth.running.fit import Fitted
from recursive_lth.study.panel.barrier import barrier
from recursive_lth.study.panel.drift import line_of
from recursive_lth.study.panel.speed import area
from recursive_lth.study.scene import Changes, Scene
from recursive_lth.training.evaluate import accuracy, evaluate
from recursive_lth.training.samples import Samples

DRAW = 1_000_000  # of permutations and labels that no task of a study has met
NEW_LABELS: Changes = MappingProxyType({"labels": "permuted", "label_noise": 0.0, "draw": DRAW})
NEW_TASK: Changes = MappingProxyType({**NEW_LABELS, "pixels": "permuted"})
OWN: Changes = MappingProxyType({})
SHORT = 1.0  # epochs
PASSES = 30  # through the random labels
LOOKS = 10


def random_label_fit(scene: Scene) -> float | None:
    """The share of random labels that it knows by heart after 30 passes, in [0, 1].

    The ability to fit what has no rule (Zhang et al. 2017, arXiv 1611.03530), which is lost with
    plasticity (Lyle et al. 2023, arXiv 2303.01486, who fit random targets from where a network
    stands). Of no more images than the study's `samples`, so that a short training is enough; a
    pass takes what it takes the dense start network. Sparse networks pass more often, and soon know
    all: then `random_label_loss_area` still tells them apart.
    """
    fitted, known = _random_labels(scene)
    if fitted is None:
        return None
    return accuracy(scene.architecture, fitted.ticket.weights, known)


def random_label_loss_area(scene: Scene) -> float | None:
    """The mean training loss over these passes, in nats: low where they are learnt fast."""
    fitted, _ = _random_labels(scene)
    if fitted is None:
        return None
    steps = [row["step"] for row in fitted.rows]
    lengths = [after - before for before, after in itertools.pairwise([0, *steps])]
    losses = (row["loss"] for row in fitted.rows)  # each the mean since the look before
    return float(sum(n * loss for n, loss in zip(lengths, losses, strict=True)) / steps[-1])


def new_task_accuracy(scene: Scene) -> float | None:
    """Validation accuracy after one epoch of a task with other pixels' order and labels' names.

    Nothing of what it knows helps there: it is seen how well it learns (Goodfellow et al. 2013,
    arXiv 1312.6211, permute pixels; Dohare et al. 2023, arXiv 2306.13812, again and again).
    """
    return accuracy_of(fitted_to(scene, "new task", SHORT, NEW_TASK))


def new_task_loss_area(scene: Scene) -> float | None:
    """The mean validation loss over that epoch, from before its first step, in nats."""
    return _loss_area(scene, fitted_to(scene, "new task", SHORT, NEW_TASK), NEW_TASK)


def new_labels_accuracy(scene: Scene) -> float | None:
    """Validation accuracy after one epoch with the names of the classes permuted.

    Its features serve as before, its last layer has to change its mind. Data whose pixels are
    permuted have them permuted anew.
    """
    return accuracy_of(fitted_to(scene, "new labels", SHORT, NEW_LABELS))


def learning_loss_area(scene: Scene) -> float | None:
    """The mean validation loss over one more epoch of its own data, in nats: juveniles learn fast.

    It begins with what the network knows already, which counts too.
    """
    return _loss_area(scene, fitted_to(scene, "own data", SHORT), OWN)


def instability(scene: Scene) -> float | None:
    """The error barrier between two trainings of it by one epoch that differ in data order.

    The linear interpolation instability of Frankle et al. (2020, arXiv 1912.05671), at 11 points
    and on validation data; about 0 where the network is stable, they say below 0.02. They train to
    the end, here a whole schedule of one epoch. Statistics of BatchNorm are measured anew.
    """
    one, other = (fitted_to(scene, "instability", SHORT, order=order) for order in (0, 1))
    if one is None or other is None:
        return None
    return barrier(line_of(scene, one.ticket, other.ticket).errors)


def fitted_to(
    scene: Scene, name: str, epochs: float, changes: Changes = OWN, *, order: int = 0
) -> Fitted | None:
    """The network trained for so many epochs' cost; None where that diverges.

    `name` and `order` tell apart the batches, `changes` what is changed about its own data.
    """
    fitted = scene.fit(name, scene.ticket, epochs=epochs, changes=changes, order=order, looks=LOOKS)
    return None if fitted.is_diverged else fitted


def accuracy_of(fitted: Fitted | None) -> float | None:
    """The validation accuracy that a training ends with."""
    return None if fitted is None else float(fitted.rows[-1]["val_accuracy"])


def _random_labels(scene: Scene) -> tuple[Fitted | None, Samples]:
    """The network trained on random labels, and those samples."""
    most = 2 * scene.count
    few = {
        "labels": "random",
        "label_noise": 0.0,
        "draw": DRAW,
        "train_limit": min(scene.data.train_limit or most, most),
        "validation_fraction": 0.5,  # what is left out so is not read
    }
    known = scene.parts(few).train
    epochs = PASSES * len(known) / len(scene.own.train)
    return fitted_to(scene, "random labels", epochs, few), known


def _loss_area(scene: Scene, fitted: Fitted | None, changes: Changes) -> float | None:
    """The mean validation loss over a training, from before its first step."""
    if fitted is None:
        return None
    before = evaluate(scene.architecture, scene.weights, scene.parts(changes).validation)
    return area([{"step": 0, "val_loss": before.loss}, *fitted.rows], "val_loss", "step")
