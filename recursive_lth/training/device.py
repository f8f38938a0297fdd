"""Where tensors live: a device by name, and the pinned number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from recursive_lth.errors import InputError


def choose(name: str) -> torch.device:
    """The device of a name; `auto` takes a GPU where there is one.

    Raises `InputError` where the name is unknown, the machine lacks it, or it has no float64, in
    which losses are compared.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device, dtype=torch.float64).item()  # meta holds no numbers
    except (RuntimeError, AssertionError, TypeError):
        raise InputError(f"no device {name!r} on this machine: use --device auto or cpu") from None
    return device


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Pin what changes the last bits, threads and cuDNN's choices, and set it back at the end."""
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic
    torch.set_num_threads(threads)
    cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic = before[1]


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
