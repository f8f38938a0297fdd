"""All benchmarks, one after another, and what they claim beside what was found.

    python experiments/benchmarks/run_all.py --data-dir DATA

Each benchmark is a process of its own that writes a JSON of its own; nothing else should run
meanwhile. Then the claims are read from these files, printed, and drawn as run_all.svg: what was
found in units of what is claimed, medians with the middle half of their turns. `--show` reads the
files as they are, `--only` runs some. Ends with 1 where a benchmark failed, a file does not tell
what it should, or a claim is not met. Some four hours on two cores.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from engines import figure_on_paper
from matplotlib.figure import Figure

from recursive_lth.files import canonical_json, read_json, write_atomic
from recursive_lth.report.canvas import LIGHT, draw_svg

HERE = Path(__file__).parent
NEED_DATA = ("prune_together", "workers")


@dataclass(frozen=True)
class Claim:
    """A ratio that is at least, or at most, so much; `turns` are what was found."""

    what: str
    asked: float
    turns: tuple[float, ...]
    is_at_least: bool = True

    @property
    def found(self) -> float:
        return median(self.turns)

    @property
    def quarters(self) -> tuple[float, float]:
        """The middle half of the turns."""
        if len(self.turns) < 2:
            return self.found, self.found
        low, _, high = quantiles(self.turns, n=4)
        return low, high

    @property
    def is_met(self) -> bool:
        return self.found >= self.asked if self.is_at_least else self.found <= self.asked

    @property
    def bound(self) -> str:
        return f"at {'least' if self.is_at_least else 'most'} {self.asked:g}"

    def in_units(self, value: float) -> float:
        """A value as a part of what is claimed, so that 1 or more meets it."""
        return value / self.asked if self.is_at_least else self.asked / value


def of_engines(told: Any) -> list[Claim]:
    """Steps by two threads, and the least under `auto`, against dense ones alone and in company.

    Companies that stay dense are the same program as dense companies, and left out of the latter.
    """
    rows = {row["what"]: row for row in told["rows"] if row["threads"] == 2}
    asked = {
        "784-1024-1024-10, batch 128, 3.6%": 5,
        "784-1024-1024-10, batch 128, 1.0%": 9,
        "16 x LeNet-300-100, 3.6%": 5,
        "64 x 64-64-32-10, 100.0%": 8,
        "64 x 64-64-32-10, mixed widths, 100.0%": 5,
    }
    together = [
        row["company"] | {"what": f"{row['what']} against a dense company"}
        for row in told["rows"]
        if "company" in row and row["sparse_layers"]
    ]
    least = min([*told["rows"], *together], key=lambda row: float(row["ratio"]))
    name = f"least under auto: {least['what']}, threads: {least['threads']}"
    claims = [Claim(what, times, tuple(rows[what]["ratios"])) for what, times in asked.items()]
    return [*claims, Claim(name, 0.97, tuple(least["ratios"]))]


def of_scale(told: Any) -> list[Claim]:
    """Selection and transplant of 100 million weights."""
    rows = {row["setting"]: row for row in told["rows"]}
    found = []
    for setting in ("1 % remains", "1 % goes"):
        row, name = rows[f"selection, {setting}"], f"selection of 10^8, {setting}"
        found.append(Claim(name, 3, _ratios(row["seconds"], "torch", "ours")))
        part = (row["peak_ratio"],)
        found.append(Claim(f"{name}: memory, part of torch's", 0.5, part, is_at_least=False))
    copies = _ratios(rows["transplant, wider"]["seconds"], "ours", "clone")
    return [*found, Claim("transplant of 10^8, in plain copies", 3, copies, is_at_least=False)]


def of_exponents(told: Any) -> list[Claim]:
    """How fast cost grows at most; a run's time beside what it trains."""
    run = told["seconds by generations"]
    time, work = (run[f"{n} so far"]["exponent"] for n in ("seconds", "1e9 multiply-adds"))
    found = [
        (curve["exponent"], f"{name}, {panel}")
        for panel, curves in told.items()
        if panel.startswith(("seconds by", "megabytes by")) and curves is not run
        for name, curve in curves.items()
    ]
    most, name = max(found)
    return [
        Claim(f"largest exponent: {name}", 1.2, (most,), is_at_least=False),
        Claim("exponent of a run's time, part of its work's", 1, (time / work,), is_at_least=False),
    ]


def of_prune_together(told: Any) -> list[Claim]:
    """230 networks, and how far apart their two tables may be, in points of accuracy."""
    overall = told["overall"]
    apart = 100 * max(abs(overall["low"]), abs(overall["high"]))
    return [
        Claim(f"prune, {told['epochs']:g} epochs a level", 3, tuple(told["ratios"])),
        Claim("its tables: points apart, 95 % bound", 0.1, (apart,), is_at_least=False),
    ]


def of_workers(told: Any) -> list[Claim]:
    """Twice the workers."""
    names = ("candidates", "tickets", "trials")
    return [Claim(f"two workers, {n}", 1.7, tuple(told[n]["ratios"])) for n in names]


def of_training_loop(told: Any) -> list[Claim]:
    """Our loop against one written by hand."""
    return [
        Claim(
            f"a loop by hand, {row['optimizer']}, batch {row['batch_size']}",
            0.9,
            tuple(row["throughput_ratios"]),
        )
        for row in told["rows"]
    ]


def of_graphs(told: Any) -> list[Claim]:
    """On a GPU."""
    return [
        Claim("LeNet-300-100 recorded", 3, tuple(told["lone"]["ratios"])),
        Claim("32 tickets, in steps of one", 3, tuple(told["together"]), is_at_least=False),
    ]


READERS: dict[str, Callable[[Any], list[Claim]]] = {
    "training_loop": of_training_loop,
    "engines": of_engines,
    "scale": of_scale,
    "exponents": of_exponents,
    "prune_together": of_prune_together,
    "workers": of_workers,
    "graphs": of_graphs,
}


def _ratios(seconds: Any, slow: str, fast: str) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


def run(name: str, data_dir: Path | None) -> bool:
    """One benchmark, in a process of its own; True where it came to an end."""
    if name == "graphs" and not torch.cuda.is_available():
        print("\ngraphs: left out, no GPU here", flush=True)
        return True
    told = ["--data-dir", str(data_dir)] if name in NEED_DATA else []
    print(f"\n{name}", flush=True)
    script = HERE / f"{name}.py"
    return subprocess.run([sys.executable, str(script), *told]).returncode == 0  # noqa: S603  ours


def claims(folder: Path = HERE) -> tuple[list[Claim], list[str]]:
    """All that the files of a folder tell, and the benchmarks whose do not, each said why."""
    found, silent, machines = list[Claim](), list[str](), dict[str, str]()
    for name, reader in READERS.items():
        path = folder / f"{name}.json"
        if not path.exists():
            print(f"{name}: not measured")
            silent.append(name)
            continue
        told = read_json(path)
        try:
            machines[name] = canonical_json(told["machine"])
            found += reader(told)
        except KeyError as error:
            print(f"{path.name} lacks {error}: it is of an older version, run {name} anew")
            silent.append(name)
    usual = max(machines.values(), key=[*machines.values()].count, default="")
    for name, machine in machines.items():
        if machine != usual:
            print(f"{name} is of another machine than most: {machine}")
    return found, silent


def show(found: Sequence[Claim]) -> None:
    """A line for each claim."""
    for claim in found:
        low, high = claim.quarters
        print(
            f"{'met ' if claim.is_met else 'MISS'} {claim.what:58} {claim.found:6.2f} "
            f"({low:.2f} to {high:.2f}, n={len(claim.turns)}), {claim.bound}"
        )


def figure_of(found: Sequence[Claim]) -> str:
    """A bar for each claim, in units of it."""
    shown = list(found)[::-1]

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        for y, claim in enumerate(shown):
            colour = LIGHT["accent" if claim.is_met else "test"]
            axes.barh(y, claim.in_units(claim.found), color=colour, alpha=0.55, height=0.62)
            half = [claim.in_units(value) for value in claim.quarters]
            axes.plot(half, [y, y], color=colour, linewidth=1.6)
            axes.text(max(half) + 0.04, y, f"{claim.found:.2f}", va="center", size=9)
        axes.axvline(1, color=LIGHT["ink"], linewidth=0.8)
        axes.margins(x=0.08)
        axes.set_yticks(range(len(shown)), [f"{claim.what}: {claim.bound}" for claim in shown])
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_title("Found, in units of claims")
        axes.set_xlabel("1 meets a claim; numbers: what was found")

    return figure_on_paper(draw_svg("claims of all benchmarks", 1080, 60 + 21 * len(shown), paint))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="where MNIST lies")
    parser.add_argument("--only", choices=READERS, nargs="+", default=list(READERS))
    parser.add_argument("--show", action="store_true", help="what was found before; run nothing")
    arguments = parser.parse_args()
    wanted = [] if arguments.show else arguments.only
    if arguments.data_dir is None and (needy := [name for name in wanted if name in NEED_DATA]):
        parser.error(
            f"{', '.join(needy)}: say where MNIST lies by --data-dir, or run --only others"
        )
    failed = [name for name in wanted if not run(name, arguments.data_dir)]
    found, silent = claims()
    show(found)
    write_atomic(Path(__file__).with_suffix(".svg"), figure_of(found))
    if failed:
        print(f"failed: {', '.join(failed)}")
    untold = [name for name in silent if name != "graphs" or torch.cuda.is_available()]
    sys.exit(1 if failed or untold or not all(claim.is_met for claim in found) else 0)


if __name__ == "__main__":
    main()
