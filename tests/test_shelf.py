"""The shelf: shipped files by name, one's own by path, and what a wrong one says."""

from pathlib import Path

import pytest

from recursive_lth import shelf
from recursive_lth.config import Space
from recursive_lth.errors import InputError
from recursive_lth.search.check import check_names
from recursive_lth.training.datasets import DATASETS

KINDS: tuple[shelf.Kind, ...] = ("experiment", "search space")


@pytest.mark.parametrize("name", shelf.names("search space"))
def test_every_search_space_loads_and_describes_itself(name: str) -> None:
    space = shelf.load_space(name)
    assert space.description
    assert "\n" not in space.description


@pytest.mark.parametrize("name", shelf.names("experiment"))
def test_every_experiment_loads_with_its_claim_and_its_space(name: str) -> None:
    command, claim = shelf.claims()[name]
    assert claim
    if command == "prune":
        assert shelf.load_ticket_experiment(name).name == name
        with pytest.raises(InputError, match="an experiment of `recursive-lth prune`"):
            shelf.load_experiment(name)
        return
    if command == "study":
        assert shelf.load_study_experiment(name).name == name
        with pytest.raises(InputError, match="an experiment of `recursive-lth study`"):
            shelf.load_ticket_experiment(name)
        return
    if command == "tune":
        tuning = shelf.load_tuning_experiment(name)
        assert tuning.name == name
        assert tuning.tune.parameters
        assert tuning.base.space != Space()
        with pytest.raises(InputError, match="an experiment of `recursive-lth tune`"):
            shelf.load_experiment(name)
        return
    with pytest.raises(InputError, match='says command = "prune"'):
        shelf.load_ticket_experiment(name)
    experiment = shelf.load_experiment(name)
    assert experiment.name == name
    assert experiment.claim.strip()
    assert experiment.space != Space()


def test_the_main_job_is_on_the_shelf() -> None:
    assert "grow_digits" in shelf.names("experiment")
    assert {"mlp", "convnet", "resnet"} <= set(shelf.names("search space"))


def test_the_data_sets_listed_are_those_that_load() -> None:
    assert set(shelf.DATA_SETS) == set(DATASETS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name_says_the_nearest_and_how_to_list_them(kind: shelf.Kind) -> None:
    name = shelf.names(kind)[0]
    with pytest.raises(InputError, match=rf"did you mean '{name}'\?.*recursive-lth list"):
        shelf.find(kind, f"{name}x")
    with pytest.raises(InputError, match=r"no .* file nowhere\.toml"):
        shelf.find(kind, "nowhere.toml")


def test_a_wheel_and_a_checkout_are_searched_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the package first, then beside it; neither is an error that says where it looked."""
    package = tmp_path / "recursive_lth"
    package.mkdir()
    monkeypatch.setattr(shelf, "files", lambda name: package)
    with pytest.raises(InputError, match="no experiments/ in"):
        shelf.names("experiment")
    for folder in (tmp_path / "experiments", package / "experiments"):
        folder.mkdir()
        (folder / "here.toml").write_text("", "utf-8")
        assert shelf.folder("experiment") == folder
        assert shelf.names("experiment") == ["here"]


def test_settings_outweigh_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.toml", "seed = 5\n[training]\nepochs = 3\nbatch_size = 32\n")
    experiment = shelf.load_experiment(path, ["training.epochs=4", "training.batch_size=16"])
    assert experiment.seed == 5
    assert experiment.training.epochs == 4
    assert experiment.training.batch_size == 16
    assert experiment.training.momentum == 0.9


def test_a_space_comes_from_the_shelf_unless_the_file_brings_its_own(tmp_path: Path) -> None:
    named = write(tmp_path / "named.toml", "[growth]\nspace = 'convnet'\n")
    assert shelf.load_experiment(named).space == shelf.load_space("convnet")
    own = write(tmp_path / "own.toml", "[growth]\nspace = 'convnet'\n[space]\nmask = ['dense']\n")
    assert shelf.load_experiment(own).space == Space(mask=("dense",))


def test_a_space_named_in_settings_replaces_the_files_own(tmp_path: Path) -> None:
    own = write(tmp_path / "own.toml", "[space]\nmask = ['dense']\n")
    settings = ["growth.space=resnet", "space.ratio=[0.3, 0.4]"]
    space = shelf.load_experiment(own, settings).space
    assert space.ratio == (0.3, 0.4)
    assert space.operator == shelf.load_space("resnet").operator
    laid = shelf.load_experiment(write(tmp_path / "bare.toml", ""), ["space.ratio=[0.3, 0.4]"])
    assert laid.space.ratio == (0.3, 0.4)
    assert laid.space.description == shelf.load_space("mlp").description


def test_a_space_file_is_found_beside_its_experiment(tmp_path: Path) -> None:
    write(tmp_path / "wide.toml", "operator = ['widen']\n")
    path = write(tmp_path / "mine.toml", "[growth]\nspace = 'wide.toml'\n")
    assert shelf.load_experiment(path).space == Space(operator=("widen",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\noperators = ['widen']",
            " line 2: unknown key space.operators: did you mean 'operator'",
        ),
        ("# ratio = 1\nratio = [0.5]", " line 2: space.ratio must have 2 entries"),
        ("ratio = [0.5, 0.1]", " line 1: space.ratio must be"),
        ("mask = ['dense']\n\noperator = 'widen'", " line 3: space.operator must be a list"),
        ("operator = [\n'widen',\n4]", " line 1: space.operator[1] must be a text"),
        ("max_depth = -1", " line 1: space.max_depth must be"),
        ("ratio = [0.1, 0.2]\noperator = [,]", "line 2"),
    ],
)
def test_a_wrong_space_file_is_named_with_its_key(tmp_path: Path, text: str, expected: str) -> None:
    space = write(tmp_path / "wrong_space.toml", text)
    path = write(tmp_path / "mine.toml", "[growth]\nspace = 'wrong_space.toml'\n")
    with pytest.raises(InputError) as caught:
        shelf.load_experiment(path)
    assert str(space) in str(caught.value)
    assert expected in str(caught.value)


def test_a_wrong_experiment_file_is_named_with_its_key(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.toml", "[training]\nepoch = 3\n")
    with pytest.raises(InputError, match=r"mine\.toml line 2: unknown key training\.epoch: did"):
        shelf.load_experiment(path)
    with pytest.raises(InputError, match=r"unknown key training\.epoch: did you mean"):
        shelf.load_experiment(write(path, ""), ["training.epoch=3"])


def test_a_name_that_no_registry_has_is_found_in_its_list(tmp_path: Path) -> None:
    """Known only where the operators are; a list over several lines is read to the name itself."""
    text = 'mask = ["dense"]\noperator = [\n    "widen",\n    "depen",\n]\n'
    space = write(tmp_path / "wrong_space.toml", text)
    path = write(tmp_path / "mine.toml", f"[growth]\nspace = '{space}'\n")
    with pytest.raises(InputError) as caught:
        check_names(shelf.load_experiment(path))
    expected = f"{space} line 4: unknown space.operator 'depen': did you mean 'deepen'?"
    assert str(caught.value) == expected
    laid_over = shelf.load_experiment(path, ["space.operator=['depen']", "space.mask=['erk']"])
    with pytest.raises(InputError, match=r"^unknown space\.operator"):
        check_names(laid_over)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path
