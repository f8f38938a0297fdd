"""The options that commands share; each command takes those that do something in it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

PREFIX = "RECURSIVE_LTH_"


def _option(name: str, help: str, **more: Any) -> Parameter:  # noqa: A002 (cyclopts' word)
    """An option, and the environment variable of its name."""
    variable = f"{PREFIX}{name.removeprefix('--').replace('-', '_').upper()}"
    return Parameter(name=name, help=help, env_var=variable, show_env_var=False, **more)


def _flag(name: str, help: str) -> Parameter:  # noqa: A002
    return _option(name, help, negative="", show_default=False)


def _split_settings(kind: Any, text: str, *, delimiter: str | None = None) -> list[str]:
    """Settings in an environment variable, parted by semicolons: values may hold spaces."""
    return [part.strip() for part in text.split(";") if part.strip()]


StartFrom = Annotated[
    str | None,
    _option(
        "--start",
        "The network to start from, with its own widths: a name from `list`, a model of "
        "torchvision's, or a saved ticket with its weights. Short for --set start.architecture.",
        metavar="NAME or torchvision:MODEL or TICKET.safetensors",
    ),
]
Data = Annotated[
    str | None,
    _option("--data", "A name from `list`, or a file of your own.", metavar="NAME or FILE.npz"),
]
DataDir = Annotated[
    Path | None, _option("--data-dir", "Where data sets lie; missing ones are fetched to it.")
]
Out = Annotated[Path, _option("--out", "The folder that holds the runs.")]
Seed = Annotated[int | None, _option("--seed", "Root seed of all that is random.")]
Device = Annotated[str, _option("--device", "auto, cpu, cuda or cuda:1.", metavar="DEVICE")]
Engine = Annotated[
    str | None,
    _option(
        "--engine",
        "How layers train: dense, sparse (remaining weights alone), or auto, which measures.",
        metavar="auto, dense or sparse",
    ),
]
Precision = Annotated[
    str | None,
    _option("--precision", "What layers compute in.", metavar="float32 or bfloat16"),
]
Settings = Annotated[
    list[str] | None,
    _option(
        "--set",
        "Any value of the experiment; repeatable (in RECURSIVE_LTH_SET parted by semicolons).",
        metavar="SECTION.KEY=VALUE",
        negative="",
        env_var_split=_split_settings,
    ),
]
Resume = Annotated[
    Literal["auto", "never", "must"],
    _option(
        "--resume",
        "auto: go on where this experiment stopped; never: set that aside and begin anew; "
        "must: go on or refuse.",
    ),
]
Workers = Annotated[
    str,
    _option(
        "--workers",
        "How many processes train side by side, or the address of a Dask scheduler. The results "
        "are the same bits.",
        metavar="N or tcp://HOST:PORT",
    ),
]
DryRun = Annotated[
    bool, _flag("--dry-run", "Print the resolved experiment and what it costs; run nothing.")
]
TrialWorkers = Annotated[
    str,
    _option(
        "--workers",
        "How many processes run trials side by side, or the address of a Dask scheduler whose "
        "workers do; 0: only those that join with `worker`.",
        metavar="N or tcp://HOST:PORT",
    ),
]
Storage = Annotated[
    str | None,
    _option(
        "--storage",
        "The database of the study; without it a SQLite file in the run's folder.",
        metavar="postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE.db",
    ),
]
Heartbeat = Annotated[
    int | None,
    _option(
        "--heartbeat",
        "Seconds between signs of life of a trial, 10 without it; after six without one the trial "
        "is another worker's.",
        metavar="SECONDS",
    ),
]
BatchSize = Annotated[int, _option("--batch-size", "Samples in a batch whose time is measured.")]
Latency = Annotated[
    bool,
    _flag(
        "--latency",
        "Time a batch of 1 and of --batch-size in every form: dense, masked, compact, with norms "
        "merged, sparse, torch.export, onnxruntime.",
    ),
]
Json = Annotated[bool, _flag("--json", "Print one JSON document, and nothing else.")]
Quiet = Annotated[bool, _flag("--quiet", "No progress, only the result.")]
Debug = Annotated[bool, _flag("--debug", "Show the traceback of an error.")]


def as_settings(given: Mapping[str, Any]) -> list[str]:
    """Options that were given, by the key they stand for, as `--set` takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]


def own_widths(start: str | None) -> list[str]:
    """The setting that gives a network named by --start its own widths; any --set is stronger."""
    return [] if start is None else ["start.hidden=[]"]
