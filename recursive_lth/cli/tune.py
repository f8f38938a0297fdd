"""`recursive-lth tune`: a search over expansion policies."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from recursive_lth import shelf
from recursive_lth.cli import options, screen
from recursive_lth.cli.progress import TUNE, following
from recursive_lth.cli.show import print_tuning, tuning_as_json
from recursive_lth.config import TuningExperiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.report.quantities import operations
from recursive_lth.report.tuning_record import read_tuning
from recursive_lth.report.tuning_table import write_objective

EXAMPLES = """Examples:
  recursive-lth tune --workers 2
  recursive-lth tune tune_digits --set tune.trials=40 --set base.training.epochs=60
  recursive-lth tune my_search.toml --storage postgresql+psycopg://me@host/tuning --workers 0
  recursive-lth tune --workers tcp://127.0.0.1:8786
  recursive-lth tune --dry-run
"""
Name = Annotated[str, Parameter(help="An experiment's name from `list`, or a FILE.toml.")]


def tune(
    experiment: Name = "tune_digits",
    /,
    *,
    workers: options.TrialWorkers = "1",
    storage: options.Storage = None,
    heartbeat: options.Heartbeat = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs"),
    seed: options.Seed = None,
    device: options.Device = "auto",
    settings: options.Settings = None,
    resume: options.Resume = "auto",
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Search over expansion policies: what grows, how, when and how much, by whole runs of `grow`.

    Each trial runs a `grow` experiment with other values; `--set base.SECTION.KEY=VALUE` sets one
    for all trials. The same command goes on where it was stopped; a finished search is shown, not
    run again. Others join with `recursive-lth worker`.
    """
    given = options.as_settings({"seed": seed})
    chosen = shelf.load_tuning_experiment(experiment, [*(settings or []), *given])
    if dry_run:
        _print_plan(chosen, data_dir, out, json)
        return
    from recursive_lth import api

    folder = api.run_folder(chosen, out)
    with following(screen.console(stderr=True), is_quiet=quiet, words=TUNE) as (watch, say):
        for row in api.tune(
            chosen,
            data_dir=data_dir,
            out=out,
            device=device,
            workers=workers,
            storage=storage,
            heartbeat=heartbeat,
            resume=resume,
            watch=watch,
        ):
            say(ended(row))
    show_tuning(folder, is_json=json)


def ended(row: dict[str, Any]) -> str:
    """One line about a trial that has ended."""
    if row["objectives"] is None:
        return f"trial {row['trial']} {row['state']}: {row['reason']}"
    numbers = "  ".join(
        f"{name.replace('_', ' ')} {write_objective(name, value)}"
        for name, value in row["objectives"].items()
    )
    return f"trial {row['trial']}: {numbers}"


def show_tuning(folder: Path, *, is_json: bool) -> None:
    """Print what a finished tuning found, and where its report lies."""
    record = read_tuning(folder)
    if is_json:
        screen.print_json(tuning_as_json(record))
        return
    console = screen.console()
    print_tuning(console, record)
    console.print(f"trials   {folder / 'trials'}")
    console.print(f"report   {folder / 'report.html'}")


def _print_plan(
    experiment: TuningExperiment, data_dir: Path | None, out: Path, as_json: bool
) -> None:
    """Print the resolved experiment and about what it costs; the text is TOML itself."""
    from recursive_lth import api
    from recursive_lth.tuning.check import check_tuning
    from recursive_lth.tuning.plan import plan

    cost = plan(experiment, check_tuning(experiment, data_dir))
    folder, text = api.run_folder(experiment, out), experiment_to_toml(experiment)
    if as_json:
        screen.print_json({"folder": str(folder), "experiment": tomllib.loads(text), "plan": cost})
        return
    print(
        text,
        f"# {cost['trials']} trials of {cost['seeds']} runs, each as the base about "
        f"{cost['run']['training_steps']} steps, "
        f"{operations(cost['run']['training_multiply_adds'])} multiply-adds",
        f"# about {operations(cost['training_multiply_adds'])} multiply-adds in all",
        f"# folder {folder}",
        sep="\n",
    )
