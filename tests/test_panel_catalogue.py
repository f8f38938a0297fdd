"""The battery of the panel: every measure on scenes that were really played."""

import math
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from study_scenes import experiment_of, scenes_of
from torch import Tensor

from recursive_lth.config import Start, StudyExperiment, Task
from recursive_lth.errors import InputError
from recursive_lth.study.panel.catalogue import PANEL, panel_of
from recursive_lth.study.panel.words import DEFAULT, MEASURE_WORDS
from recursive_lth.study.scene import Scene
from recursive_lth.ticket.ticket import digest_of

GROWN = ("train 2", "prune 0.5", "train 1 on=other", "grow widen", "train 2")
STUDIES: Mapping[str, StudyExperiment] = {
    "grown": experiment_of(GROWN, tasks=[Task("other", pixels="permuted")]),
    "norms": experiment_of(["train 1"], start=Start("convnet", (4,))),
}


@cache
def scenes(name: str) -> tuple[TemporaryDirectory[str], list[Scene]]:
    """The scenes of a study, and the folder in which their probes leave their trainings."""
    folder = TemporaryDirectory()
    return folder, scenes_of(STUDIES[name], Path(folder.name))


def scene(name: str) -> Scene:
    """A scene by name: one end, one beginning, and networks that are spoilt."""
    kind, _, where = name.partition(" ")
    found = scenes(kind)[1][0 if where == "birth" else -1]
    if where in SPOILT:
        worse = {n: t * SPOILT[where] for n, t in found.ticket.weights.items()}
        return replace(found, ticket=replace(found.ticket, weights=worse))
    return found


SPOILT = {"exploded": 1e25, "dead": 0.0}
SCENES = ("grown birth", "grown end", "grown exploded", "grown dead", "norms birth", "norms end")


@pytest.mark.parametrize("where", SCENES)
@pytest.mark.parametrize("name", PANEL)
def test_a_number_or_nothing_and_nothing_changes(name: str, where: str) -> None:
    """Finite or None; all tensors of the scene, and every global generator, stay as they were."""
    here, measure = scene(where), PANEL[name]
    if not measure.is_taken_at(here.moment):
        return
    before = fingerprint(here)
    found = measure.read(here)
    assert fingerprint(here) == before
    assert found is None or math.isfinite(found)


@pytest.mark.parametrize("name", PANEL)
def test_each_says_something_at_the_end(name: str) -> None:
    """Of a network that was pruned, trained elsewhere, and grown, there is nothing unsaid."""
    assert PANEL[name].read(scene("grown end")) is not None


def test_what_is_read_does_not_hang_on_what_else_is(tmp_path: Path) -> None:
    """Read in the other order, of the same arm played again elsewhere, numbers are the same."""
    again = scenes_of(STUDIES["grown"], tmp_path)[-1]
    found = {name: measure.read(again) for name, measure in list(PANEL.items())[::-1]}
    assert found == {name: PANEL[name].read(scene("grown end")) for name in found}


def test_words_are_those_of_the_catalogue() -> None:
    """In the same order; what is read by default is there, is cheap, and trains nothing."""
    assert list(MEASURE_WORDS) == list(PANEL)
    assert {name for name, measure in PANEL.items() if measure.is_default} == DEFAULT
    for name, measure in PANEL.items():
        assert measure.about == MEASURE_WORDS[name]
        assert (measure.kind == "probe") == (measure.epochs > 0 or "random_label" in name)
        assert measure.epochs == sum(measure.trains.values())
        if measure.is_default:
            assert measure.kind != "probe"
            assert measure.passes <= 1


def test_words_need_no_torch() -> None:
    """`list` names the measures without the second that torch takes to import."""
    code = "import sys, recursive_lth.study.panel.words; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_sets_stand_for_their_measures() -> None:
    """In the catalogue's order, whatever order they are asked for in, and each once."""
    assert list(panel_of(["all"])) == list(PANEL)
    assert set(panel_of(["default"])) == DEFAULT
    assert list(panel_of(["srank", "loss_area", "default", "srank"])) == [
        name for name in PANEL if name in DEFAULT | {"srank"}
    ]
    assert panel_of([]) == {}


def test_an_unknown_measure_is_named_with_the_nearest() -> None:
    """So are words that stand for several."""
    with pytest.raises(InputError, match="unknown measure 'plasticty': did you mean 'plasticity'"):
        panel_of(["default", "plasticty"])
    with pytest.raises(InputError, match="did you mean 'default'"):
        panel_of(["defaults"])


def fingerprint(here: Scene) -> tuple[object, ...]:
    """All that a measure could change: the scene's tensors, its curve, and the generators."""
    tensors: dict[str, Tensor] = {}
    for who, ticket in (("now", here.ticket), ("before", here.before)):
        for group in ("weights", "rewind", "masks", "births"):
            tensors |= {f"{who}/{group}/{n}": t for n, t in getattr(ticket, group).items()}
    for whose, split in (("task", here.split), ("own", here.own)):
        for part in ("train", "validation", "test"):
            samples = getattr(split, part)
            tensors |= {f"{whose}/{part}/x": samples.images, f"{whose}/{part}/y": samples.labels}
    tensors |= {f"past/{i}": past.validation.images for i, past in enumerate(here.past)}
    state = np.random.get_state()  # noqa: NPY002  it is the global one that must not move
    return (
        digest_of({}, {name: t.contiguous() for name, t in tensors.items()}),
        repr(here.curve),
        torch.get_rng_state().tolist(),
        random.getstate(),
        repr(state),
    )
