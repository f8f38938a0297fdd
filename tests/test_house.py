"""The house: folders are floors and imports go down; libraries stay in their rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_runs import grow_mlp, write_run

import recursive_lth

HOUSE = Path(recursive_lth.__file__).parent
NAME = HOUSE.name
GROUND = (
    "errors",
    "files",
    "seeds",
    "statistics",
    "config",
    "config_file",
    "tuning_file",
    "shelf",
)  # in this order too
FLOORS: tuple[tuple[str, ...], ...] = (
    *((room,) for room in GROUND),
    ("architecture",),
    ("ticket",),
    ("pruning", "growth"),
    ("training",),
    ("running",),
    ("search", "lottery"),
    ("tuning",),
    ("study",),
    ("report",),
    ("api",),
    ("cli",),
    ("__init__", "__main__"),
)
HEIGHT = {room: number for number, floor in enumerate(FLOORS) for room in floor}
WALLS = {
    ("pruning", "growth"),
    ("growth", "pruning"),
    ("search", "lottery"),
    ("lottery", "search"),
}
HOMES = {
    "networkx": ("architecture", "search/lineage"),
    "optuna": ("search", "tuning"),
    "sqlalchemy": ("tuning",),
    "dask": ("running/workers",),
    "distributed": ("running/workers", "tuning/cluster"),
    "matplotlib": ("report",),
    "jinja2": ("report",),
    "numba": ("training/compiled",),
    "llvmlite": ("training/compiled",),
    "cyclopts": ("cli",),
    "rich": ("cli",),
    "torchvision": ("training/datasets", "architecture/importing/torchvision_models"),
    "sklearn": ("training/datasets",),
    "onnxruntime": ("training/forms",),
    "pickle": (),
    "random": (),
}
NO_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "misc"}
GLOBAL_CALLS = {"torch.manual_seed", "torch.seed", "torch.load", "np.random.seed"}
MOST_LINES = 300
FILES = sorted(HOUSE.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.glob("*.py"))


def room(path: Path) -> str:
    """The folder below the house, or the module at its door."""
    return path.relative_to(HOUSE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """The dotted name of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    own = [name.split(".") for name in imports(path) if name.split(".")[0] == NAME]
    return {parts[1] for parts in own if len(parts) > 1 and parts[1] != "__version__"}


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} - set(HEIGHT) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(HOUSE).as_posix())
def test_imports_go_down(path: Path) -> None:
    here = room(path)
    for there in arrows(path) - {here}:
        assert there in HEIGHT, f"{path} imports {there}, which has no floor"
        assert HEIGHT[there] < HEIGHT[here], f"{here} may not import {there}: the arrow points up"
        assert (here, there) not in WALLS, f"there is a wall between {here} and {there}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(HOUSE).as_posix())
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    place = path.relative_to(HOUSE).with_suffix("").as_posix()
    for library in {name.split(".")[0] for name in imports(path)} & set(HOMES):
        homes = HOMES[library]
        assert any(place == home or place.startswith(f"{home}/") for home in homes), (
            f"{place} imports {library}, which lives in {homes or 'no room'}"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(HOUSE).as_posix())
def test_nothing_global_is_seeded_and_nothing_pickled_is_loaded(path: Path) -> None:
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    }
    assert calls & GLOBAL_CALLS == set()


@pytest.mark.parametrize("path", [*FILES, *TESTS], ids=lambda p: p.name)
def test_files_are_short_and_well_named(path: Path) -> None:
    assert path.stem not in NO_NAMES
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


def test_the_walls_would_be_seen(tmp_path: Path) -> None:
    """The reader of imports sees them in functions and under TYPE_CHECKING alike."""
    path = tmp_path / "some.py"
    path.write_text(
        f"import {NAME}.search.run\nfrom {NAME} import shelf, __version__\n"
        f"def f():\n    from {NAME}.cli.grow import grow\n",
        "utf-8",
    )
    assert arrows(path) == {"search", "shelf", "cli"}


def test_importing_the_package_is_light() -> None:
    assert heavy_modules("import recursive_lth; dir(recursive_lth)") == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["grow", "--help"],
        ["evaluate", "--help"],
        ["list"],
        ["list", "--json"],
        ["show", "a-run"],
        ["show", "a-run", "--json"],
        ["report", "a-run"],
    ],
    ids=" ".join,
)
def test_light_commands_do_not_import_torch(arguments: list[str], tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a-run", grow_mlp())
    code = f"from recursive_lth.cli import main; assert main({arguments!r}) == 0"
    assert heavy_modules(code, folder=tmp_path) == ""


def heavy_modules(code: str, *, folder: Path | None = None) -> str:
    """The slow libraries that a fresh Python has loaded after running the code."""
    ask = "import sys; print(*{'torch', 'torchvision', 'optuna', 'sklearn'} & set(sys.modules),"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ask} file=sys.stderr, sep=' ')"],
        cwd=folder,
        env={"PYTHONPATH": str(HOUSE.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()
