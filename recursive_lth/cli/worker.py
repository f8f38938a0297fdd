"""`recursive-lth worker`: joins a search over expansion policies."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from recursive_lth.cli import options, screen
from recursive_lth.cli.progress import TUNE, following
from recursive_lth.cli.tune import ended, show_tuning

EXAMPLES = """Examples:
  recursive-lth worker runs/tune_digits-0123456789ab
  recursive-lth worker runs/tune_digits-0123456789ab --storage postgresql+psycopg://me@host/tuning
"""
Folder = Annotated[
    Path,
    Parameter(
        help="The folder that `tune` made. Where it is on another machine, the same name with "
        "--storage: it is made here."
    ),
]


def worker(
    run_folder: Folder,
    /,
    *,
    storage: options.Storage = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run trials of a search that `tune` began, until it has its number of them.

    Any number of workers can join, from this machine or others, and leave at any time: what one
    leaves unfinished another goes on with.
    """
    from recursive_lth import api

    with following(screen.console(stderr=True), is_quiet=quiet, words=TUNE) as (watch, say):
        for row in api.work(
            run_folder, storage=storage, data_dir=data_dir, device=device, watch=watch
        ):
            say(ended(row))
    show_tuning(run_folder, is_json=json)
