"""From arguments to an exit status; the one place that turns an error into one line."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from types import FrameType

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from recursive_lth import __version__
from recursive_lth.cli import compare, evaluate, grow, prune, report, show, study, tune, worker
from recursive_lth.cli import list as listing
from recursive_lth.cli import signal as signals
from recursive_lth.errors import DamagedFileError, InputError

DONE, FAILED, WRONG_INPUT, DAMAGED = 0, 1, 2, 3
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM

app = App(
    name="recursive-lth",
    version=__version__,
    help=(
        "Recursive lottery ticket growth: prune to a winning ticket, grow it, prune again.\n\n"
        "Begin with `recursive-lth grow`: about a minute on two cores, without a network."
    ),
    help_format="plaintext",
    help_epilogue=(
        "`recursive-lth COMMAND --help` shows options and examples. Every option can be set in "
        "the environment too: --data-dir as RECURSIVE_LTH_DATA_DIR."
    ),
)
app.command(grow.grow, name="grow", help_epilogue=grow.EXAMPLES, sort_key=1)
app.command(prune.prune, name="prune", help_epilogue=prune.EXAMPLES, sort_key=1)
app.command(signals.signal, name="signal", help_epilogue=signals.EXAMPLES, sort_key=1)
app.command(study.study, name="study", help_epilogue=study.EXAMPLES, sort_key=1)
app.command(tune.tune, name="tune", help_epilogue=tune.EXAMPLES, sort_key=1)
app.command(worker.worker, name="worker", help_epilogue=worker.EXAMPLES, sort_key=1)
app.command(listing.list_all, name="list", help_epilogue=listing.EXAMPLES, sort_key=2)
app.command(show.show, name="show", help_epilogue=show.EXAMPLES, sort_key=3)
app.command(report.report, name="report", help_epilogue=report.EXAMPLES, sort_key=4)
app.command(compare.compare, name="compare", help_epilogue=compare.EXAMPLES, sort_key=4)
app.command(evaluate.evaluate, name="evaluate", help_epilogue=evaluate.EXAMPLES, sort_key=5)

RESUMABLE = (grow.grow, prune.prune, signals.signal, study.study, tune.tune, worker.worker)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of the command that `arguments` (without the program's name) ask for.

    0 done, 1 failed, 2 wrong usage or bad input, 3 a damaged file, 130 and 143 stopped by a signal.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 still shows the rest
    try:
        command, bound, _ = app.parse_args(tokens, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return _say(f"{str(error).rstrip('.')}; see --help", WRONG_INPUT)
    is_debug = bool(bound.arguments.get("debug"))
    advice = "; the same command goes on from what is saved" if command in RESUMABLE else ""
    with _terminable():
        return _run(lambda: command(*bound.args, **bound.kwargs), is_debug=is_debug, advice=advice)


def _run(command: Callable[[], object], *, is_debug: bool, advice: str) -> int:
    """Run a command; what it raises becomes one line and a status, a stop with some advice."""
    try:
        command()
        sys.stdout.flush()
    except (KeyboardInterrupt, SystemExit) as stop:
        status = stop.code if isinstance(stop, SystemExit) else INTERRUPTED
        if status not in (INTERRUPTED, TERMINATED):
            raise
        return _say(f"stopped{advice}", int(status))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return FAILED
    except Exception as error:
        if is_debug:
            raise
        if isinstance(error, InputError):
            return _say(str(error), DAMAGED if isinstance(error, DamagedFileError) else WRONG_INPUT)
        return _say(f"failed: {type(error).__name__}: {error}; --debug shows where", FAILED)
    return DONE


def _say(message: str, status: int) -> int:
    """Print one line on standard error and hand the status on."""
    print(f"recursive-lth: {' '.join(message.split())}", file=sys.stderr)
    return status


@contextmanager
def _terminable() -> Iterator[None]:
    """While inside, SIGTERM unwinds the stack as an interrupt does, so that files are closed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
