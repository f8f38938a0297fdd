"""On what a run was made: versions and machine, as its summary records them."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

import recursive_lth

PACKAGES = (
    "recursive-lth", "torch", "torchvision", "optuna", "numba", "numpy", "networkx", "safetensors",
)  # fmt: skip


def machine(device: str, threads: int) -> dict[str, Any]:
    """System, processor, cores, device and the pinned number of threads."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": threads,
    }


def made_by(device: str) -> dict[str, str]:
    """What else decides a run's bits, and must be the same when it goes on."""
    return {
        "device": device,
        "torch": torch.__version__,
        "recursive_lth": recursive_lth.__version__,
    }


def versions() -> dict[str, Any]:
    """Versions of Python and of the packages that decide the bits; null where not installed."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
