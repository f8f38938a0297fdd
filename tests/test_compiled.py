"""Compiled steps: the same bits however they came to be, and nothing read beyond its bounds."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_chain import NAMES, last_of
from test_together import RECIPES, member

from recursive_lth.architecture.zoo import mlp
from recursive_lth.errors import InputError
from recursive_lth.training import compiled
from recursive_lth.training.batches import Batches
from recursive_lth.training.engine import Plan
from recursive_lth.training.samples import Samples
from recursive_lth.training.together import Member, training_together

TESTS = Path(__file__).parent
DIGEST = """
import hashlib, sys
import torch
torch.set_num_threads(int(sys.argv[1]))
from test_chain import case
lesson, drawn, labels, _ = case(3, 150, 0.6, torch.float32, 5)
found = [lesson.learn(drawn, labels, 0.1), *(t.grad for t in lesson.live.values())]
print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in found)).hexdigest())
print(torch.get_num_threads())
"""


def digest(cache: Path, threads: int) -> list[str]:
    """What another process finds, whose compiled code is kept there; and its threads."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    ran = subprocess.run(
        [sys.executable, "-c", DIGEST, str(threads)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": path},
    )
    return ran.stdout.split()


def test_bits_know_nothing_of_caches_and_threads(tmp_path: Path) -> None:
    """Compiled now, read from disk, or half of each; and PyTorch keeps its threads."""
    expected = digest(tmp_path, 1)
    assert expected[1] == "1"
    assert digest(tmp_path, 1) == expected
    gone = [path for path in tmp_path.rglob("*_learn*") if path.is_file()]
    assert gone
    for path in gone:
        path.unlink()
    if (os.cpu_count() or 1) > 1:
        assert digest(tmp_path, 2) == [expected[0], "2"]
    assert digest(tmp_path, 1) == expected


def data(one: Member, images: torch.Tensor, labels: torch.Tensor) -> Batches:
    black = torch.zeros(1, dtype=images.dtype)
    return Batches(Samples(images, labels), black, one.recipe)


def together(members: list[Member]) -> object:
    """What they all end as, all layers sparse."""
    return list(training_together(members, Plan(NAMES)))[-1]


def with_rows(one: Member) -> Batches:
    found = data(one, one.data.images, one.data.labels)
    found.rows = torch.arange(len(found)) + 1
    return found


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        (lambda one: data(one, one.data.images[..., :3], one.data.labels), "reads 16 numbers"),
        (lambda one: data(one, one.data.images.float(), one.data.labels), "in torch.float64"),
        (lambda one: data(one, one.data.images, one.data.labels + 1), "from 0 to 2, got"),
        (lambda one: data(one, one.data.images, one.data.labels - 1), "from 0 to 2, got"),
        (lambda one: data(one, one.data.images, one.data.labels.int()), "must be int64"),
        (with_rows, "rows of the 40 images"),
    ],
)
@pytest.mark.parametrize("is_alone", [True, False])
def test_data_that_are_not_the_networks_are_refused(
    spoiled: Callable[[Member], Batches], reason: str, is_alone: bool
) -> None:
    """Compiled code looks at no bounds."""
    one = member(mlp((1, 4, 4), 3, (7, 5)), RECIPES["momentum"], 0, 0.4)
    bad = replace(one, data=spoiled(one))
    train: Callable[[], object] = (
        (lambda: last_of(bad)) if is_alone else (lambda: together([one, bad]))
    )
    with pytest.raises(InputError, match=reason):
        train()


def test_a_cache_that_is_no_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file of Numba's, or a full disk, stops a training before its first step."""

    class Broken:
        signatures: tuple[str, ...] = ()
        stats = type("Stats", (), {"cache_path": "/somewhere"})

        def __call__(self, *given: object) -> None:
            raise OSError("no space left")

    monkeypatch.setattr(compiled, "_step", Broken())
    with pytest.raises(InputError, match=r"no space left\): delete what Numba keeps in /somewhere"):
        compiled.step(1)


def test_no_place_for_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then code is compiled anew in each process."""
    kept: list[bool] = []

    def njit(function: Callable[[], int], *, cache: bool = False, **how: object) -> object:
        kept.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return function

    monkeypatch.setattr(compiled, "njit", njit)
    assert compiled._compiled(lambda: 3)() == 3
    assert kept == [True, False]
