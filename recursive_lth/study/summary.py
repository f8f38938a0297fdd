"""What a study leaves when it is done: verdicts.json, and summary.json, which marks its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from recursive_lth.config import StudyExperiment
from recursive_lth.files import write_json
from recursive_lth.running.clock import Clock
from recursive_lth.running.machine import machine, versions
from recursive_lth.running.run_folder import RunFolder
from recursive_lth.statistics import average
from recursive_lth.study.arms import Arm, differing_factors
from recursive_lth.study.contrasts import Contrast, readings_of
from recursive_lth.study.fairness import as_compared, contrasts_of
from recursive_lth.study.panel.catalogue import COUNTED_ON
from recursive_lth.study.panel.measure import Measure
from recursive_lth.study.plan import Plan
from recursive_lth.study.verdicts import Case, decide, verdicts_file

FORMAT = 1
Line = dict[str, Any]


def summarise(
    folder: RunFolder,
    experiment: StudyExperiment,
    arms: Mapping[str, Arm],
    panel: Mapping[str, Measure],
    plan: Plan,
    device: str,
    clock: Clock,
) -> None:
    """Decide every contrast, then write the summary."""
    lines = folder.lines()
    cases = [_case(c, lines, arms, panel, plan) for c in contrasts_of(experiment)]
    findings = decide(cases, level=experiment.study.level, seed=experiment.seed)
    decided = verdicts_file(findings)
    write_json(folder.path / "verdicts.json", decided)
    total = clock.total
    write_json(
        folder.summary,
        {
            "format": FORMAT,
            "command": "study",
            "name": experiment.name,
            "digest": experiment.digest,
            "seed": experiment.seed,
            "claim": experiment.claim,
            "arms": [_arm(name, arm, lines, plan) for name, arm in arms.items()],
            "measures": {
                name: {
                    "unit": measure.unit,
                    "better": measure.better,
                    "kind": measure.kind,
                    "about": measure.about,
                    "passes": measure.passes,
                    "epochs": measure.epochs,
                    "trains_parent": measure.trains_parent,
                }
                for name, measure in panel.items()
            },
            "verdicts": {entry["name"]: entry["verdict"] for entry in decided["verdicts"]},
            "cost": {
                **plan.to_dict(),
                "seconds": {"total": total, **clock.seconds},  # of the last process
            },
            "versions": versions(),
            "machine": machine(device, experiment.training.threads),
        },
    )


def _case(
    contrast: Contrast,
    lines: Sequence[Line],
    arms: Mapping[str, Arm],
    panel: Mapping[str, Measure],
    plan: Plan,
) -> Case:
    """A contrast with what was read for it."""
    factors = differing_factors(*as_compared(contrast, arms))
    return Case(
        contrast,
        readings_of(contrast, lines),
        panel[contrast.measure].unit,
        step_of(contrast, plan),
        factors=tuple(sorted(factors)),
        budget=_spent(contrast, lines),
    )


def step_of(contrast: Contrast, plan: Plan) -> float:
    """One sample among those that an accuracy is counted on; 0 of measures that count none."""
    part = COUNTED_ON.get(contrast.measure)
    if part is None:
        return 0.0
    read = (plan.stands[arm].trainings[contrast.training] for arm in (contrast.arm, contrast.rival))
    return 1 / min(plan.counts[done.data][part] for done in read)


def _spent(contrast: Contrast, lines: Sequence[Line]) -> tuple[int, int]:
    """What arm and rival had taken when they were compared, on average over seeds."""
    told = [{**line, "values": {contrast.measure: line["spent"]}} for line in lines]
    spent = readings_of(contrast, told)

    def mean(name: str) -> int:
        return round(average(n for (arm, _), n in spent.items() if arm == name)["mean"] or 0)

    return mean(contrast.arm), mean(contrast.rival)


def _arm(name: str, arm: Arm, lines: Sequence[Line], plan: Plan) -> dict[str, Any]:
    """An arm's moves, its budget, its sizes in the last training, and what is read at its end."""
    of_last = [
        line for line in lines
        if line["arm"] == name and line["training"] == line["trainings"] - 1
    ]  # fmt: skip
    until = max((line["moment"] for line in of_last), default=1.0)
    last = [line for line in of_last if line["moment"] == until]
    names = list(last[0]["values"]) if last else []
    return {
        "name": name,
        "moves": list(arm.texts),
        "budget": plan.budget(name),
        "weights": average(line["remaining_weights"] for line in last),
        "density": average(line["density"] for line in last),
        "depth": average(line["depth"] for line in last),
        "at_end": {}
        if until < 1
        else {key: average(line["values"][key] for line in last) for key in names},
    }
