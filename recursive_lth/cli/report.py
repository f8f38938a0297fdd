"""`recursive-lth report`: the HTML page of a run, written anew."""

from pathlib import Path

from recursive_lth.cli import screen
from recursive_lth.cli.options import Debug, Json, Out
from recursive_lth.cli.runs import find_run
from recursive_lth.cli.show import Run
from recursive_lth.report.record import command_of

EXAMPLES = """Examples:
  recursive-lth report grow_digits
  recursive-lth report runs/grow_digits-0123456789ab --json
"""


def report(
    run: Run, /, *, out: Out = Path("runs"), json: Json = False, debug: Debug = False
) -> None:
    """Write a run's report.html anew and say where it is; an unfinished run has one too."""
    from recursive_lth.report.page import write_report
    from recursive_lth.report.study_page import write_study_report
    from recursive_lth.report.tickets_page import write_tickets_report
    from recursive_lth.report.tuning_page import write_tuning_report

    folder = find_run(run, out)
    writers = {
        "grow": write_report,
        "prune": write_tickets_report,
        "tune": write_tuning_report,
        "study": write_study_report,
    }
    path = writers[command_of(folder)](folder)
    if json:
        screen.print_json({"report": str(path)})
    else:
        screen.console().print(str(path))
