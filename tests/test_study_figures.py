"""The figures of a study: what they draw is what was read, and any numbers have an axis."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from fake_studies import MOVES, write_study
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from recursive_lth.files import read_lines
from recursive_lth.report.study_curves import draw_last, read_bands
from recursive_lth.report.study_forest import draw_forest, sizes
from recursive_lth.report.study_pairs import draw_contrast
from recursive_lth.report.study_panel import draw_along, draw_strips, read_line, read_strips
from recursive_lth.report.study_record import StudyRecord, read_study
from recursive_lth.report.ticks import set_numbers


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """A whole study of four arms and five seeds."""
    return read_study(write_study(tmp_path_factory.mktemp("studies") / "run"))


def test_effects_lie_to_the_right_where_they_are_as_claimed(record: StudyRecord) -> None:
    """In standard deviations of the pairs: the slow twin takes each pair's difference by hand."""
    for verdict in record.verdicts:
        gains = [pair["arm"] - pair["rival"] for pair in verdict["pairs"]]
        if verdict["direction"] == "less":
            gains = [-gain for gain in gains]
        found = sizes(verdict)
        assert found is not None
        assert found["pairs"] == pytest.approx([gain / stdev(gains) for gain in gains])
        assert found["mean"] == pytest.approx([fmean(gains) / stdev(gains)])
        low, high = found["ends"]
        assert low < found["mean"][0] < high
        assert (found["mean"][0] + found["mean"][0]) == pytest.approx(low + high)
        if verdict["verdict"] != "undecided":
            assert (found["mean"][0] > 0) == (verdict["verdict"] == "supported")


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.1, 0.1]])
def test_pairs_without_a_spread_are_told_in_words(values: list[float], record: StudyRecord) -> None:
    """One pair, none, or pairs all alike have no effect in standard deviations."""
    verdict = one_verdict(record, values)
    assert sizes(verdict) is None
    changed = StudyRecord(Path(), {}, [], [], [verdict], {}, None)
    drawn = draw_forest(changed)
    assert drawn is not None
    assert "no spread to measure by" in drawn
    assert (draw_contrast(verdict) is None) == (not values)


def one_verdict(record: StudyRecord, gains: list[float]) -> dict[str, Any]:
    """A verdict over pairs of these differences, without interval."""
    pairs = [{"seed": i, "arm": 0.5 + gain, "rival": 0.5} for i, gain in enumerate(gains)]
    effect = {
        "mean": fmean(gains) if gains else None,
        "sd": 0.0 if len(gains) > 1 else None,
        "low": None,
        "high": None,
    }
    given = {"pairs": pairs, "effect": effect, "verdict": "undecided", "unit": "share"}
    return {**record.verdicts[0], **given, "p_holm": None}


def test_a_band_is_of_all_seeds_at_one_look(record: StudyRecord) -> None:
    """Means and deviations look by look; at a look that a seed has not come to nothing is drawn."""
    lines = read_lines(record.folder / "curves.jsonl")
    bands = read_bands(lines, "grown", "val_loss")
    assert len(bands) == 2
    for training, band in enumerate(bands):
        curves = [line["curve"] for line in lines if (line["arm"], line["training"]) ==
                  ("grown", training)]  # fmt: skip
        for look in range(21):
            at = [curve[look]["val_loss"] for curve in curves]
            assert band.mean[look] == pytest.approx(fmean(at))
            assert band.high[look] == pytest.approx(min(fmean(at) + stdev(at), max(at)))
            assert min(at) <= band.low[look] <= band.mean[look]
            assert band.spent[look] == pytest.approx(curves[0][look]["spent"])
    short = [{**line, "curve": line["curve"][: 5 + line["seed"]]} for line in lines]
    assert len(read_bands(short, "grown", "val_loss")[0].mean) == 5
    assert read_bands(lines, "nobody", "val_loss") == []


def test_strips_are_of_the_last_training_and_leave_out_who_says_nothing(
    record: StudyRecord,
) -> None:
    lines = read_lines(record.folder / "readings.jsonl")
    strips = read_strips(record, "effective_rank")
    assert [strip.moment for strip in strips] == [0.0, 1.0]
    for strip in strips:
        assert list(strip.values) == [arm for arm in MOVES if arm != "untouched"]
        for arm, values in strip.values.items():
            assert values == [
                line["values"]["effective_rank"]
                for line in lines
                if (line["arm"], line["training"], line["moment"]) == (arm, 1, strip.moment)
            ]
    reached = read_strips(record, "cost_to_target")[0]
    assert reached.lacks == {arm: "4 of 5" if arm == "pruned" else "" for arm in MOVES}
    drawn = draw_strips(record, "cost_to_target")
    assert drawn is not None
    assert "4 of 5" in drawn
    assert [strip.moment for strip in read_strips(record, "test_accuracy")] == [1.0]
    assert draw_strips(record, "unheard_of") is None


def test_a_line_goes_through_trainings_and_moments_in_order(record: StudyRecord) -> None:
    line = read_line(record, "sharpness", "grown")
    assert list(line) == [(0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)]
    assert all(len(values) == 5 for values in line.values())
    assert read_line(record, "effective_rank", "untouched") == {}


def test_too_many_arms_for_one_frame_are_not_drawn_along(record: StudyRecord) -> None:
    """The strips and the numbers show them still."""
    more = [{**r, "arm": f"arm{n}"} for n in range(17) for r in record.readings if
            r["arm"] == "grown"]  # fmt: skip
    crowd = StudyRecord(Path(), {}, more, [], [], {}, record.summary)
    assert draw_along(crowd) is None
    drawn = draw_strips(crowd, "sharpness")
    assert drawn is not None
    assert "arm16" in drawn


@given(
    st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1, max_size=9), st.booleans()
)
def test_any_numbers_have_an_axis_whose_marks_differ(found: list[float], is_share: bool) -> None:
    """Everything is inside the frame, and no two marks in it are written alike."""
    scale = 1e12 if is_share else 1.0
    values = [value / scale for value in found]
    axes = Figure().subplots()
    set_numbers(axes, axes.yaxis, values, is_share=is_share)
    low, high = axes.get_ylim()
    assert low <= min(values) <= max(values) <= high
    marks = [mark for mark in axes.yaxis.get_majorticklocs() if low <= mark <= high]
    written = [axes.yaxis.get_major_formatter()(mark, 0) for mark in marks]
    if high - low > 1e-6 * max(abs(low), abs(high)) and (not is_share or high - low > 1e-4):
        assert len(set(written)) == len(written), written


@given(st.floats(1e-9, 1e9), st.floats(4, 1e6))
def test_numbers_that_differ_by_factors_stand_on_a_scale_of_ratios(
    least: float, ratio: float
) -> None:
    """A decade is as high wherever it lies, and the marks are round."""
    axes = Figure().subplots()
    set_numbers(axes, axes.xaxis, [least, least * ratio], is_share=False)
    assert axes.get_xscale() == "log"
    for mark in axes.xaxis.get_majorticklocs():
        first = mark / 10 ** math.floor(math.log10(mark) + 1e-9)
        assert min(abs(first - digit) for digit in (1, 2, 5)) < 1e-6


def test_last_trainings_that_were_not_made_are_not_drawn(record: StudyRecord) -> None:
    """Earlier ones would stand for them."""
    assert draw_last(record) is not None
    longer = [{**reading, "trainings": reading["trainings"] + 1} for reading in record.readings]
    assert draw_last(replace(record, readings=longer)) is None
