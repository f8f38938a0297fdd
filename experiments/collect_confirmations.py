"""Verdicts of confirmed runs over seeds: how often tickets win against each rival, and by how much.

    python experiments/collect_confirmations.py confirmed_digits runs

writes NAME.json and NAME.md beside this file from the finished runs of that name in a folder.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from recursive_lth.report.confirmations import name_rival
from recursive_lth.report.record import read_run
from recursive_lth.statistics import interval

WORDS = ("won", "tied", "undecided", "lost")


def rows_of(runs: list[dict[str, Any]], *, has_grown: bool) -> list[dict[str, Any]]:
    """One row for each rival of the tickets that have grown, or of those that have not."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        for line in run["tickets"]:
            if line["confirmation"] and (line["growth"] is not None) == has_grown:
                for each in line["confirmation"]["against"]:
                    if each["verdict"]:
                        found.setdefault(each["rival"], []).append(each)
    return [
        {
            "rival": rival,
            "tickets": len(some),
            **dict.fromkeys(WORDS, 0),
            **Counter(each["verdict"] for each in some),
            "mean_gain_of_a_ticket": [100 * each["accuracy"]["mean"] for each in some],
        }
        for rival, some in found.items()
    ]


def main(name: str, folder: str) -> None:
    """Read the runs, write both files."""
    runs = []
    for path in sorted(Path(folder).glob(f"{name}-*")):
        record = read_run(path)
        if record.summary:
            runs.append({"seed": record.experiment["seed"], "tickets": record.generations})
    runs.sort(key=lambda run: run["seed"])
    grown, pruned = rows_of(runs, has_grown=True), rows_of(runs, has_grown=False)
    here = Path(__file__).with_name(name)
    seeds = [run["seed"] for run in runs]
    found = {"seeds": seeds, "grown": grown, "pruned_only": pruned}
    here.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    lines = [f"# {name}, seeds {', '.join(map(str, seeds))}", ""]
    for title, rows in (("Tickets that have grown", grown), ("Pruned only", pruned)):
        lines += [f"{title}; gain in points of validation accuracy, mean ± s.d. over tickets.", ""]
        lines += [f"| against | tickets | {' | '.join(WORDS)} | gain |", "|---" * 7 + "|"]
        lines += [_line(row) for row in rows] + [""]
    here.with_suffix(".md").write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))


def _line(row: dict[str, Any]) -> str:
    gain = interval(row["mean_gain_of_a_ticket"])
    shown = f"{gain['mean']:+.2f}" + ("" if gain["sd"] is None else f" ± {gain['sd']:.2f}")
    counts = " | ".join(str(row[word]) for word in WORDS)
    return f"| {name_rival(row['rival'])} | {row['tickets']} | {counts} | {shown} |"


if __name__ == "__main__":
    main(*sys.argv[1:])
