"""Compiled steps: the same bits however they came to be, and nothing read beyond its bounds."""

import ast
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
from recursive_lth.training import compiled, lesson
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
lesson, picked, labels, _ = case(3, 150, 0.6, torch.float32, 5)
found = [lesson.learn(picked, labels, 0.1), *(t.grad for t in lesson.live.values())]
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
    for threads in (1, 2) if (os.cpu_count() or 1) > 1 else (1,):
        for name in ("*_learn*", "*step*"):
            gone = [path for path in tmp_path.rglob(name) if path.is_file()]
            assert gone
            for path in gone:
                path.unlink()
        assert digest(tmp_path, threads) == [expected[0], str(threads)]


def test_all_that_is_compiled_stands_in_one_file() -> None:
    """Numba looks at that file alone, to know whether what it kept still holds."""
    tree = ast.parse(Path(compiled.__file__).read_text("utf-8"))
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert names
    assert not any(name and name.startswith("recursive_lth") for name in names)


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


class Broken:
    """A compiled step that knew some kinds of arguments, and fails at others or at the same."""

    stats = type("Stats", (), {"cache_path": "/somewhere"})

    def __init__(self, known: int, after: int) -> None:
        self.signatures, self.after = ["known"] * known, after

    def __call__(self, *given: object) -> None:
        self.signatures = ["known"] * self.after
        raise OSError("no space left")


@pytest.mark.parametrize(("known", "after"), [(0, 0), (0, 1), (1, 2)])
def test_a_cache_that_is_no_use_is_named(
    known: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file of Numba's, or a full disk, stops a training before its first step."""
    monkeypatch.setattr(compiled, "step", Broken(known, after))
    with pytest.raises(InputError, match=r"no space left\): delete what Numba keeps in /somewhere"):
        lesson._step(1)
    monkeypatch.setattr(compiled, "step", Broken(1, 1))
    with pytest.raises(OSError, match="no space left"):
        lesson._step(1)


def test_augmented_samples_may_repeat_rows() -> None:
    """They are copied, and there are more of them than images in their pool."""
    one = member(mlp((1, 4, 4), 3, (7, 5)), RECIPES["adamw, shifted"], 0, 0.4)
    rows = torch.arange(len(one.data.labels)).repeat(2)
    samples = Samples(one.data.images, one.data.labels[rows], rows)
    black = torch.zeros(1, dtype=torch.float64)
    last_of(replace(one, data=Batches(samples, black, one.recipe)))


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
