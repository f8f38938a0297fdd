"""The scripts of experiments/benchmarks as modules, for tests."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "experiments" / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
Load = Callable[[str], ModuleType]


@pytest.fixture
def load_benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """A benchmark by name; they import each other as scripts of one folder do."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    yield importlib.import_module
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module
