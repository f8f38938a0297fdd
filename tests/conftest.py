"""Settings of every test: one thread, derandomised properties, and where the real data lie."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from benchmarking import load_benchmark  # noqa: F401  a fixture for all
from hypothesis import HealthCheck, settings
from judged import judged, trained  # noqa: F401  fixtures for all

from recursive_lth.growth import gradmax

REAL_DATA = {
    "mnist": [
        f"MNIST/raw/{part}-ubyte"
        for part in (
            "train-images-idx3",
            "train-labels-idx1",
            "t10k-images-idx3",
            "t10k-labels-idx1",
        )
    ],
    "cifar10": [
        f"cifar-10-batches-py/{part}"
        for part in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    ],
}

settings.register_profile(
    "laws",
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("laws")
torch.set_num_threads(1)  # other thread counts give other bits
# A shell's background job ignores Ctrl-C, and hands that on to the programs that tests stop by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def few_ascents() -> Iterator[None]:
    """`gradmax_optimised` ascends once, for laws that hold wherever its ascent ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradmax, "ASCENTS", 1)
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real data sets; skips where there is none."""
    given = os.environ.get("RECURSIVE_LTH_DATA_DIR")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set RECURSIVE_LTH_DATA_DIR to their folder")
    return folder


@pytest.fixture(scope="session")
def real_data(data_dir: Path) -> Callable[[str], Path]:
    """A function of a data set's name: `data_dir`, or a skip that says what is missing."""

    def need(name: str) -> Path:
        missing = [file for file in REAL_DATA[name] if not (data_dir / file).is_file()]
        if missing:
            pytest.skip(f"{name} is not whole in {data_dir}: {', '.join(missing)} missing")
        return data_dir

    return need
