"""The report of a `tune` run: its folder is read, told and drawn on one page."""

import json
from pathlib import Path

import matplotlib
import pytest
from fake_tunings import NAMES, SHARES, trial, write_tuning
from test_house import heavy_modules
from test_report import Tags

from recursive_lth.cli import main
from recursive_lth.errors import DamagedFileError
from recursive_lth.report.tuning_answer import find_tuned
from recursive_lth.report.tuning_page import FIGURES, render_tuning, write_tuning_report
from recursive_lth.report.tuning_record import read_tuning
from recursive_lth.report.tuning_table import importances_table, test_accuracy, trials_table
from recursive_lth.tuning.ranking import best, front

test_accuracy.__test__ = False  # type: ignore[attr-defined]  # its name is no test's
LABELS = {
    "front": "objectives against each other",
    "importances": "importance of each parameter",
    "parallel": "values and objectives of every trial",
    "history": "objectives of the trials in turn",
}


def test_the_front_holds_what_no_other_beats() -> None:
    """The slow twin: a trial is on the front iff none is at least as good in all, better in one."""
    rows = [trial(n) for n in range(20)]
    found = set(front(NAMES, rows))
    for one in rows:
        mine = merits(one)
        beaten = any(
            all(b >= a for a, b in zip(mine, merits(other), strict=True)) and merits(other) != mine
            for other in rows
        )
        assert (one["trial"] in found) != beaten
    assert best(NAMES, rows) == 6
    assert best(("training_cost",), rows) == 0
    assert best(NAMES, []) is None


def merits(row: dict[str, dict[str, float]]) -> list[float]:
    """Larger is better."""
    found = row["objectives"]
    return [found["val_accuracy"], -found["remaining_weights"], -found["training_cost"]]


@pytest.mark.parametrize("names", [NAMES, NAMES[:2], NAMES[:1], NAMES[2:]])
@pytest.mark.parametrize("is_finished", [True, False])
def test_every_figure_that_has_something_to_show_is_drawn(
    names: tuple[str, ...], is_finished: bool, tmp_path: Path
) -> None:
    record = read_tuning(write_tuning(tmp_path / "run", names=names, is_finished=is_finished))
    drawn = {name for name, draw in FIGURES.items() if draw(record) is not None}
    wanted = set(LABELS)
    if len(names) == 1:
        wanted -= {"front"}
    if not is_finished:
        wanted -= {"importances"}
    assert drawn == wanted
    page = render_tuning(record)
    Tags().feed(page)
    for name, label in LABELS.items():
        assert (f'aria-label="{label}"' in page) == (name in wanted)
    assert ("This search is not finished" in page) != is_finished


def test_what_users_write_is_escaped_and_the_page_needs_no_network(tmp_path: Path) -> None:
    page = write_tuning_report(write_tuning(tmp_path / "run")).read_text("utf-8")
    assert "<script" not in page
    assert "diverges: &lt;script&gt;" in page
    assert "More &lt;b&gt;weights&lt;/b&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    record = read_tuning(write_tuning(tmp_path / "run"))
    first = render_tuning(record)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        assert render_tuning(record) == first


@pytest.mark.parametrize(
    "options",
    [
        {"count": 0, "is_finished": False},
        {"count": 1, "failed": ()},
        {"count": 2, "failed": (0, 1)},
        {"count": 3, "failed": (0, 1)},
    ],
)
def test_few_trials_are_told_too(options: dict[str, object], tmp_path: Path) -> None:
    record = read_tuning(write_tuning(tmp_path / "run", **options))  # type: ignore[arg-type]
    finding = find_tuned(record)
    assert finding.headline
    Tags().feed(render_tuning(record))
    if not record.complete:
        assert finding.headline == "No trial is complete yet"


def test_words_and_tables_say_what_the_trials_say(tmp_path: Path) -> None:
    record = read_tuning(write_tuning(tmp_path / "run"))
    finding = find_tuned(record)
    assert finding.headline == f"{len(record.front)} of 11 trials are on the front"
    assert "Trial 6 (growth.policy = tpe" in finding.explanation
    assert "96.00 % validation accuracy" in finding.explanation
    assert "94.00 % on the test data, which chose nothing" in finding.explanation
    assert "depends most on pruning.target_density (60 % of its variance)" in finding.explanation
    assert "1 of 12 trials failed" in finding.explanation
    table = trials_table(record.trials, record.keys, record.objectives, best=record.best)
    assert len(table.rows) == 11
    assert table.rows[5][:2] == ["6 (best)", "96.00 %"]
    assert importances_table(record.importances).rows[0][:2] == ["pruning.target_density", "60 %"]
    one = read_tuning(write_tuning(tmp_path / "one", names=("training_cost",)))
    assert find_tuned(one).headline == "Trial 0 is best: 1.00 G multiply-adds"


def test_show_list_and_report_know_a_tuning_and_stay_light(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tuning(tmp_path / "runs" / "search-01")
    write_tuning(tmp_path / "runs" / "search-02", is_finished=False, count=5)
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert list(listed.values()) == [
        "finished, 12 trials",
        "unfinished, 5 of 12 trials; the same `tune` command goes on",
    ]
    assert main(["show", "search-01", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["best"] == 6
    assert shown["best"] in shown["front"]
    assert shown["importances"]["val_accuracy"] == SHARES
    assert main(["show", "search-02"]) == 0
    assert "diverges: <script>" in capsys.readouterr().out
    for command in ("show", "report", "list"):
        words = [command] if command == "list" else [command, "search-01"]
        code = f"from recursive_lth.cli import main; assert main({words!r}) == 0"
        assert heavy_modules(code, folder=tmp_path) == ""
    assert (tmp_path / "runs" / "search-01" / "report.html").is_file()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", "{}"),
        ("summary.json", "["),
        ("experiment.toml", 'command = "tune"\n'),
    ],
)
def test_a_damaged_folder_is_said(name: str, text: str, tmp_path: Path) -> None:
    folder = write_tuning(tmp_path / "run")
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(DamagedFileError, match=name):
        read_tuning(folder)


def test_a_trial_without_its_numbers_is_said(tmp_path: Path) -> None:
    folder = write_tuning(tmp_path / "run", is_finished=False)
    (folder / "trials.jsonl").write_text('{"trial": 0}\n', "utf-8")
    with pytest.raises(DamagedFileError, match="lacks"):
        read_tuning(folder)
