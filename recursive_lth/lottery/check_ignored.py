"""Is every setting of an arm read by something? One that nothing would read is refused."""

from recursive_lth.config import Pruning, TicketExperiment
from recursive_lth.errors import InputError
from recursive_lth.pruning.scores import SCORE_ROUNDS

DEFAULT = Pruning()


def check_ignored(arm: TicketExperiment) -> None:
    """Raise `InputError`, naming key and cure, where one setting overrules another."""
    pruning, tickets = arm.pruning, arm.tickets
    if tickets.densities:
        if pruning.kept_of:
            raise InputError(
                f"pruning.granularity {pruning.granularity} sets the density itself: leave "
                "tickets.densities empty"
            )
        if pruning.schedule in {"cubic", "exponential"}:
            raise InputError(
                f"tickets.densities are a schedule of their own, so {pruning.schedule} would do "
                "nothing: set pruning.schedule to iterative or one_shot"
            )
        _refuse(pruning, ("output_rate",), "tickets.densities name how much remains: leave it out")
    if pruning.kept_of:
        how = f"pruning.granularity {pruning.granularity} keeps a share of every group"
        _refuse(pruning, ("score_rounds",), f"{how}: leave it out")
        if SCORE_ROUNDS.get(pruning.score, 1) > 1:
            raise InputError(
                f"{pruning.score} is scored anew many times on the way down, and {how} at once: "
                "choose another pruning.score"
            )
    if pruning.granularity == "unit" and pruning.scope not in {"global", "per_layer"}:
        raise InputError(
            f"pruning.scope {pruning.scope} shares out weights: with pruning.granularity unit use "
            "global or per_layer"
        )
    grown = "every weight of a classic ticket was born with the start network: leave it out"
    _refuse(pruning, ("quarantine", "spare_skeleton"), grown)
    if arm.supermask.method:
        why = "a supermask is found without it: leave it out"
        _refuse(pruning, ("score", "restore", "pruned"), why)
        if pruning.rewind not in {"none", "init"}:
            raise InputError(f"pruning.rewind would do nothing, for {why}")


def check_controls(arm: TicketExperiment) -> None:
    """Raise `InputError` where a control could not differ from its ticket, or has no level."""
    pruning, tickets = arm.pruning, arm.tickets
    shuffled = {"shuffled_mask", "dense"} & set(tickets.controls)
    if pruning.granularity == "unit" and shuffled:
        raise InputError(
            f"a ticket without some units has no mask for {sorted(shuffled)} to change: choose "
            "tickets.controls among reinit, shuffled_weights, signs and small_dense"
        )
    if pruning.restore == "signs" and "signs" in tickets.controls:
        raise InputError(
            "with pruning.restore=signs the ticket is its own control signs: leave it out of "
            "tickets.controls"
        )
    if not tickets.densities:
        return
    levels = range(1, len(tickets.densities) + 1)
    if beyond := [level for level in tickets.control_levels if level not in levels]:
        raise InputError(
            f"tickets.control_levels names {beyond}, but the last level is {len(levels)}"
        )
    for level in tickets.control_levels or levels:
        if tickets.densities[level - 1] == 1 and shuffled:
            raise InputError(
                f"level {level} is dense, where {sorted(shuffled)} cannot differ from the ticket: "
                "name the other levels in tickets.control_levels"
            )


def _refuse(pruning: Pruning, keys: tuple[str, ...], why: str) -> None:
    for key in keys:
        if getattr(pruning, key) != getattr(DEFAULT, key):
            raise InputError(f"pruning.{key} would do nothing, for {why}")
