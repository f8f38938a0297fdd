"""The report of a study: one HTML page that stands alone, and its file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from recursive_lth.files import write_atomic
from recursive_lth.report.page import list_cost
from recursive_lth.report.quantities import UNKNOWN, operations, percent, signed
from recursive_lth.report.study_answer import find_study, sentence
from recursive_lth.report.study_curves import draw_accuracy, draw_last, draw_loss
from recursive_lth.report.study_forest import draw_forest
from recursive_lth.report.study_pairs import draw_contrast
from recursive_lth.report.study_panel import MOST_BANDS, draw_along, draw_strips
from recursive_lth.report.study_record import Row, StudyRecord, read_study
from recursive_lth.report.study_table import (
    arms_table,
    lineage_panel_table,
    measures_table,
    pairs_of_seeds,
    panel_table,
    tell_claim,
    verdicts_table,
    write_probability,
)
from recursive_lth.report.study_values import spell, write_change, write_interval, write_moment
from recursive_lth.report.table import Table
from recursive_lth.report.template import Rows, fill_template, list_settings, list_values
from recursive_lth.report.tickets_answer import Finding
from recursive_lth.statistics import LEVEL

Draw = Callable[[StudyRecord], str | None]


def _of_arms(draw: Draw) -> Draw:
    """Nothing along a lineage, whose generations would lie over each other as one arm."""
    return lambda record: None if record.is_lineage else draw(record)


FIGURES: dict[str, Draw] = {
    "forest": draw_forest,
    "last": _of_arms(draw_last),
    "loss": _of_arms(draw_loss),
    "accuracy": _of_arms(draw_accuracy),
    "along": draw_along,
}


class Hypothesis(NamedTuple):
    """One contrast as the page shows it."""

    anchor: str
    name: str
    claim: str
    verdict: str
    words: str
    figure: str
    facts: Rows
    pairs: Table


class Panel(NamedTuple):
    """One measure as the page shows it."""

    name: str
    about: str
    figure: str


def write_study_report(folder: Path) -> Path:
    """The path of the `report.html` written into a study's folder; whole or not at all.

    Raises what `read_study` raises, and `InputError` where the folder cannot be written.
    """
    return write_atomic(folder / "report.html", render_study(read_study(folder)))


def render_study(record: StudyRecord) -> str:
    """The HTML text of a study's report; the same text for the same record."""
    summary, experiment = record.summary or {}, record.experiment
    drawn = {name: draw(record) for name, draw in FIGURES.items()}
    moments = sorted({float(reading["moment"]) for reading in record.readings})
    return fill_template(
        "study.html",
        name=str(experiment.get("name", record.folder.name)),
        claim=str(experiment.get("claim", "")),
        digest=str(summary.get("digest", ""))[:12],
        seeds=record.seeds,
        is_finished=record.summary is not None,
        is_lineage=record.is_lineage,
        has_bands=len(record.arms) <= MOST_BANDS,
        finding=Finding(*(words.replace(" %", "\u00a0%") for words in find_study(record))),
        figures={name: svg for name, svg in drawn.items() if svg is not None},
        hypotheses=[show(verdict, number) for number, verdict in enumerate(record.verdicts, 1)],
        verdicts=verdicts_table(record),
        panels=[] if record.is_lineage else list_panels(record),
        tables=[(write_moment(moment), panel_table(record, moment)) for moment in moments]
        if not record.is_lineage
        else [("generations", lineage_panel_table(record))],
        arms=arms_table(record),
        measures=measures_table(record),
        level=percent(record.family.get("level", LEVEL), digits=0),
        correction=str(record.family.get("correction", "Holm 1979")),
        settings=list_study_settings(experiment),
        cost=list_study_cost(summary.get("cost", {})),
        versions=list_values(summary.get("versions", {})),
        machine=list_values(summary.get("machine", {})),
    )


def list_study_cost(cost: Row) -> list[tuple[str, str]]:
    """What a study took, in words: as planned for all seeds, and the time of its last process."""
    planned = [
        (words, f"{operations(cost[key])} multiply-adds")
        for key, words in (
            ("multiply_adds", "training, planned"),
            ("probing_multiply_adds", "of this by measures"),
        )
        if key in cost
    ]
    return [*planned, *list_cost(cost)]


def show(verdict: Row, number: int) -> Hypothesis:
    """One verdict as a section of the page; its anchor tells its number and its name."""
    slug = re.sub(r"[^a-z0-9]+", "-", str(verdict["name"]).lower()).strip("-")
    return Hypothesis(
        anchor=f"hypothesis-{number}-{slug}".strip("-"),
        name=str(verdict["name"]),
        claim=tell_claim(verdict),
        verdict=str(verdict["verdict"]),
        words=sentence(str(verdict["words"])),
        figure=draw_contrast(verdict) or "",
        facts=list_facts(verdict),
        pairs=pairs_of_seeds(verdict),
    )


def list_facts(verdict: Row) -> Rows:
    """The numbers of a verdict, each with its name."""
    unit, effect, budget = verdict["unit"], verdict["effect"], verdict["budget"] or {}
    standardised = verdict["standardised"]
    facts = [
        (f"{verdict['arm']} minus {verdict['rival']}", write_change(effect.get("mean"), unit)),
        ("95 % interval", write_interval(effect, unit)),
        *_resampled(effect, unit),
        ("in standard deviations", UNKNOWN if standardised is None else signed(standardised, 2)),
        ("p, two-sided", write_probability(verdict["p"])),
        ("p by sign flips", write_probability(verdict["p_exact"])),
        ("p, corrected", write_probability(verdict["p_holm"])),
        ("pairs", str(len(verdict["pairs"]))),
        ("seeds for 80 % power", _or_dash(verdict["seeds_needed"])),
        ("differ in", ", ".join(verdict.get("factors", ())) or UNKNOWN),
        (f"multiply-adds of {verdict['arm']}", _spent(budget.get("arm"))),
        (f"multiply-adds of {verdict['rival']}", _spent(budget.get("rival"))),
    ]
    if verdict.get("is_unequal"):
        facts.append(("cost", "unequal, as declared"))
    if verdict["margin"]:
        margin = write_change(verdict["margin"], unit).replace("+", "±")
        facts.append(("no difference within", margin))
        facts.append(("p of lying within, corrected", write_probability(_within(verdict))))
    if verdict["lacking"]:
        facts.append(("without a value", f"seed {', '.join(map(str, verdict['lacking']))}"))
    return facts


def list_study_settings(experiment: Row) -> list[tuple[str, Rows]]:
    """The settings of a study: contrasts and tasks one by one; arms have a table of their own."""
    plain = {key: value for key, value in experiment.items() if key not in {"arms", "tasks"}}
    study = dict(experiment.get("study", {}))
    contrasts = [str(line).partition(":") for line in study.pop("contrasts", ())]
    if "study" in plain:
        plain["study"] = study
    tasks = {
        f"task {task.get('name')}": {key: value for key, value in task.items() if key != "name"}
        for task in experiment.get("tasks", ())
    }
    told = [("contrasts", [(name, line.strip()) for name, _, line in contrasts])] * bool(contrasts)
    return [*list_settings(plain), *told, *list_settings(tasks)]


def list_panels(record: StudyRecord) -> list[Panel]:
    """Each measure that says something, drawn, and what it means."""
    panels = []
    for measure, about in record.about.items():
        figure = draw_strips(record, measure)
        if figure is not None:
            unit, better = about.get("unit"), about.get("better")
            told = [str(unit)] if unit and unit != "share" else []
            told += [f"{better} is better"] if better else []
            name = f"{spell(measure)} ({', '.join(told)})" if told else spell(measure)
            panels.append(Panel(name, str(about.get("about", "")), figure))
    return panels


def _resampled(effect: Row, unit: str) -> Rows:
    ends = effect.get("resampled")
    if not ends:
        return []
    found = write_interval({"low": ends[0], "high": ends[1]}, unit)
    return [("95 % by bootstrap", found)]


def _within(verdict: Row) -> float | None:
    found: float | None = verdict.get("p_within_holm")
    return found


def _spent(number: float | None) -> str:
    return UNKNOWN if number is None else operations(number)


def _or_dash(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)
