"""Training steps recorded once and played back: what a small network on a GPU waits for is Python.

A step of a small network is some hundred kernels, each done before the next is launched. A CUDA
graph launches them all at once (PyTorch's notes on CUDA graphs). It reads and writes the tensors it
was recorded with, so batches are copied to where it reads, and the rate lies in a tensor.
"""

import warnings
from collections.abc import Callable, Iterable
from types import MappingProxyType

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Training
from recursive_lth.training.descent import Descent

Learn = Callable[[Tensor, Tensor], Tensor]  # (images, labels) -> losses, having moved the weights
Played = tuple[Callable[[], None], Tensor]  # does the step again; where its losses will lie
Tape = Callable[[Callable[[], Tensor]], Played]

FIRST_STEPS = 3  # as they are: libraries choose and allocate (PyTorch advises so many)
LEAST_STEPS = 200  # of a training that is recorded: fewer do not pay for it
UNRECORDED = frozenset({"batchnorm"})  # operations whose statistics are new tensors at every step


def graph_tape(step: Callable[[], Tensor]) -> Played:
    """A CUDA graph of a step, which is not done meanwhile."""
    graph = torch.cuda.CUDAGraph()
    with (
        torch.cuda.stream(torch.cuda.current_stream()),  # set back whatever happens inside
        torch.cuda.graph(graph, capture_error_mode="thread_local"),
    ):
        losses = step()
    return graph.replay, losses


TAPES: MappingProxyType[str, Tape] = MappingProxyType({"cuda": graph_tape})  # by kind of device


def tape_for(
    architectures: Iterable[Architecture], recipe: Training, steps: int, device: torch.device
) -> Tape | None:
    """What records a training of so many steps in all, so that one that goes on decides alike.

    None where its steps differ, or are too few to pay, or for a second GPU: PyTorch captures on a
    stream of the first.
    """
    operations = {layer.operation for one in architectures for layer in one.layers.values()}
    is_even = recipe.is_plain and not operations & UNRECORDED
    can_pay = steps >= LEAST_STEPS and not device.index
    return TAPES.get(device.type) if is_even and can_pay else None


class Recorded:
    """`learn`, played from a tape as soon as there is one that does what `learn` does.

    The fourth step is done both ways from the same start; where they come to other bits, or the
    tape cannot be made, a warning says so and all steps stay as they are. So a training that goes
    on, whose first steps are not played, comes to the same bits.
    """

    def __init__(self, learn: Learn, descent: Descent, tape: Tape) -> None:
        self._learn, self._descent, self._tape = learn, descent, tape
        self._steps = 0
        self._play: Callable[[], None] | None = None
        self._images = self._labels = self._losses = torch.empty(0)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step; its losses are the caller's to keep."""
        if self._play is not None:
            self._images.copy_(images)
            self._labels.copy_(labels)
            self._play()
            return self._losses.clone()
        self._steps += 1
        if self._steps == FIRST_STEPS + 1:
            return self._recorded(images, labels)
        return self._learn(images, labels)

    def _recorded(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step as it is, and the tape if it comes to the same."""
        live = self._descent.moved()
        before = _copies(live)
        losses = self._learn(images, labels).clone()
        after = _copies(live)
        self._images, self._labels = images.clone(), labels.clone()
        self._descent.clear()  # gradients shall lie where the tape has them
        try:
            with self._descent.recording():
                play, self._losses = self._tape(lambda: self._learn(self._images, self._labels))
            _set(live, before)
            play()
            pairs = zip([*live, self._losses], [*after, losses], strict=True)
            reason = "" if all(torch.equal(a, b) for a, b in pairs) else "it comes to other bits"
        except RuntimeError as error:  # what CUDA says of steps that cannot be recorded
            reason = str(error)
        if reason:
            warnings.warn(f"steps are done one by one, not recorded: {reason}", stacklevel=2)
            self._images = self._labels = self._losses = torch.empty(0)
            self._descent.clear()
            _set(live, after)
        else:
            self._play = play
        return losses


def _copies(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


def _set(tensors: list[Tensor], values: list[Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
