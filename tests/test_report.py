"""The report: a run's folder is read, told in tables and figures, and written as one page."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest
from fake_runs import CLAIM, Line, build_line, build_mlp, grow_mlp, grow_resnet, write_run
from hypothesis import given
from strategies import architectures

from recursive_lth.architecture.graph import Architecture
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.report.boxes import Box, assign_lanes, collapse, describe
from recursive_lth.report.curves import read_segments
from recursive_lth.report.layout import lay_out
from recursive_lth.report.page import render, write_report
from recursive_lth.report.record import read_run
from recursive_lth.report.standing import best, front
from recursive_lth.report.table import certificate_table, front_table, lineage_table
from recursive_lth.report.tree import place_tickets

VOID = {"meta", "br", "link", "img"}


class Tags(HTMLParser):
    """Collects every attribute, and every tag that is closed out of turn or never."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of three runs: of an MLP, of a ResNet-20, and one that is not finished."""
    out = tmp_path_factory.mktemp("runs")
    return {
        "mlp": write_run(out / "mlp", grow_mlp()),
        "resnet": write_run(out / "resnet", grow_resnet()),
        "unfinished": write_run(out / "unfinished", grow_mlp()[:4], finished=False),
    }


@pytest.mark.parametrize("name", ["mlp", "resnet", "unfinished"])
def test_the_same_run_gives_the_same_page(runs: dict[str, Path], name: str) -> None:
    """A report is a function of the run's files, whatever matplotlib is set to do."""
    path = write_report(runs[name])
    first = path.read_bytes()
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert write_report(runs[name]).read_bytes() == first
    assert path == runs[name] / "report.html"
    assert not [other for other in runs[name].iterdir() if other.name.startswith(".")]


@pytest.mark.parametrize("name", ["mlp", "resnet", "unfinished"])
def test_the_page_stands_alone_and_is_well_formed(runs: dict[str, Path], name: str) -> None:
    """Nothing is fetched: addresses are SVG's namespaces or parts of the page; ids are unique."""
    text = render(read_run(runs[name]))
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.wrong == []
    for attribute, value in tags.attributes:
        if attribute in {"src", "href", "xlink:href", "action", "data"}:
            assert value.startswith("#")
    ids = [value for attribute, value in tags.attributes if attribute == "id"]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    assert used <= set(ids)
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text


def test_text_of_the_user_is_escaped(runs: dict[str, Path]) -> None:
    """What a user wrote is text and never markup: the claim here holds a script."""
    assert "<script>" in CLAIM
    text = render(read_run(runs["mlp"]))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; pruning" in text


def test_the_headline_is_the_answer(runs: dict[str, Path]) -> None:
    """Best ticket against ticket 0, on test data once they are known, else on validation data."""
    text = render(read_run(runs["mlp"]))
    heading = re.search(r"<h1>(.*?)</h1>", text)
    assert heading is not None
    assert heading.group(1) == "97.46 % with 1.18k weights, 5 layers deep"
    assert "95.72 % test accuracy with 6.46k weights at depth 3" in text
    assert "1.74 points more accurate, has 18.3 % as many weights and is 2 layers deeper" in text
    assert "not finished" not in text


def test_an_unfinished_run_says_so(runs: dict[str, Path]) -> None:
    """Without a summary the best and the front are those so far, and test accuracies unknown."""
    record = read_run(runs["unfinished"])
    found = best(record)
    assert found is not None
    assert found["generation"] == 2
    # generation 3 was rejected; 1 is smaller than 2 but less accurate; 0 is worse than 1 at both
    assert [line["generation"] for line in front(record)] == [1, 2]
    text = render(record)
    assert "This run is not finished." in text
    assert "97.03 % with" in text


def test_a_run_that_has_hardly_begun_has_a_page(tmp_path: Path) -> None:
    """No ticket, then only ticket 0, then one that was rejected: each has a page."""
    dense = build_line(0, None, build_mlp(8), None, 1.0, 0.9)
    refused = build_line(1, dense, build_mlp(8), None, 0.1, 0.1, accepted=False)
    for number, lines in enumerate(([], [dense], [dense, refused])):
        text = render(read_run(write_run(tmp_path / str(number), lines, finished=False)))
        assert ("No ticket yet" if not lines else "No winning ticket yet") in text


def test_a_line_being_written_is_left_out(tmp_path: Path) -> None:
    """A kill, or a reader that comes early, can meet half a line at the end of a growing file."""
    folder = write_run(tmp_path / "run", grow_mlp()[:2], finished=False)
    whole = read_run(folder)
    for name in ("metrics.jsonl", "lineage.jsonl"):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write('{"generation": 2, "ph')
    assert read_run(folder) == whole


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    """The error is one line that names the folder and says what to give instead."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError) as caught:
            write_report(folder)
        text = str(caught.value)
        assert str(folder) in text
        assert "give the folder" in text
        assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("lineage.jsonl", "not JSON\n"),
        ("lineage.jsonl", "7\n"),
        ("lineage.jsonl", '{"digest": "0"}\n'),
        ("metrics.jsonl", "not JSON\n{}\n"),
        ("metrics.jsonl", '{"generation": 0}\n'),
        ("experiment.toml", "= ="),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    """Each file of the folder, when it is not what a run writes, is an error naming the folder."""
    folder = write_run(tmp_path / "run", grow_mlp()[:2], finished=False)
    (folder / name).write_text(content, "utf-8")
    with pytest.raises(DamagedFileError, match=re.escape(str(folder))) as caught:
        read_run(folder)
    assert "\n" not in str(caught.value)


def test_tables_tell_the_tickets(runs: dict[str, Path]) -> None:
    """Rows are as long as the headers, and hold the numbers in the units of people."""
    record = read_run(runs["mlp"])
    table = lineage_table(record.generations)
    assert all(len(row) == len(table.headers) for row in table.rows)
    fourth = dict(zip(table.headers, table.rows[4], strict=True))
    assert fourth == {
        "generation": "4",
        "growth": "deepen at fc2",
        "depth": "4",
        "weights": "1.39k",
        "density": "15.44 %",
        "multiply-adds": "55.7 k",
        "validation": "97.58 %",
        "test": "97.18 %",
        "training cost": "20.5 G",
        "accepted": "yes",
    }
    chosen = best(record)
    assert chosen is not None
    rows = front_table(front(record), best=chosen["digest"]).rows
    assert [row[0] for row in rows] == ["6 (best)", "7", "4", "2", "1"]
    functions = [row[3] for row in certificate_table(record.generations).rows]
    assert functions == ["preserved"] * 2 + ["not preserved"] + ["preserved"] * 3
    assert render(record).count("badge warning") == 1


def test_branches_of_the_tree_do_not_touch(runs: dict[str, Path]) -> None:
    """The accepted descent keeps row 0, and no two tickets have one place."""
    lines = read_run(runs["mlp"]).generations
    places = place_tickets(lines)
    assert len(set(places.values())) == len(lines)
    assert {line["generation"] for line in lines if places[line["digest"]][1] > 0} == {3, 5}


@given(architectures())
def test_boxes_hold_every_layer_once(architecture: Architecture) -> None:
    """Boxes part the layers; edges between them run downwards; no two boxes share a place."""
    boxes = collapse(architecture)
    held = sorted(layer for box in boxes.values() for layer in box.members)
    assert held == sorted(architecture.layers)
    layout = lay_out({"architecture": architecture.to_dict(), "layers": {}})
    assert all(layout.rows[source] < layout.rows[target] for source, target in layout.edges)
    assert len({(layout.rows[n], layout.columns[n]) for n in boxes}) == len(boxes)


def test_a_resnet_is_drawn_small() -> None:
    """ResNet-20's 73 layers are 33 boxes: input, 19 + 2 convolutions, 9 sums, pool, logits.

    Shortcut convolutions stand beside the path that they bypass, every other box on it.
    """
    architecture = Architecture.from_dict(grow_resnet()[2]["architecture"])
    layout = lay_out(grow_resnet()[2])
    assert (len(architecture.layers), len(layout.boxes)) == (73, 33)
    beside = {name for name, column in layout.columns.items() if column}
    assert beside == {"stage2.block1.shortcut", "stage3.block1.shortcut"}
    stem = Box("stem", ("stem", "stem_norm", "stem_relu"), ("image",))
    assert layout.boxes["stem"] == stem
    assert describe(architecture, stem) == "3×3 conv · norm · relu"


def test_common_layers_stand_at_one_height() -> None:
    """Before and after a growth share their rows: the new block leaves a gap in the old drawing."""
    lines = grow_resnet()
    after = lay_out(lines[2])
    before = lay_out(lines[1], after=after)
    assert before.rows == {name: after.rows[name] for name in before.boxes}


def test_lanes_of_overlapping_skips_differ() -> None:
    """Skips that only meet at their ends share a lane; the longer of two nested lies outside."""
    assert assign_lanes([(0, 3), (3, 6), (0, 6)]) == {(0, 3): 0, (3, 6): 0, (0, 6): 1}


def point(step: int, *, phase: str = "train", candidate: int | None = None, turn: int = 0) -> Line:
    """One point of the curves."""
    where = {"generation": 0, "phase": phase, "candidate": candidate, "round": turn, "step": step}
    return where | {"val_loss": 1.0, "val_accuracy": 0.5}


def test_phases_follow_each_other_along_the_steps() -> None:
    """A resumed run repeats points and the later hold; rounds of one candidate add up; candidates
    run side by side, so the longest gives the length."""
    train = [point(step) for step in (10, 20, 30, 20, 30, 40)]
    judge = [point(5, phase="judge", candidate=n) for n in (0, 1)]
    judge += [point(5, phase="judge", candidate=1, turn=1)]
    segments = read_segments([*train, *judge, point(8, phase="prune")])
    assert [(s.phase, s.start, s.length) for s in segments] == [
        ("train", 0, 40),
        ("judge", 40, 10),
        ("prune", 50, 8),
    ]
    assert segments[0].curves[None][0] == [10, 20, 30, 40]


def test_reports_are_written_without_torch() -> None:
    """Reading and telling a run needs no torch and no search: its imports stay few and quick."""
    code = "import sys, recursive_lth.report.page; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], capture_output=True, check=True, text=True
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "optuna", "cyclopts", "rich", "matplotlib.pyplot"}
    assert "matplotlib.figure" in loaded
