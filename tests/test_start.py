"""The network that a run starts from: torchvision's models and saved tickets beside the zoo."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from strategies import exact_masks

from recursive_lth import seeds, shelf
from recursive_lth.architecture import zoo
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import network
from recursive_lth.cli import main
from recursive_lth.cli.grow import _settings
from recursive_lth.config import GrowthStep, Start
from recursive_lth.errors import InputError
from recursive_lth.files import read_json
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.grow import grow, seed_ticket
from recursive_lth.running.run_folder import run_folder
from recursive_lth.running.start import build, first_ticket, origin
from recursive_lth.search.run import grow as grow_run
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import load_ticket


def saved(folder: Path, architecture: Architecture) -> Path:
    """The file of a fresh ticket."""
    ticket = seed_ticket(birth(architecture), seeds.generator(0, "t"), "kaiming_normal")
    return ticket.save(folder / "start.safetensors")


def test_the_zoo_is_as_it_was() -> None:
    start = Start("mlp", (5,))
    assert build(start, (4,), 3) == zoo.build(start, (4,), 3)
    assert origin([(start, build(start, (4,), 3))]) == {}


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 40, 32)])
def test_torchvision(shape: tuple[int, int, int]) -> None:
    """Structure alone: its own names and widths, our data's channels, and no draw of ours moves."""
    start = Start("torchvision:mobilenet_v2")
    before = torch.get_rng_state()
    architecture = build(start, shape, 7)
    assert torch.equal(torch.get_rng_state(), before)
    assert architecture.shapes[architecture.input] == shape
    assert architecture.classes == 7
    assert architecture.shape("features.0.0.weight") == (32, shape[0], 3, 3)
    weights = fresh(architecture, seeds.generator(0, "w"), "kaiming_normal")
    assert network(architecture)(weights, torch.zeros(2, *shape))[0].shape == (2, 7)
    assert build(start, shape, 7) is architecture
    assert origin([(start, architecture)]) == {"start": architecture.digest}


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("torchvision:resnet81", (3, 32, 32), "unknown torchvision model .* did you mean 'resnet"),
        ("torchvision:fcn_resnet50", (3, 32, 32), "unknown torchvision model"),
        ("torchvision:resnet18", (64,), "needs images"),
        ("torchvision:squeezenet1_0", (1, 32, 32), r"on images of \(1, 32, 32\): .* ceil_mode"),
        ("nowhere.safetensors", (4,), "no ticket at nowhere.safetensors"),
        ("torchvison:resnet18", (3, 32, 32), "unknown architecture"),
        ("os.system", (3, 32, 32), "unknown architecture"),
    ],
)
def test_what_is_no_start(name: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build(Start(name), shape, 10)


def test_a_ticket_must_fit_the_data(tmp_path: Path) -> None:
    architecture = zoo.mlp((4,), 3, (5,))
    start = Start(str(saved(tmp_path, architecture)))
    assert build(start, (4,), 3) == architecture
    for shape, classes in (((5,), 3), ((4,), 4), ((1, 2, 2), 3)):
        with pytest.raises(InputError, match=r"reads \(4,\) and tells 3 classes apart"):
            build(start, shape, classes)
    with pytest.raises(InputError, match="has its own widths"):
        build(replace(start, hidden=(6,)), (4,), 3)


def test_a_ticket_brings_its_weights(tmp_path: Path) -> None:
    """Weights, masks, rewind values: all but its births and parent. Fresh takes the structure."""
    architecture = zoo.mlp((4,), 3, (5,))
    whole = seed_ticket(birth(architecture), seeds.generator(0, "t"), "kaiming_normal")
    masks = exact_masks(architecture, {"fc1.weight": 7, "output.weight": 6}, 0)
    ticket = replace(
        whole,
        weights=masking.apply(whole.weights, masks),
        masks=masks,
        births={name: born + 5 for name, born in whole.births.items()},
        parent="some digest",
    )
    start = Start(str(ticket.save(tmp_path / "mine.safetensors")))
    found = first_ticket(start, (4,), 3, seeds.generator(1, "t"))
    assert found.digest == replace(ticket, births=whole.births, parent="").digest
    assert origin([(start, architecture)]) == {"start": ticket.digest}
    fresh_one = first_ticket(replace(start, weights="fresh"), (4,), 3, seeds.generator(0, "t"))
    assert fresh_one.digest == whole.digest


def test_a_run_rewinds_to_what_the_ticket_says(tmp_path: Path) -> None:
    """Not to the weights that it begins with, which are trained already."""
    architecture = zoo.mlp((1, 8, 8), 10, (6,))
    ticket = seed_ticket(birth(architecture), seeds.generator(0, "t"), "kaiming_normal")
    trained = {name: tensor * 0.5 for name, tensor in ticket.weights.items()}
    path = replace(ticket, weights=trained).save(tmp_path / "mine.safetensors")
    settings = [
        f'start.architecture="{path}"', "start.hidden=[]", "training.epochs=0.2",
        "pruning.epochs=0.2", "pruning.rewind=init", "pruning.rounds=1", "budget.generations=1",
    ]  # fmt: skip
    experiment = shelf.load_experiment("grow_digits", settings)
    *_, last = grow_run(experiment, out=tmp_path / "runs")
    folder = run_folder(experiment, tmp_path / "runs").path
    found = load_ticket(folder / "tickets" / f"{last.digest}.safetensors")
    for name, tensor in ticket.rewind.items():
        assert torch.equal(found.rewind[name], tensor)


def test_coefficients_are_no_start(tmp_path: Path) -> None:
    architecture = zoo.mlp((4,), 3, (5,))
    ticket = seed_ticket(birth(architecture), seeds.generator(0, "t"), "kaiming_normal")
    path = replace(ticket, basis="dct").save(tmp_path / "mine.safetensors")
    with pytest.raises(InputError, match="holds weights in basis dct: set start"):
        first_ticket(Start(str(path)), (4,), 3, seeds.generator(1, "t"))


def test_prune_begins_dense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    architecture = zoo.mlp((1, 8, 8), 10, (6,))
    whole = seed_ticket(birth(architecture), seeds.generator(0, "t"), "kaiming_normal")
    masks = exact_masks(architecture, {"fc1.weight": 7, "output.weight": 6}, 0)
    sparse = replace(whole, weights=masking.apply(whole.weights, masks), masks=masks)
    path = sparse.save(tmp_path / "mine.safetensors")
    assert main(["prune", "prune_digits", "--start", str(path), "--out", str(tmp_path)]) == 2
    assert "keeps 2.9% of its weights, and level 0 is dense" in capsys.readouterr().err


def test_layers_of_two_runs_keep_their_own_names() -> None:
    """A ticket that has grown in generation 2 grows in generation 2 of another run."""
    ticket = seed_ticket(birth(zoo.mlp((4,), 3, (5,))), seeds.generator(0, "t"), "kaiming_normal")
    batch = Batch(torch.randn(4, 4), torch.zeros(4, dtype=torch.int64))
    for label in ("g2", "g2v2", "g2v3"):
        draw = seeds.generator(0, "g")
        sprout = grow(ticket, GrowthStep("deepen"), batch, generation=2, generator=draw)
        assert sprout.morph.new_layers == (label, f"{label}_relu")
        ticket = sprout.ticket


def test_the_option_is_short_for_a_setting() -> None:
    """It takes away the experiment's widths, unless they are set beside it."""
    assert _settings(["a=1"], "resnet-20", None, None) == [
        "start.hidden=[]", "a=1", 'start.architecture="resnet-20"',
    ]  # fmt: skip
    assert _settings(["a=1"], None, "mnist", 3) == ["a=1", 'data.name="mnist"', "seed=3"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["grow", "grow_digits", "--set", "budget.generations=1", "--set", "pruning.rounds=1"],
        ["prune", "prune_digits", "--replicates", "1", "--density", "0.5"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_runs_start_from_a_ticket(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run from a saved ticket; begun again after the file has changed it refuses."""
    path = saved(tmp_path, zoo.mlp((1, 8, 8), 10, (6, 5)))
    command = [
        *arguments, "--start", str(path), "--set", "training.epochs=0.2", "--set",
        "pruning.epochs=0.2", "--out", str(tmp_path / "runs"), "--quiet",
    ]  # fmt: skip
    assert main(command) == 0, capsys.readouterr().err
    (found,) = (tmp_path / "runs").glob("*/origin.json")
    assert set(read_json(found)["start"].split()) == {load_ticket(path).digest}
    found.with_name("summary.json").unlink()  # as if it had been stopped
    saved(tmp_path, zoo.mlp((1, 8, 8), 10, (6, 4)))
    assert main(command) == 2
    assert "was begun with another start" in capsys.readouterr().err
