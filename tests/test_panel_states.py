"""That each measure of a network at rest is given the scene's own tensors: twins by hand."""

import gc
import math
import weakref
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import torch.nn.functional as F
from study_scenes import experiment_of, last_scene, scenes_of
from torch import Tensor

from recursive_lth.architecture.network import network
from recursive_lth.config import Study
from recursive_lth.study.panel.catalogue import PANEL
from recursive_lth.study.scene import Scene
from recursive_lth.training.samples import Samples

MOVES = ["train 2", "prune 0.6", "grow deepen", "train 2"]


@cache
def scenes() -> list[Scene]:
    """Of a network that was pruned and grown, at moments 0, 1/2 and 1 of its last training."""
    study = Study(looks=4, samples=50, moments=(0.0, 0.5, 1.0), readings="all")
    with TemporaryDirectory() as folder:
        return scenes_of(experiment_of(MOVES, study=study), Path(folder))[-3:]


def read(name: str, scene: Scene | None = None) -> float:
    """A measure's value, which is there."""
    found = PANEL[name].read(scene or scenes()[-1])
    assert found is not None
    return found


def logits(scene: Scene, samples: Samples, weights: dict[str, Tensor] | None = None) -> Tensor:
    """What the network says of these samples."""
    found, _ = network(scene.architecture)(weights or dict(scene.weights), samples.images)
    return found


def test_scenes_have_the_samples_they_should() -> None:
    """50 of training, but all 40 of validation; the middle lies between the ends."""
    birth, middle, end = scenes()
    assert len(end.train_samples) == 50
    assert len(end.validation_samples) == 40
    moved = [read("update_ratio", scene) for scene in (middle, end)]
    assert 0 < moved[0] < moved[1]
    assert birth.ticket.digest == birth.before.digest == end.before.digest


def test_gaps_are_validation_less_training() -> None:
    """Of losses; of accuracies the other way round."""
    here = scenes()[-1]
    parts = here.train_samples, here.validation_samples
    train, validation = (F.cross_entropy(logits(here, p), p.labels) for p in parts)
    assert read("generalisation_gap") == pytest.approx(float(validation - train), rel=1e-4)
    right = [float((logits(here, p).argmax(1) == p.labels).double().mean()) for p in parts]
    assert read("accuracy_gap") == pytest.approx(right[0] - right[1])


def test_confidence_is_that_on_validation_samples() -> None:
    """The loss over that at the best of many temperatures, above 0 where too sure."""
    here = scenes()[-1]
    said, labels = logits(here, here.validation_samples).double(), here.validation_samples.labels
    losses = {
        t: float(F.cross_entropy(said / t, labels)) for t in torch.logspace(-1, 1, 2001).tolist()
    }
    best = min(losses, key=lambda t: losses[t])
    lost = float(F.cross_entropy(said, labels)) - losses[best]
    assert read("temperature") == pytest.approx(best, rel=0.01)
    assert read("overconfidence") == pytest.approx(math.copysign(lost, best - 1), abs=1e-4)
    hotter = {n: t * 20 if n == "output.weight" else t for n, t in here.ticket.weights.items()}
    sure = replace(here, ticket=replace(here.ticket, weights=hotter))
    assert read("overconfidence", sure) > 1
    assert read("calibration_error", sure) > read("calibration_error")


def gradient(scene: Scene) -> dict[str, Tensor]:
    """The gradient of the training samples' loss, 0 where weights are pruned, by autograd."""
    live = {n: t.clone().requires_grad_() for n, t in scene.ticket.weights.items()}
    loss = F.cross_entropy(logits(scene, scene.train_samples, live), scene.train_samples.labels)
    found = dict(zip(live, torch.autograd.grad(loss, list(live.values())), strict=True))
    return {
        n: t * scene.ticket.masks[n] if n in scene.ticket.masks else t for n, t in found.items()
    }


def size(tensors: dict[str, Tensor], where: dict[str, Tensor]) -> float:
    """The norm of some entries."""
    return math.sqrt(sum(float(tensors[n][m].double().square().sum()) for n, m in where.items()))


def test_gradients_are_those_of_the_training_samples() -> None:
    """Norm and flow of all that learns; ratios of the weights, by generation."""
    here = scenes()[-1]
    slope, ticket = gradient(here), here.ticket
    norm = math.sqrt(sum(float(t.double().square().sum()) for t in slope.values()))
    assert read("gradient_norm") == pytest.approx(norm, rel=1e-4)
    assert read("gradient_flow") == pytest.approx(norm**2, rel=1e-4)
    for name, number in (("gradient_ratio_oldest", 0), ("gradient_ratio_youngest", 1)):
        part = {n: ticket.masks[n] & (ticket.births[n] == number) for n in ticket.masks}
        expected = size(slope, part) / size(ticket.weights, part)
        assert read(name) == pytest.approx(expected, rel=1e-4)
    whole = size(slope, ticket.masks) / size(ticket.weights, ticket.masks)
    assert read("gradient_ratio") == pytest.approx(whole, rel=1e-4)
    assert read("weight_norm") == pytest.approx(size(ticket.weights, ticket.masks), rel=1e-6)


def test_updates_are_since_the_training_began() -> None:
    """By layers and generations; those from the rewind values are another thing."""
    here = scenes()[-1]
    now, then, masks, births = (
        here.ticket.weights, here.before.weights, here.ticket.masks, here.ticket.births
    )  # fmt: skip
    moved = {n: now[n] - then[n] for n in masks}
    layers = list(masks)
    parts = {
        "update_ratio": masks,
        "update_ratio_first": {layers[0]: masks[layers[0]]},
        "update_ratio_last": {layers[-1]: masks[layers[-1]]},
        "update_ratio_oldest": {n: masks[n] & (births[n] == 0) for n in masks},
        "update_ratio_youngest": {n: masks[n] & (births[n] == 1) for n in masks},
    }
    for name, part in parts.items():
        assert read(name) == pytest.approx(size(moved, part) / size(then, part), rel=1e-5)
    rewind = here.ticket.rewind
    away = {n: now[n] - rewind[n] for n in masks}
    expected = size(away, masks) / size(rewind, masks)
    assert read("weight_distance") == pytest.approx(expected, rel=1e-5)
    alike = torch.cat([(now[n].sign() == rewind[n].sign())[m & (rewind[n] != 0)]
                       for n, m in masks.items()])  # fmt: skip
    assert read("sign_agreement") == pytest.approx(float(alike.double().mean()))


def test_features_are_those_of_the_last_hidden_layer() -> None:
    """What the output reads: the ranks are of its singular values on the training samples."""
    here = scenes()[-1]
    found = []
    last = here.architecture.layers[here.architecture.output].inputs[0]

    def watch(name: str, output: Tensor) -> Tensor:
        if name == last:
            found.append(output)
        return output

    network(here.architecture)(dict(here.weights), here.train_samples.images, watch=watch)
    values = torch.linalg.svdvals(found[0].double())
    shares = values / values.sum()
    entropy = -float((shares[shares > 0] * shares[shares > 0].log()).sum())
    assert read("effective_rank") == pytest.approx(math.exp(entropy), rel=1e-4)
    assert read("srank") == 1 + int((shares.cumsum(0) < 0.99).sum())


def test_a_barrier_begins_where_the_training_began() -> None:
    """The highest loss over the straight line between the ends', at 11 points."""
    here = scenes()[-1]
    start, end, samples = here.before.weights, here.ticket.weights, here.validation_samples
    losses = []
    for share in (i / 10 for i in range(11)):
        between = {n: (1 - share) * start[n] + share * end[n] for n in start}
        losses.append(float(F.cross_entropy(logits(here, samples, between), samples.labels)))
    rises = [v - losses[0] - (losses[-1] - losses[0]) * i / 10 for i, v in enumerate(losses)]
    assert read("barrier_from_start") == pytest.approx(max(rises), abs=1e-5)


def test_masks_are_compared_at_half_of_what_remains() -> None:
    """The larger half by magnitude before and after: places that differ, over those it keeps."""
    here = scenes()[-1]
    sizes = [
        torch.cat([t.weights[n][m].abs() for n, m in here.ticket.masks.items()])
        for t in (here.before, here.ticket)
    ]
    keep = round(len(sizes[0]) / 2)
    tops = [set(s.argsort(descending=True)[:keep].tolist()) for s in sizes]
    assert read("mask_hamming") == pytest.approx(len(tops[0] ^ tops[1]) / keep, abs=0.02)
    jaccard = len(tops[0] & tops[1]) / len(tops[0] | tops[1])
    assert read("mask_jaccard") == pytest.approx(jaccard, abs=0.02)


def test_the_kernel_is_that_of_fifty_samples() -> None:
    """Its trace: the mean over samples and logits of a logit's squared gradient."""
    here, total = scenes()[-1], 0.0
    live = {n: t.clone().requires_grad_() for n, t in here.ticket.weights.items()}
    images = here.train_samples.images[:50]
    said, _ = network(here.architecture)(live, images)
    for value in said.flatten():
        slopes = torch.autograd.grad(value, list(live.values()), retain_graph=True)
        for name, slope in zip(live, slopes, strict=True):
            mask = here.ticket.masks.get(name)
            total += float((slope if mask is None else slope * mask).double().square().sum())
    assert read("kernel_trace") == pytest.approx(total / said.numel(), rel=1e-4)
    assert -1 <= read("kernel_alignment") <= 1
    assert read("kernel_condition") >= 1


def test_what_is_made_once_is_of_its_own_scene(tmp_path: Path) -> None:
    """Scenes read in turns do not mix, and what was made for one goes with it."""
    birth, _, end = scenes()
    names = ("gradient_norm", "effective_rank", "overconfidence", "kernel_trace", "sam_sharpness")
    for name in names:
        first, last = read(name, birth), read(name, end)
        assert first != last
        assert read(name, birth) == first
        assert read(name, replace(birth, ticket=end.ticket)) == last
    gone = last_scene(["train 0.5"], tmp_path)
    assert [read(name, gone) for name in names]
    watched = weakref.ref(gone)
    del gone
    gc.collect()
    assert watched() is None


def test_what_never_grew_and_learnt_nothing_else_says_nothing_of_it(tmp_path: Path) -> None:
    """It has but one birth generation, and no other data to forget."""
    plain = last_scene(["train 1"], tmp_path)
    for name in ("gradient_ratio_oldest", "gradient_ratio_youngest", "update_ratio_oldest",
                 "update_ratio_youngest", "forgetting"):  # fmt: skip
        assert PANEL[name].read(plain) is None
