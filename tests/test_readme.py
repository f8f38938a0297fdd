"""README: its Python runs as it stands, its commands are those that exist."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import recursive_lth
from recursive_lth import shelf
from recursive_lth.cli.entry import app
from recursive_lth.config import Growth

ROOT = Path(recursive_lth.__file__).parents[1]
README = ROOT / "README.md"

if not README.is_file():
    pytest.skip("no checkout around the package", allow_module_level=True)
TEXT = README.read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_the_python_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks("python"):
        exec(compile(code, str(README), "exec"), {})  # noqa: S102 (README is ours)
    said = capsys.readouterr().out
    assert "Linear" in said
    assert "shuffled_mask" in said
    assert len(list(tmp_path.glob("runs/*/report.html"))) == 4
    assert "corrected p" in said


def test_every_command_parses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written after the program's name is accepted by the command line."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line.partition("recursive-lth ")[2] for line in lines if "recursive-lth " in line]
    assert len(commands) > 8
    for command in commands:
        words = shlex.split(command, comments=True)
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_the_default_policy_is_named() -> None:
    assert f"| `growth.policy` | Optuna's `{Growth().policy}` (the default)" in TEXT


def test_one_line_sets_up_and_runs_and_one_sets_up_and_tests() -> None:
    run, test = (line for line in TEXT.splitlines() if "pip install -e" in line)
    assert run.endswith("&& recursive-lth grow")
    assert "'.[test]'" in test
    assert "pytest" in test


def test_continuous_integration_runs_the_same_test_command() -> None:
    """.ci/run takes the line out of README by this pattern, and there is but one such line."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    pattern = r"pip install -e '\.\[test\]'"
    assert f'grep -m 1 "{pattern}" README.md' in script
    assert len([line for line in TEXT.splitlines() if re.search(pattern, line)]) == 1


def test_the_tree_names_no_machine_and_no_registry() -> None:
    """Neither a path of where this was written nor the host of a package index."""
    forbidden = re.compile(r"/(?:root|home|Users)/\w|pyp[i]\.|python[h]osted")
    for path in (*ROOT.glob("*.toml"), *ROOT.glob("*.md"), ROOT / ".ci" / "run"):
        assert not forbidden.search(path.read_text("utf-8")), path


def test_the_project_says_the_same_as_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["name"] == "recursive-lth"
    assert project["tool"]["hatch"]["version"]["path"] == "recursive_lth/__init__.py"
    assert set(project["project"]["scripts"]) == {"recursive-lth", "rlth"}


def test_a_wheel_holds_the_shelf_where_it_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = shelf.FOLDERS.values()
    assert wheel["sources"] == {name: f"recursive_lth/{name}" for name in folders}
    assert {f"/{name}/*.toml" for name in folders} < set(wheel["include"])
