"""From the tensors that a ticket holds to the weights that its network runs on."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from recursive_lth.architecture.basis import BASES
from recursive_lth.config import pick

Read = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def make_reading(
    basis: str,
    filling: Mapping[str, Tensor],
    prunable: Iterable[str],
    device: torch.device | None = None,
) -> Read:
    """A function from live tensors to what the forward sees; differentiable, changes nothing.

    What `filling` holds is added, so that pruned places may have a value; then the prunable
    tensors are transformed from the basis into weights.
    """
    transform = pick(BASES, basis, "basis")
    names = tuple(prunable)
    there = {name: tensor.to(device or tensor.device) for name, tensor in filling.items()}
    if not there and basis == "identity":
        return dict

    def read(live: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = dict(live)
        for name in names:
            whole = live[name] + there[name].to(live[name].dtype) if there else live[name]
            found[name] = transform.decode(whole)
        return found

    return read
