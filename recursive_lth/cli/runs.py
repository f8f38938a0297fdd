"""Finding runs: by the path of a folder, or by the beginning of its name in --out."""

from pathlib import Path

from recursive_lth.errors import InputError
from recursive_lth.files import is_set_aside
from recursive_lth.report.record import RunRecord
from recursive_lth.report.study_record import StudyRecord
from recursive_lth.report.tickets_record import TicketsRecord
from recursive_lth.report.tuning_record import TuningRecord

EXPERIMENT = "experiment.toml"


def run_folders(out: Path) -> list[Path]:
    """The folders of runs in `out`, sorted by name; [] where there is no such folder."""
    return sorted(path.parent for path in out.glob(f"*/{EXPERIMENT}"))


def find_run(run: str, out: Path) -> Path:
    """The folder that `run` names: a path, a name in `out`, or the latest of those it begins.

    Runs that `--resume never` set aside are found by their whole name alone. Raises `InputError`
    listing what it may have meant.
    """
    if run and (Path(run) / EXPERIMENT).is_file():
        return Path(run)
    folders = run_folders(out)
    exact = [folder for folder in folders if folder.name == run]
    begun = [f for f in folders if f.name.startswith(run) and not is_set_aside(f)]
    if found := exact or begun:
        return max(
            found, key=lambda folder: ((folder / EXPERIMENT).stat().st_mtime_ns, folder.name)
        )
    known = ", ".join(folder.name for folder in folders) or "none"
    raise InputError(f"no run {run!r} in {out} (there: {known}): give a run's folder, or --out")


def state(record: RunRecord) -> str:
    """How far a run came, in words."""
    tickets = record.generations
    if record.summary is not None:
        return f"finished, {len(tickets)} tickets"
    if not tickets:
        return "begun, no ticket yet"
    return f"unfinished, {len(tickets)} tickets; the same `grow` command goes on"


def tickets_state(record: TicketsRecord) -> str:
    """How far a run of `prune` came, in words."""
    networks = len(record.lines)
    if record.summary is not None:
        return f"finished, {networks} networks"
    if not networks:
        return "begun, no network yet"
    return f"unfinished, {networks} networks; the same `prune` command goes on"


def tuning_state(record: TuningRecord) -> str:
    """How far a run of `tune` came, in words."""
    ended = len(record.trials)
    if record.summary is not None:
        return f"finished, {ended} trials"
    wanted = record.experiment["tune"]["trials"]
    return f"unfinished, {ended} of {wanted} trials; the same `tune` command goes on"


def study_state(record: StudyRecord) -> str:
    """How far a study came, in words."""
    readings = len(record.readings)
    if record.summary is not None:
        return f"finished, {readings} readings"
    if not readings:
        return "begun, no reading yet"
    return f"unfinished, {readings} readings; the same `study` command goes on"
