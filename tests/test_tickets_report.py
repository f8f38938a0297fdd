"""The report of a `prune` run: its folder is read and told on one page."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fake_tickets as fake
import matplotlib
import pytest
from fake_ticket_runs import CLAIM, LINES, write_named, write_tickets
from test_report import Tags

from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.lottery.aggregate import aggregate, pairs
from recursive_lth.report.tickets_answer import find
from recursive_lth.report.tickets_page import FIGURES, render_tickets, write_tickets_report
from recursive_lth.report.tickets_record import read_tickets

LABELS = {
    "accuracy": "Test accuracy against remaining weights",
    "arms": "test accuracy of each arm at each level",
    "pairs": "ticket minus control, with intervals",
    "early_stop": "Early-stopping step against remaining weights",
    "overlap": "connections that tickets share",
    "critical": "critical compression of each arm",
    "layers": "density of each layer at each level",
    "pictures": "what the first layer keeps",
}  # in the order of the page
DRAWN = {
    "controls": {"accuracy", "pairs", "early_stop", "layers", "pictures"},
    "arms": {"arms", "critical", "layers"},
    "overlap": {"accuracy", "arms", "early_stop", "overlap", "layers", "pictures"},
    "transfer": {"accuracy", "arms", "pairs", "early_stop", "layers"},
    "unfinished": {"accuracy", "pairs", "early_stop", "layers"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of all invented runs, each with its report."""
    out = tmp_path_factory.mktemp("runs")
    folders = {name: write_named(out, name) for name in LINES}
    for folder in folders.values():
        write_tickets_report(folder)
    return folders


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["controls", "arms", "overlap"])
def test_the_same_run_gives_the_same_page(runs: dict[str, Path], name: str) -> None:
    """A report is a function of the run's files, whatever matplotlib is set to do."""
    first = page_of(runs[name])
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert render_tickets(read_tickets(runs[name])) == first
    assert not [other for other in runs[name].iterdir() if other.name.startswith(".")]


@pytest.mark.parametrize("name", LINES)
def test_the_page_stands_alone_and_is_well_formed(runs: dict[str, Path], name: str) -> None:
    """Nothing is fetched: addresses are parts of the page or pictures within it; ids are unique."""
    text = page_of(runs[name])
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.wrong == []
    for attribute, value in tags.attributes:
        if attribute in {"src", "href", "xlink:href", "action", "data"}:
            assert value.startswith(("#", "data:image/png;base64,"))
    ids = [value for attribute, value in tags.attributes if attribute == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text


@pytest.mark.parametrize("name", LINES)
def test_each_run_has_the_figures_that_it_can_have(runs: dict[str, Path], name: str) -> None:
    """A figure that would show nothing is left out: too many curves, no controls, one arm."""
    assert LABELS.keys() == FIGURES.keys()
    shown = re.findall(r'<svg[^>]* aria-label="([^"]*)"', page_of(runs[name]))
    assert shown == [label for key, label in LABELS.items() if key in DRAWN[name]]


@pytest.mark.parametrize("name", LINES)
def test_the_finding_is_the_heading(runs: dict[str, Path], name: str) -> None:
    """As text: a number and its % stay on one line."""
    heading = find(read_tickets(runs[name])).headline.replace(" %", "\u00a0%")
    assert f"<h1>{heading}</h1>" in page_of(runs[name])


def test_text_of_the_user_is_escaped(runs: dict[str, Path]) -> None:
    assert "<script>" in CLAIM
    text = page_of(runs["controls"])
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; masks" in text


def test_figures_follow_the_mode_of_the_page(runs: dict[str, Path]) -> None:
    """Every colour of a figure is one of the page's variables, which dark mode changes."""
    for name in LINES:
        for svg in re.findall(r"<svg.*?</svg>", page_of(runs[name]), flags=re.DOTALL):
            bare = re.sub(r"var\(--\w+, #[0-9a-f]{6}\)", "", re.sub(r'href="[^"]*"', "", svg))
            assert not re.findall(r": ?#[0-9a-f]{6}\b", bare)


def test_an_unfinished_run_makes_its_tables_itself(runs: dict[str, Path]) -> None:
    """They are those that the summary of a run with these lines would have."""
    record = read_tickets(runs["unfinished"])
    lines = fake.run_with_controls()[:60]
    assert record.table == aggregate(lines)
    assert record.pairs == pairs(lines)
    assert "This run is not finished." in page_of(runs["unfinished"])
    assert "This run is not finished." not in page_of(runs["controls"])


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 7])
def test_a_run_that_has_hardly_begun_has_a_page(tmp_path: Path, number: int) -> None:
    """Nothing, the dense network alone, a ticket without its control: each has a page."""
    lines = fake.run_with_controls()[:number]
    folder = write_tickets(tmp_path / "run", lines, finished=False)
    text = page_of(write_tickets_report(folder).parent)
    headline = ["Nothing is trained yet", "The dense network reaches", "A ticket of 80.0", "At "]
    assert headline[min(number, 3)] in text


@pytest.mark.parametrize("number", [1, 5, 20])
def test_arms_that_have_hardly_begun_have_a_page(tmp_path: Path, number: int) -> None:
    """The arms of one replicate come one after another: some have no line yet, some fewer levels.

    A collapsed first ticket is told too.
    """
    lines = fake.run_with_arms()[:number]
    assert "<h1>" in render_tickets(
        read_tickets(write_tickets(tmp_path / "run", lines, finished=False))
    )


def test_a_line_being_written_is_left_out(runs: dict[str, Path], tmp_path: Path) -> None:
    folder = write_tickets(tmp_path / "run", fake.run_with_controls()[:60], finished=False)
    with (folder / "levels.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"replicate": 2, "ar')
    assert replace(read_tickets(folder), folder=Path()) == replace(
        read_tickets(runs["unfinished"]), folder=Path()
    )


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="give the folder") as caught:
            write_tickets_report(folder)
        assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("summary.json", '{"levels": []}'),
        ("levels.jsonl", "not JSON\n{}\n"),
        ("levels.jsonl", '{"replicate": 0}\n'),
        ("experiment.toml", "= ="),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = write_tickets(tmp_path / "run", fake.run_with_controls()[:3], finished=False)
    (folder / name).write_text(content, "utf-8")
    with pytest.raises(DamagedFileError, match=re.escape(str(folder))) as caught:
        read_tickets(folder)
    assert "\n" not in str(caught.value)


def test_reports_are_written_without_torch() -> None:
    """Reading and telling a run needs no torch: its imports stay few and quick."""
    code = "import sys, recursive_lth.report.tickets_page; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], capture_output=True, check=True, text=True
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "optuna", "cyclopts", "rich", "matplotlib.pyplot"}
    assert "matplotlib.figure" in loaded
