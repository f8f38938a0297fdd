"""The folder of a study: read whole or half written, and known to the commands."""

import json
from pathlib import Path

import pytest
from fake_studies import MEASURES, write_lineage_study, write_study
from test_house import heavy_modules

from recursive_lth.cli import main
from recursive_lth.errors import DamagedFileError
from recursive_lth.files import append_line, read_lines
from recursive_lth.report.record import command_of
from recursive_lth.report.study_record import read_study
from recursive_lth.report.study_table import arms_table


def test_what_was_read_twice_holds_as_it_was_read_last(tmp_path: Path) -> None:
    """A study that goes on after a kill may read a moment again; a torn line is left out."""
    folder = write_study(tmp_path / "run", is_finished=False)
    before = len(read_study(folder).readings)
    again = read_lines(folder / "readings.jsonl")[-1]
    again["values"]["sharpness"] = 123.0
    append_line(folder / "readings.jsonl", again)
    with (folder / "readings.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"arm": "gro')
    record = read_study(folder)
    assert len(record.readings) == before
    place = again["training"], again["moment"]
    assert record.values("sharpness", again["arm"], place)[again["seed"]] == 123.0


def test_seeds_that_diverged_are_told(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "run", is_finished=False)
    lost = [row for row in read_lines(folder / "readings.jsonl") if row["seed"] == 2][-1]
    append_line(folder / "readings.jsonl", {**lost, "is_diverged": True})
    counts = {row[0]: row[-1] for row in arms_table(read_study(folder)).rows}
    assert counts.pop(lost["arm"]) == "5, 1 diverged"
    assert set(counts.values()) == {"5"}


def test_show_list_and_report_know_a_study_and_stay_light(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_study(tmp_path / "runs" / "study-01")
    write_study(tmp_path / "runs" / "study-02", is_finished=False, seeds=1)
    write_lineage_study(tmp_path / "runs" / "study-03")
    assert command_of(folder) == "study"
    assert main(["list", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["runs"].values()) == [
        "finished, 80 readings",
        "unfinished, 16 readings; the same `study` command goes on",
        "finished, 5 readings",
    ]
    assert main(["show", "study-01", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["measures"] == MEASURES
    assert [v["verdict"] for v in shown["verdicts"]].count("supported") == 2
    assert main(["show", "study-01"]) == 0
    assert "grown has less cost to target than pruned" in capsys.readouterr().out
    assert main(["show", "study-03"]) == 0
    assert "generation 4" in capsys.readouterr().out
    for words in (["show", "study-01"], ["report", "study-01"], ["list"]):
        code = f"from recursive_lth.cli import main; assert main({words!r}) == 0"
        assert heavy_modules(code, folder=tmp_path) == ""
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("summary.json", "[]", "summary.json"),
        ("verdicts.json", "{", "verdicts.json"),
        ("verdicts.json", '{"verdicts": [{"name": "one"}]}', "lacks arm"),
        ("readings.jsonl", '{"arm": "grown"}\n', "lacks seed, training, moment, values"),
        ("curves.jsonl", '{"arm": "grown"}\n', "lacks seed, training, curve"),
    ],
)
def test_a_damaged_folder_is_said(name: str, text: str, words: str, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "run", seeds=1)
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(DamagedFileError, match=words):
        read_study(folder)
