"""A finished study as a table beside its experiment: verdicts, arms, cost.

    python experiments/collect_study.py runs/NAME-DIGEST

writes NAME.json (its verdicts and arms) and NAME.md beside this file.
"""

import argparse
from pathlib import Path
from typing import Any

from recursive_lth.cli.runs import find_run
from recursive_lth.config_file import read_toml
from recursive_lth.files import read_json, write_atomic, write_json
from recursive_lth.report.quantities import count, operations
from recursive_lth.report.study_record import read_study
from recursive_lth.report.study_values import write_change, write_interval

HERE = Path(__file__).parent
MOST_OF_A_SETTING = 80  # characters


def differences(run: Path, name: str) -> list[str]:
    """What the run was told besides what the experiment's file says, as for `--set`."""
    shipped, used = read_toml(HERE / f"{name}.toml"), read_toml(run / "experiment.toml")
    found = []
    for section in ("data", "study", "training", "start"):
        own = shipped.get(section, {})
        for key, value in used[section].items():
            if key in own and own[key] != value and len(str(value)) < MOST_OF_A_SETTING:
                found.append(f"{section}.{key}={value}")
    limit = used["data"]["train_limit"]
    if limit != shipped["data"].get("train_limit", 0):
        found.append(f"data.train_limit={limit}")
    if used["seed"] != shipped["seed"]:
        found.append(f"seed={used['seed']}")
    return sorted(set(found))


def verdict_row(verdict: dict[str, Any]) -> str:
    """One contrast as a line of the table."""
    unit, p = verdict["unit"], verdict["p_holm"]
    place = f"{verdict['measure']} at {verdict['moment']:g}"
    sign = ">" if verdict["direction"] == "more" else "<"
    return (
        f"| {verdict['name']} | {verdict['arm']} {sign} {verdict['rival']} in {place} | "
        f"{write_change(verdict['effect']['mean'], unit)} | "
        f"{write_interval(verdict['effect'], unit)} | "
        f"{'' if p is None else '<.001' if p < 0.001 else f'{p:.3f}'} | "
        f"{len(verdict['pairs'])} | {verdict['verdict']} |"
    )


def arm_row(arm: dict[str, Any]) -> str:
    """One arm as a line of the table."""
    tested = arm["at_end"].get("test_accuracy")
    spread = f" ± {100 * tested['sd']:.2f}" if tested and tested["sd"] is not None else ""
    accuracy = f"{100 * tested['mean']:.2f}{spread} %" if tested else ""
    return (
        f"| {arm['name']} | {', '.join(arm['moves'])} | {operations(arm['budget'])} | "
        f"{count(round(arm['weights']['mean'] or 0))} | {accuracy} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run")
    run = find_run(parser.parse_args().run, Path("runs"))
    record, summary = read_study(run), read_json(run / "summary.json")
    name, seconds = summary["name"], summary["cost"]["seconds"]["total"]
    told = differences(run, name)
    head = [
        f"# {name}", "", summary["claim"], "",
        f"{summary['cost']['seeds']} seeds an arm; {operations(summary['cost']['multiply_adds'])} "
        f"multiply-adds in all, {seconds / 60:.0f} minutes on a shared machine of two cores"
        + (f"; with `--set {' --set '.join(told)}`." if told else "."),
        "Effects are arm minus rival, paired over seeds, with 95 % t intervals; p is two-sided and",
        "corrected for all contrasts of the study (Holm 1979).", "",
        "| hypothesis | contrast | effect | interval | p | n | verdict |",
        "|---|---|---|---|---|---|---|",
        *map(verdict_row, record.verdicts), "",
        "| arm | moves | multiply-adds | weights | test accuracy |", "|---|---|---|---|---|",
        *map(arm_row, summary["arms"]), "",
    ]  # fmt: skip
    write_atomic(HERE / f"{name}.md", "\n".join(head))
    kept = {key: summary[key] for key in ("name", "claim", "seed", "arms", "versions", "machine")}
    verdicts = read_json(run / "verdicts.json")
    write_json(HERE / f"{name}.json", {**kept, "told": told, **verdicts})


if __name__ == "__main__":
    main()
