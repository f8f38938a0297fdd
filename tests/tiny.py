"""A run so small that a test can afford it, and a way to call the command line."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = (
    "data.train_limit=120",
    "data.test_limit=40",
    "training.epochs=1",
    "training.batch_size=16",
    "pruning.rate=0.5",
    "pruning.rounds=1",
    "pruning.epochs=0.5",
    "growth.candidates=1",
    "growth.judge_epochs=0.5",
    "growth.rungs=1",
    "growth.epochs=0.5",
    "acceptance.margin=1.0",
    "budget.generations=2",
)
SETTINGS = tuple(word for setting in TINY for word in ("--set", setting))


def call(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "recursive_lth", *arguments],
        cwd=folder,
        env=clean_environment() | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """This process's environment without our own variables, and with the package in reach."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RECURSIVE_LTH_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
