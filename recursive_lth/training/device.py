"""Where tensors live: a device by name, the pinned number of threads, and the precision there."""

import ctypes
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch

from recursive_lth.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as <malloc.h> numbers them
MOST_HELD = 1 << 28  # bytes of a block, and at the heap's end


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


@cache
def hold_memory() -> None:
    """Have the C library keep freed memory for the next step, where it is glibc's.

    It gives large blocks back to the system as they are freed, and every step of a training fetches
    them anew, page by page: some hundredths of the time of a small network, and a third of it under
    the environment that Dask gives its workers.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
        mallopt(ctypes.c_int(parameter), ctypes.c_int(MOST_HELD))


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Pin what changes the last bits, threads and cuDNN's choices, and set it back at the end."""
    hold_memory()
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic
    torch.set_num_threads(threads)
    cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic = before[1]


@contextmanager
def flushed() -> Iterator[None]:
    """Have numbers too small to be normal, below 1e-38 in float32, count as 0, and stop at the end.

    Adam's mean of a weight that gets no gradient any more shrinks by a tenth a step and, after some
    800, stays at the least such numbers for good; many processors take a hundred times as long with
    them. They move a weight by less than 1e-30, which only one that is nearly 0 would feel. Only
    where one thread computes: others would not hear of it.
    """
    if torch.get_num_threads() > 1 or _is_flushing() or not torch.set_flush_denormal(True):
        yield
        return
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _is_flushing() -> bool:
    """True iff such numbers count as 0 already."""
    least = torch.ones(1, dtype=torch.int32).view(torch.float32)
    return not bool(least * 1)


def computing(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """In which layers compute in a precision: PyTorch's autocast, or nothing for float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
