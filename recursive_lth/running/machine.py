"""On what a run was made: versions and machine, as its summary records them."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("recursive-lth", "torch", "torchvision", "optuna", "numpy", "networkx", "safetensors")


def machine(device: str, threads: int) -> dict[str, Any]:
    """System, processor, cores, device and the pinned number of threads."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": threads,
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
