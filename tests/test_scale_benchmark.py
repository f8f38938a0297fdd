"""The benchmark of selection and transplant runs, at a tiny size, and what it compares agrees."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[1] / "experiments" / "benchmarks" / "scale.py"


def benchmark() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("scale", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FILE.parent)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("setting", benchmark().SETTINGS)
def test_every_setting_runs(setting: str) -> None:
    """Both ways are timed each turn; the selection checks its counts against torch's itself."""
    other = "torch" if setting.startswith("selection") else "clone"
    row = benchmark().compare(setting, 30_000, 2, {"ours": 2.0, other: 4.0})
    assert row["against"] == other
    assert row["peak_ratio"] == 0.5
    assert [len(times) for times in row["seconds"].values()] == [2, 2]
    assert abs(row["weights"] - 30_000) < 1_500
