"""`recursive-lth study`: a network, a run or arms of an experiment under the panel."""

import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from recursive_lth import shelf
from recursive_lth.cli import options, screen
from recursive_lth.cli.progress import STUDY, following
from recursive_lth.cli.runs import find_run
from recursive_lth.cli.show import print_study, study_as_json
from recursive_lth.config import StudyExperiment, nearest
from recursive_lth.config_file import (
    experiment_to_toml,
    override,
    plain,
    read_toml,
    study_experiment_from,
)
from recursive_lth.errors import InputError
from recursive_lth.files import read_json
from recursive_lth.report.quantities import UNKNOWN, count, operations, percent
from recursive_lth.report.study_record import read_study
from recursive_lth.report.study_values import write_change
from recursive_lth.report.table import Table

EXAMPLES = """Examples:
  recursive-lth study                                  # digits: what ages a network, what does not
  recursive-lth study juvenile_factors_mnist --workers 2 --data-dir ~/data
  recursive-lth study juvenile_factors_mnist --plan    # arms, contrasts, power; nothing runs
  recursive-lth study grow_digits                      # the panel along a run's lineage
  recursive-lth study runs/grow_digits-*/tickets/TICKET.safetensors --panel all
"""
Subject = Annotated[
    str,
    Parameter(
        help="An experiment of `study` (a name or a file .toml), a run of `grow` (its folder, or "
        "how its name in --out begins), or a ticket's file."
    ),
]
Panel = Annotated[
    list[str] | None,
    Parameter(
        name="--panel", negative=(), consume_multiple=False,
        help="A measure to read: a name of `list`, or default or all for a set; repeatable.",
    ),
]  # fmt: skip
Seeds = Annotated[int | None, Parameter(name="--seeds", help="How many seeds each arm has.")]
Plan = Annotated[
    bool,
    Parameter(
        name="--plan", negative=(), help="Print arms, contrasts, cost and power; run nothing."
    ),
]


def study(
    subject: Subject = "study_digits",
    /,
    *,
    panel: Panel = None,
    seeds: Seeds = None,
    seed: options.Seed = None,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs"),
    device: options.Device = "auto",
    engine: options.Engine = None,
    precision: options.Precision = None,
    settings: options.Settings = None,
    resume: options.Resume = "auto",
    workers: options.Workers = "1",
    plan: Plan = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure what keeps networks young: a panel of measures, arms in contrast, and verdicts.

    The same command goes on where it was stopped; a finished study is shown, not run again.
    """
    given = {
        "study.panel": panel,
        "study.seeds": seeds,
        "training.engine": engine,
        "training.precision": precision,
        "data.name": data,
        "seed": seed,
    }
    chosen = _experiment(subject, [*(settings or []), *options.as_settings(given)], data, out)
    if plan or dry_run:
        _print_plan(chosen, data_dir, out, as_json=json, is_whole=dry_run)
        return
    from recursive_lth import api

    is_shown = resume != "never" and (api.run_folder(chosen, out) / "summary.json").is_file()
    is_silent = quiet or is_shown  # nothing that was told when it ran is news
    with following(screen.console(stderr=True), is_quiet=is_silent, words=STUDY) as (watch, say):
        for line in api.run_study(
            chosen,
            data_dir=data_dir,
            out=out,
            device=device,
            resume=resume,
            workers=workers,
            watch=watch,
        ):
            if _ends_arm(line, chosen):
                say(_found(line))
    record = read_study(api.run_folder(chosen, out))
    if json:
        screen.print_json(study_as_json(record))
        return
    console = screen.console()
    print_study(console, record)
    console.print(f"readings {record.folder / 'readings.jsonl'}")
    console.print(f"report   {record.folder / 'report.html'}")


def _experiment(subject: str, settings: list[str], data: str | None, out: Path) -> StudyExperiment:
    """What is to be studied, with the settings laid over."""
    if subject.endswith(shelf.SUFFIX) or shelf.claims().get(subject, ("",))[0] == "study":
        return shelf.load_study_experiment(subject, settings)
    from recursive_lth.study.subjects import study_of_run, study_of_ticket

    if subject.endswith(".safetensors"):
        found = study_of_ticket(Path(subject), data=data)
    else:
        folder = _find_run(subject, out)
        written = read_toml(folder / "experiment.toml")
        if written.get("command") == "study":
            return study_experiment_from(override(written, settings))
        found = study_of_run(folder)
    if data is not None and not subject.endswith(".safetensors"):
        raise InputError("a run is studied on its own data: leave out --data")
    chosen = study_experiment_from(override(plain(found), settings))
    if data is None and _held_out(chosen) != _held_out(found):
        raise InputError(
            "what validates under another seed, or in another share, has taught this network: "
            "leave out --seed, --seeds and data.validation_fraction"
        )
    return chosen


def _held_out(experiment: StudyExperiment) -> tuple[int, int, float]:
    """What decides which samples validate."""
    return experiment.seed, experiment.study.seeds, experiment.data.validation_fraction


def _find_run(subject: str, out: Path) -> Path:
    """The folder of a run; where there is none, what may have been meant by an experiment."""
    try:
        return find_run(subject, out)
    except InputError as error:
        shipped = shelf.claims()
        if subject in shipped:
            cure = f"`recursive-lth {shipped[subject][0]} {subject}` runs it, then study its run"
            raise InputError(f"{subject} is no experiment of `study`: {cure}") from None
        known = [name for name, (command, _) in shipped.items() if command == "study"]
        raise InputError(
            f"{error}; or an experiment of `study`: {nearest(subject, known)}"
        ) from None


def _ends_arm(line: dict[str, Any], experiment: StudyExperiment) -> bool:
    """True iff it is the last line of its arm and seed."""
    last = line["trainings"] - 1, experiment.study.moments[-1]
    return (line["training"], line["moment"]) == last


def _found(line: dict[str, Any]) -> str:
    """One line about an arm of a seed that was read to its end."""
    when = {0: "before", 1: "after"}.get(line["moment"], f"at {line['moment']:g} of")
    seen = "  diverged" if line["is_diverged"] else ""
    return (
        f"seed {line['seed']}  {line['arm']}  {when} training {line['training']}: "
        f"{count(line['remaining_weights'])} weights, {len(line['values'])} measures{seen}"
    )


def _print_plan(
    experiment: StudyExperiment, data_dir: Path | None, out: Path, *, as_json: bool, is_whole: bool
) -> None:
    """Print arms, contrasts, cost and power; with --dry-run or --json the resolved experiment."""
    from recursive_lth import api
    from recursive_lth.running.supply import Supply
    from recursive_lth.study.fairness import planned_contrasts
    from recursive_lth.study.power import plan_power
    from recursive_lth.study.run import planned
    from recursive_lth.training.device import choose

    plan = planned(experiment, Supply(data_dir, choose("cpu")))
    found, seeds = plan.to_dict(), experiment.study.seeds
    contrasts = planned_contrasts(experiment, plan)
    level = experiment.study.level
    power = plan_power(seeds, len(contrasts), level=level) if contrasts else None
    folder, text = api.run_folder(experiment, out), experiment_to_toml(experiment)
    if as_json:
        document = {"folder": str(folder), "experiment": tomllib.loads(text), "plan": found}
        told = {"contrasts": contrasts, "power": asdict(power) if power else None}
        screen.print_json(document | told)
        return
    if is_whole:
        print(text)
    rows = [
        [name, f"{arm['cost']:.2f}", operations(arm["multiply_adds"]), count(arm["weights"]),
         percent(arm["density"], digits=1), str(arm["depth"]), " + ".join(map(str, arm["steps"]))]
        for name, arm in found["arms"].items()
    ]  # fmt: skip
    console = screen.console()
    heads = ["arm", "epochs", "multiply-adds", "weights", "density", "depth", "steps"]
    screen.print_table(console, "arms, each seed", Table(heads, rows))
    if contrasts:
        screen.print_table(console, "contrasts", _contrasts_table(contrasts))
    print(
        f"# {seeds} seeds, {operations(found['multiply_adds'])} multiply-adds in all, of which "
        f"{operations(found['probing_multiply_adds'])} by measures that train"
    )
    if power:
        print(f"# {power.words()}")
        _print_earlier(experiment, out)
    print(f"# folder {folder}")


def _contrasts_table(contrasts: list[dict[str, Any]]) -> Table:
    """A row for each contrast; effects in standard deviations of a pair's difference."""
    rows = []
    for each in contrasts:
        training = "" if each["training"] == -1 else f" of {each['training']}"
        least = each["smallest"]
        rows.append(
            [
                each["name"],
                f"{each['arm']} {'>' if each['direction'] == 'more' else '<'} {each['rival']}",
                f"{each['measure']} at {each['moment']:g}{training}",
                "+".join(each["factors"]) or UNKNOWN,
                str(each["n"]),
                UNKNOWN if least is None else f"{least:.2f} sd",
                percent(each["power"], digits=0),
            ]
        )
    heads = ["contrast", "arms", "measure", "factor", "seeds", "least effect", "power at 1 sd"]
    return Table(heads, rows)


def _print_earlier(experiment: StudyExperiment, out: Path) -> None:
    """What the spread in an earlier study of this name says: the least effects found so."""
    from recursive_lth.study.power import smallest_effect, spread_bound, spreads_of

    earlier = list(out.glob(f"{experiment.name}-*/verdicts.json"))
    seeds, contrasts = experiment.study.seeds, len(experiment.study.contrasts)
    least = smallest_effect(seeds, contrasts, level=experiment.study.level)
    if not earlier or least is None:
        return
    latest = max(earlier, key=lambda path: (path.stat().st_mtime_ns, path))
    found = read_json(latest)
    units = {each["name"]: each["unit"] for each in found["verdicts"]}
    rows = [
        [name, write_change(spread, units[name]), str(n),
         *(write_change(least * sd, units[name]) for sd in (spread, spread_bound(spread, n)))]
        for name, (spread, n) in spreads_of(found).items()
    ]  # fmt: skip
    heads = ["contrast", "spread of a pair", "seeds", "least effect found", "to be safe"]
    screen.print_table(screen.console(), f"by {latest.parent.name}", Table(heads, rows))
