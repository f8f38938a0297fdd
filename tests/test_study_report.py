"""The report of a study: its folder is read, told and drawn on one page."""

import json
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import matplotlib
import pytest
from fake_studies import LINES, MEASURES, MOVES, UNIT, write_lineage_study, write_study
from test_report import Tags

from recursive_lth.files import read_json, read_lines, write_json
from recursive_lth.report.study_answer import find_study, headline_of
from recursive_lth.report.study_page import FIGURES, render_study, write_study_report
from recursive_lth.report.study_record import read_study
from recursive_lth.report.study_table import lineage_panel_table, measures_table, panel_table

LABELS = {
    "forest": "standardised effects with intervals",
    "last": "validation loss in the last training of each arm",
    "loss": "validation loss against multiply-adds, by arm",
    "accuracy": "validation accuracy against multiply-adds, by arm",
    "along": "the panel along the trainings",
}


def rows_of(page: str, first: str) -> list[list[str]]:
    """The text of every cell of the table whose first header is this."""
    for table in re.findall(r"<table>(.*?)</table>", page, re.DOTALL):
        rows = [
            [unescape(re.sub(r"<.*?>", "", cell)).strip() for cell in
             re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        ]  # fmt: skip
        if rows[0][0] == first:
            return rows
    raise AssertionError(f"no table of {first}")


def edit_verdicts(folder: Path, number: int, **values: Any) -> None:
    """Write other values into one verdict of a study."""
    found = read_json(folder / "verdicts.json")
    found["verdicts"][number] |= values
    write_json(folder / "verdicts.json", found)


def points(difference: float) -> str:
    """A difference of shares as it stands in the table."""
    return f"{100 * difference:+.2f}".replace("-", "−")


def test_numbers_of_the_verdicts_are_those_of_the_file(tmp_path: Path) -> None:
    """Effect, interval, p and n of each row, written here anew from `verdicts.json`."""
    folder = write_study(tmp_path / "run")
    rows = rows_of(write_study_report(folder).read_text("utf-8"), "hypothesis")
    verdicts = read_json(folder / "verdicts.json")["verdicts"]
    assert len(rows) == 1 + len(verdicts) == 5
    for row, verdict in zip(rows[1:], verdicts, strict=True):
        effect = verdict["effect"]
        assert row[0] == verdict["name"]
        assert row[4:6] == [f"{verdict['p']:.3f}", f"{verdict['p_holm']:.3f}"]
        assert row[6] == str(verdict["n"])
        assert row[7].split()[-1] == verdict["verdict"]
        if verdict["unit"] == "share":
            assert row[2] == f"{points(effect['mean'])} points"
            assert row[3] == f"{points(effect['low'])} to {points(effect['high'])}"
        else:
            assert row[2] == f"−{abs(effect['mean']) / 1e6:.1f} M"
    assert {row[7].split()[-1] for row in rows[1:]} == {"supported", "refuted", "undecided"}


def test_numbers_of_the_panel_are_those_of_the_readings(tmp_path: Path) -> None:
    """Mean and spread of each arm's last training after it, by hand from `readings.jsonl`."""
    folder = write_study(tmp_path / "run")
    page = write_study_report(folder).read_text("utf-8")
    last = [r for r in read_lines(folder / "readings.jsonl")
            if r["training"] == 1 and r["moment"] == 1]  # fmt: skip
    for row in rows_of(page, "arm")[1:]:
        mine = [line for line in last if line["arm"] == row[0]]
        tested = [line["values"]["test_accuracy"] for line in mine]
        assert row[1] == ", ".join(MOVES[row[0]])
        assert row[2] == "600 M"
        assert row[4] == f"{100 * fmean(tested):.2f} % ± {100 * stdev(tested):.2f}"
        assert row[5] == "5"
    table = panel_table(read_study(folder), 1.0)
    shown = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    assert list(shown) == [name.replace("_", " ") for name in MEASURES]
    reached = [line["values"]["cost_to_target"] for line in last if line["arm"] == "pruned"]
    known = [value for value in reached if value is not None]
    assert len(known) == 4  # one seed never reaches its target
    told = shown["cost to target"]["pruned"]
    assert told == f"{fmean(known) / 1e6:.3g} M ± {stdev(known) / 1e6:.3g} M (4 of 5)"
    assert shown["effective rank"]["untouched"] == "–"
    assert [row[0] for row in panel_table(read_study(folder), 0.0).rows] == [
        *("dormant units", "gradient norm", "sharpness", "effective rank"),
    ]


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({}, set()),
        ({"is_finished": False}, {"forest"}),
        ({"lines": ()}, {"forest"}),
        ({"arms": ("grown",), "lines": (), "seeds": 1}, {"forest", "last"}),
        ({"seeds": 1}, set()),
        ({"seeds": 2}, set()),
        ({"trainings": (1,)}, {"along"}),
        ({"trainings": (1,), "moments": (0.0, 0.5, 1.0)}, set()),
        ({"moments": (1.0,)}, set()),
        ({"arms": (), "lines": (), "is_finished": False}, set(LABELS)),
    ],
)
def test_what_there_is_to_show_is_drawn(
    options: dict[str, Any], missing: set[str], tmp_path: Path
) -> None:
    """With any number of arms, seeds and moments, finished or not."""
    assert set(LABELS) == set(FIGURES)
    record = read_study(write_study(tmp_path / "run", **options))
    page, tags = render_study(record), Tags()
    tags.feed(page)
    assert tags.wrong == tags.open == []
    drawn = {name for name, label in LABELS.items() if f'aria-label="{label}"' in page}
    assert drawn == set(LABELS) - missing
    assert ("This study is not finished" in page) == (record.summary is None)


def test_every_hypothesis_has_a_place_that_its_row_leads_to(tmp_path: Path) -> None:
    """Also where two names differ only in signs that no address has."""
    lines = [("a > b", *LINES[0][1:]), ("a < b", *LINES[1][1:]), ("—", *LINES[2][1:])]
    tags = Tags()
    tags.feed(render_study(read_study(write_study(tmp_path / "run", lines=lines))))
    every = [value for name, value in tags.attributes if name == "id"]
    assert len(set(every)) == len(every)
    ids = [place for place in every if place.startswith("hypothesis")]
    assert ids == ["hypothesis-1-a-b", "hypothesis-2-a-b", "hypothesis-3"]
    links = [value for name, value in tags.attributes if name == "href" and value[1:] in ids]
    assert links == [f"#{place}" for place in ids]


def test_what_users_write_is_escaped_and_the_page_needs_no_network(tmp_path: Path) -> None:
    page = write_study_report(write_study(tmp_path / "run")).read_text("utf-8")
    for raw in ("<script", "fresh_<b>", "<i>helps"):
        assert raw not in page
    assert "inheritance &lt;i&gt;helps&lt;/i&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert not re.search(r"url\((?!#)|<(?:link|img|iframe|object)\b|@import", page)


def test_the_same_study_gives_the_same_page(tmp_path: Path) -> None:
    record = read_study(write_study(tmp_path / "run"))
    first = render_study(record)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        assert render_study(record) == first


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (["supported"], "The hypothesis is supported"),
        (["undecided"] * 2, "Both hypotheses are undecided"),
        (["refuted"] * 3, "All three hypotheses are refuted"),
        (
            ["refuted", "supported", "undecided", "supported"],
            "Two of four hypotheses are supported, one refuted, one undecided",
        ),
        (["undecided"] * 13 + ["refuted"], "One of 14 hypotheses is refuted, 13 undecided"),
    ],
)
def test_the_headline_counts(verdicts: list[str], words: str, tmp_path: Path) -> None:
    record = read_study(write_study(tmp_path / "run", seeds=2))
    one = record.verdicts[0]
    record.verdicts[:] = [{**one, "verdict": verdict} for verdict in verdicts]
    assert headline_of(record) == find_study(record).headline == words


def test_the_lead_tells_effects_and_names_what_is_open(tmp_path: Path) -> None:
    record = read_study(write_study(tmp_path / "run"))
    told = find_study(record).explanation
    mean = abs(record.verdicts[0]["effect"]["mean"])
    assert f"grown against pruned −{mean / 1e6:.1f} M in cost to target" in told
    assert "Undecided: growth wakes units." in told
    assert told.endswith("Six measures of four arms over five seeds.")
    begun = read_study(write_study(tmp_path / "begun", is_finished=False))
    assert find_study(begun).headline == "Six measures of four arms over five seeds"
    assert find_study(begun).explanation == "Verdicts come at its end."


def test_a_section_says_what_limits_its_verdict(tmp_path: Path) -> None:
    """A seed without a value, unequal cost, and a claim refuted by lying within its margin."""
    folder = write_study(tmp_path / "run")
    edit_verdicts(folder, 1, is_unequal=True, budget={"arm": 6 * UNIT, "rival": 9 * UNIT})
    edit_verdicts(folder, 3, verdict="refuted", margin=0.05, p_within_holm=0.004)
    page = write_study_report(folder).read_text("utf-8")
    first, second, _, fourth = re.findall(r'<section id="hypothesis.*?</section>', page, re.DOTALL)
    facts = [facts_of(section) for section in (first, second, fourth)]
    assert facts[0]["without a value"] == "seed 1"
    assert facts[0]["pairs"] == "4"
    assert "cost" not in facts[0]
    assert facts[1]["cost"] == "unequal, as declared"
    assert facts[1]["multiply-adds of untouched"] == "900 M"
    assert facts[2]["no difference within"] == "±5.00 points"
    assert facts[2]["p of lying within, corrected"] == "0.004"
    assert "In cost_to_target n = 4: supported." in first
    assert rows_of(page, "hypothesis")[4][5] == "0.004 within margin"


def facts_of(section: str) -> Mapping[str, str]:
    """The numbers beside a figure by their names."""
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", section))


def test_a_verdict_without_any_value_has_a_section(tmp_path: Path) -> None:
    """Where no seed has a value of both arms nothing is known but the seeds that lack it."""
    folder = write_study(tmp_path / "run", seeds=2)
    lacking = [{"seed": seed, "arm": 1.0, "rival": None} for seed in (0, 1)]
    nothing = dict.fromkeys(("mean", "sd", "low", "high", "resampled"))
    unknown = dict.fromkeys(("p", "p_exact", "p_holm", "standardised", "seeds_needed", "budget"))
    edit_verdicts(folder, 0, **unknown, effect=nothing, pairs=lacking, verdict="undecided", n=0)
    record = read_study(folder)
    page = render_study(record)
    section = re.search(r'<section id="hypothesis-1.*?</section>', page, re.DOTALL)
    assert section is not None
    assert "<svg" not in section.group()
    assert facts_of(section.group())["without a value"] == "seed 0, 1"
    assert rows_of(page, "hypothesis")[1][2:7] == ["–", "–", "–", "–", "0"]


def test_measures_tell_what_they_cost(tmp_path: Path) -> None:
    """As `summary.json` has it: passes, epochs, and whether a parent is trained."""
    folder = write_study(tmp_path / "run")
    found = json.loads((folder / "summary.json").read_text("utf-8"))
    found["measures"]["effective_rank"]["trains_parent"] = True
    (folder / "summary.json").write_text(json.dumps(found), "utf-8")
    costs = {row[0]: row[3] for row in measures_table(read_study(folder)).rows}
    assert costs["sharpness"] == "40 passes, 2 epochs"
    assert costs["effective rank"] == "0.33 passes, the parent's training"
    assert costs["test accuracy"] == "–"


def test_the_page_tells_what_the_study_took(tmp_path: Path) -> None:
    """What `summary.json` of a study has: planned multiply-adds and the seconds."""
    page = render_study(read_study(write_study(tmp_path / "run")))
    told = dict(re.findall(r"<dt>([^<]*)</dt>\s*<dd>([^<]*)</dd>", page))
    assert told["training, planned"] == "10.0 G multiply-adds"
    assert told["of this by measures"] == "2.00 G multiply-adds"


def test_a_lineage_tells_where_seeds_have_no_value(tmp_path: Path) -> None:
    """What some seeds never reach must not read as if all had: the mean is that of the others."""
    folder = write_lineage_study(tmp_path / "run", generations=2, seeds=3)
    path = folder / "readings.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        if line["arm"] == "generation-000" or line["seed"] != 2:
            line["values"]["sharpness"] = None
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    rows = {row[0]: row[2:] for row in lineage_panel_table(read_study(folder)).rows}
    assert rows["sharpness"] == ["–", "20 (1 of 3)"]


def test_a_lineage_is_shown_generation_by_generation(tmp_path: Path) -> None:
    record = read_study(write_lineage_study(tmp_path / "run", generations=5, seeds=2))
    table = lineage_panel_table(record)
    shown = {row[0]: row[2:] for row in table.rows}
    assert table.headers[2:] == [f"generation {n}" for n in range(5)]
    assert shown["test accuracy"][0] == "93.10 % ± 0.14"
    assert shown["sharpness"] == ["10 ± 0", "20 ± 0", "40 ± 0", "80 ± 0", "160 ± 0"]
    page = render_study(record)
    assert "<h1>Six measures along five generations</h1>" in page
    told = find_study(record).explanation
    assert told.endswith("sharpness from 10 to 160, test accuracy from 93.10 % to 97.10 %.")
    assert f'aria-label="{LABELS["along"]}"' in page
    assert 'id="hypothesis' not in page
    alone = render_study(read_study(write_lineage_study(tmp_path / "one", generations=1)))
    assert "<h1>Six measures along one generation</h1>" in alone
