"""Networks of linear layers only."""

from recursive_lth.architecture.draft import Draft, dense_tail
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer, Shape
from recursive_lth.architecture.zoo.checks import check_widths


def mlp(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """A multi-layer perceptron with ReLU; `hidden` gives the units of each hidden layer (128)."""
    draft = Draft(shape, classes)
    source = draft.plain("flatten", Layer("flatten", ("input",))) if len(shape) == 3 else "input"
    return dense_tail(draft, source, hidden or (128,))


def lenet_300_100(shape: Shape, classes: int, hidden: tuple[int, ...]) -> Architecture:
    """LeNet-300-100 (LeCun et al. 1998; Frankle & Carbin 2019): 266,200 weights on MNIST."""
    check_widths("lenet-300-100", hidden, 2)
    return mlp(shape, classes, hidden or (300, 100))
